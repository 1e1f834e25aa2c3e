// Whatever cannot be linked is told of, by an error that names who, what and where, and is told of before anything
// runs.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { ElfError } from "../../../lib/elf/error.ts";
import { type FileImage, openImage } from "../../../lib/elf/file.ts";
import { finalizers, initializers } from "../../../lib/link/functions.ts";
import type { LinkOptions } from "../../../lib/link/link.ts";
import { type Simulation, simulate } from "../../../lib/link/simulate.ts";
import { LinkError } from "../../../lib/link-error.ts";
import { alignUp, PAGE_SIZE, toVaddr } from "../../../lib/memory/numbers.ts";
import { mutate, random, rangesOf } from "../../hostile/damage.ts";
import { DT, ElfBytes, PT } from "../../support/elf-bytes.ts";
import { expectAsLdSo, FIXED, freestanding, ownSearch } from "../../support/freestanding.ts";
import { spoilRelocation } from "../../support/relocation-bytes.ts";
import { damageFile } from "../../support/workshop.ts";

const [R_64, R_RELATIVE, R_TPOFF64] = [1, 8, 18] as const;

describe("what cannot be linked is told of", () => {
  let directory = "";
  let built = "";
  beforeAll(async () => {
    built = await freestanding("what-cannot-be-linked-is-told-of", [
      { path: "liblibrary.so", sources: ["library.c"], flags: ["-Wl,--version-script=library.map"] },
      { path: "sysv/liblibrary.so", sources: ["library.c"], flags: ["-Wl,--hash-style=sysv"] },
      { path: "grown/liblibrary.so", sources: ["grown.c"], flags: ["-Wl,--version-script=library.map"] },
      { path: "other/liblibrary.so", sources: ["other.c"], flags: ["-Wl,--version-script=library.map"] },
      { path: "libtext.so", sources: ["text.c"], flags: ["-Wl,-z,notext"] },
      { path: "program", sources: ["program.c"], needs: ["liblibrary.so"], runpath: "$ORIGIN" },
      { path: "fixed", sources: ["program.c"], needs: ["liblibrary.so"], runpath: "$ORIGIN", flags: FIXED },
      { path: "plain", sources: ["program.c"], needs: ["sysv/liblibrary.so"], runpath: "$ORIGIN" },
      { path: "pinned", sources: ["program.c"], needs: ["liblibrary.so", "libtext.so"], runpath: "$ORIGIN" },
    ]);
    directory = mkdtempSync(join(tmpdir(), "capsule-link-"));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  /** A copy of the build, with the library spoilt. */
  function spoilt(damage: (library: ElfBytes) => void, library = "liblibrary.so"): string {
    const copy = join(mkdtempSync(join(directory, "copy-")), "build");
    cpSync(built, copy, { recursive: true, verbatimSymlinks: true });
    const elf = new ElfBytes(join(copy, library));
    damage(elf);
    elf.save(join(copy, "liblibrary.so"));
    return copy;
  }

  function linked(program: string, options: LinkOptions = {}): Simulation {
    return simulate(ownSearch(), program, options);
  }

  function refused(program: string): LinkError | ElfError {
    try {
      using _ = linked(program);
    } catch (error) {
      if (error instanceof LinkError || error instanceof ElfError) return error;
      throw error;
    }
    throw new Error("Nothing is wrong with it");
  }

  const relocationFault = (type: number, fields: Parameters<typeof spoilRelocation>[2]): string =>
    refused(
      join(
        spoilt((elf) => spoilRelocation(elf, type, fields)),
        "program",
      ),
    ).message;

  test("nothing, where nothing is wrong", () => {
    for (const name of ["program", "fixed"]) linked(join(built, name))[Symbol.dispose]();
  });

  test("a library that is missing, with who needs it and where it was looked for", () => {
    const copy = spoilt(() => {});
    rmSync(join(copy, "liblibrary.so"));
    const { message } = refused(join(copy, "program"));
    expect(message).toStartWith(`Cannot find "liblibrary.so", which "${copy}/program" needs,`);
    expect(message).toContain(`${copy}/liblibrary.so: no such file`);
  });

  test("a symbol that is missing, with its version, who wants it, and what who was asked had to say", () => {
    const copy = spoilt(() => {}, "other/liblibrary.so");
    const fault = refused(join(copy, "program"));
    expect(fault.message).toStartWith(`Cannot relocate "${copy}/program": R_X86_64_`);
    expect(fault.message).toContain(`wants "variable" of version "V1", which no object defines`);
    expect(fault.message).toEndWith(`which no object defines; asked were "liblibrary.so"`);
    expect((fault as LinkError).details).toMatchObject({
      symbol: "variable",
      version: "V1",
      object: `${copy}/program`,
    });
  });

  test("nothing, where somebody takes note of what is missing and goes on", () => {
    const copy = spoilt(() => {}, "other/liblibrary.so");
    const missing: (string | undefined)[] = [];
    using _ = linked(join(copy, "program"), { onUnresolved: ({ details }) => missing.push(details.symbol) });
    expect(missing).toContain("variable");
  });

  test("a version that is missing", () => {
    const copy = spoilt((elf) => elf.bytes.set(Buffer.from("V9"), elf.bytes.indexOf("\0V1\0") + 1));
    const { message } = refused(join(copy, "program"));
    expect(message).toBe(
      `Cannot link "${copy}/program": it needs version "V1" of "liblibrary.so", which "${copy}/liblibrary.so" does not define`,
    );
  });

  test("nothing of a version that is weak", () => {
    const copy = spoilt((elf) => elf.bytes.set(Buffer.from("V9"), elf.bytes.indexOf("\0V1\0") + 1));
    // vna_flags of the first version of the first file
    damageFile(join(copy, "program"), (elf) => elf.set(elf.table(DT.VERNEED) + 16 + 4, 2, 2));
    expect(refused(join(copy, "program")).message).toContain(
      `wants "function" of version "V1", which no object defines; asked were "program", "liblibrary.so" (has it in version "V9")`,
    );
  });

  test("a copy of another size, as a warning", async () => {
    const copy = spoilt(() => {}, "grown/liblibrary.so");
    await expectAsLdSo(join(copy, "fixed"));
    const warnings: string[] = [];
    using _ = linked(join(copy, "fixed"), { onWarning: (text) => warnings.push(text) });
    expect(warnings).toEqual([
      `"variable" of "${copy}/fixed" has 4 bytes and is a copy of one of 8 in "${copy}/liblibrary.so"; link the program again`,
    ]);
  });

  /** Has the library say other things of `variable`, which programs copy: `fields` are those of Elf64_Sym. */
  const copiedFrom = (image: FileImage, fields: { st_value: number; st_shndx?: number }) => (elf: ElfBytes) => {
    const symbol = elf.table(DT.SYMTAB) + 24 * (image.find("variable") ?? 0);
    elf.set(symbol + 8, 8, fields.st_value);
    if (fields.st_shndx !== undefined) elf.set(symbol + 6, 2, fields.st_shndx);
  };
  const NOT_THERE =
    /^Cannot relocate "\S+fixed": R_X86_64_COPY at vaddr 0x\w+ copies 4 bytes at 0x\w+, which "\S+liblibrary.so" does not have$/;

  test("a copy of what is not the library's", () => {
    using image = openImage(join(built, "liblibrary.so"));
    const copy = spoilt(copiedFrom(image, { st_value: 0x10000000, st_shndx: 0xfff1 }));
    expect(refused(join(copy, "fixed")).message).toMatch(NOT_THERE);
  });

  test("a copy of what goes over the library's end", () => {
    using image = openImage(join(built, "liblibrary.so"));
    const end = alignUp(toVaddr(image.end), PAGE_SIZE);
    const copy = spoilt((elf) => {
      elf.setLastSegment(PT.LOAD, "p_memsz", end - (image.loads.at(-1)?.p_vaddr ?? 0));
      copiedFrom(image, { st_value: end - 2 })(elf);
    });
    expect(refused(join(copy, "fixed")).message).toMatch(NOT_THERE);
  });

  test("a text relocation", () => {
    const { message } = refused(join(built, "pinned"));
    expect(message).toMatch(
      /^Cannot relocate ".*libtext.so": R_X86_64_64 at vaddr 0x[0-9a-f]+ is in a read-only segment: text relocations are not supported/,
    );
  });

  test("relocations without addends", () => {
    const copy = spoilt((elf) => {
      elf.retagDynamic(DT.RELA, DT.REL);
      elf.retagDynamic(DT.RELASZ, DT.RELSZ);
    });
    expect(refused(join(copy, "program")).message).toContain("DT_REL has relocations without addends");
  });

  test.each([
    ["of no known type", R_64, { r_type: 99 }, "has type 99, which no loader of x86-64 programs knows"],
    ["of a type that only a compiler's output has", R_64, { r_type: 4 }, "R_X86_64_PLT32"],
    ["outside of its object", R_RELATIVE, { r_offset: 0x100000 }, "at vaddr 0x100000 is in none of its segments"],
    ["at the edge of its object", R_RELATIVE, { r_offset: -4n & (2n ** 64n - 1n) }, "is in none of its segments"],
    ["in its code", R_RELATIVE, { r_offset: 0x1000 }, "is in a read-only segment"],
    ["of a symbol that it does not have", R_64, { r_sym: 5000 }, "refers to symbol 5000 of"],
    ["that is too small for its value", R_64, { r_type: 10 }, "does not fit 32 bits"],
    ["that is too small for a negative value", R_64, { r_type: 11 }, "does not fit 32 bits"],
    ["that is too far away", R_64, { r_type: 2, r_addend: 2n ** 40n }, "does not fit 32 bits"],
    ["of a variable that is not thread-local", R_64, { r_type: 18 }, "is not thread-local"],
    ["of a thread-local variable's address", R_TPOFF64, { r_type: 1 }, "is thread-local"],
  ])("a relocation %s", (_, type, fields, text) => {
    expect(relocationFault(type, fields)).toContain(text);
  });

  test("thread-local data of an object that has none", () => {
    const copy = spoilt((elf) => elf.setSegment(7, "p_memsz", 0));
    expect(refused(join(copy, "program")).message).toContain("PT_TLS");
  });

  test.each([
    [
      "a GNU hash table whose bloom filter is no power of two",
      "liblibrary.so",
      "program",
      (elf: ElfBytes) => elf.set(elf.table(DT.GNU_HASH) + 8, 4, 3),
    ],
    [
      "a GNU hash table that leads out of itself",
      "liblibrary.so",
      "program",
      (elf: ElfBytes) => elf.set(elf.table(DT.GNU_HASH) + 16 + 8, 4, 50_000),
    ],
    ["a SysV hash table whose chains loop", "sysv/liblibrary.so", "plain", (elf: ElfBytes) => loop(elf)],
  ] as const)("%s", (_, library, program, damage) => {
    const fault = refused(join(spoilt(damage, library), program));
    expect(fault).toBeInstanceOf(ElfError);
    expect((fault as ElfError).structure).toMatch(/HASH/);
  });

  test("a segment that ends behind the last one", () => {
    const copy = spoilt((elf) => elf.setSegment(PT.LOAD, "p_memsz", 0x10000));
    expect(refused(join(copy, "program")).message).toContain("the last segment does not end behind the others");
  });

  test("more than there is room for", () => {
    const copy = spoilt((elf) => elf.setLastSegment(PT.LOAD, "p_memsz", 2n ** 46n + 2n ** 45n));
    expect(refused(join(copy, "program")).message).toMatch(/^Cannot reserve \d+ bytes/);
  });

  test("or is linked, of thousands of damaged programs and libraries, soon", () => {
    const outcomes = { linked: 0, refused: 0 };
    for (const [library, program] of [
      ["liblibrary.so", "program"],
      ["liblibrary.so", "fixed"],
      ["sysv/liblibrary.so", "plain"],
    ] as const) {
      const copy = spoilt(() => {}, library);
      for (const target of [join(copy, "liblibrary.so"), join(copy, program)]) {
        const original = new Uint8Array(readFileSync(target));
        const ranges = rangesOf(target);
        const next = random(7);
        for (let i = 0; i < 1000; i++) {
          const bytes = original.slice();
          mutate(bytes, ranges, next);
          writeFileSync(target, bytes);
          try {
            using simulation = linked(join(copy, program), { onRelocation: ({ searched }) => searched.length });
            for (const object of simulation.objects) {
              initializers(simulation.space, object);
              finalizers(simulation.space, object);
            }
            outcomes.linked++;
          } catch (error) {
            if (!(error instanceof LinkError || error instanceof ElfError))
              throw new Error(`Mutation ${i} of "${basename(target)}" ends in another error`, {
                cause: error,
              });
            outcomes.refused++;
          }
        }
        writeFileSync(target, original);
      }
    }
    expect(outcomes.linked).toBeGreaterThan(500);
    expect(outcomes.refused).toBeGreaterThan(500);
  });
});

/** Lets each chain lead to its own beginning. */
function loop(elf: ElfBytes): void {
  const table = elf.table(DT.HASH);
  const [buckets, symbols] = [elf.get(table, 4), elf.get(table + 4, 4)];
  for (let i = 1; i < symbols; i++) elf.set(table + 8 + 4 * (buckets + i), 4, i);
}
