// Fixtures that nobody but ld.so has written to: their memory, as it is in a process, is the model.

import { describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import {
  R_X86_64_32,
  R_X86_64_32S,
  R_X86_64_NONE,
  R_X86_64_PC64,
  R_X86_64_RELATIVE,
} from "../../../lib/elf/constants.ts";
import { RELOCATION_TYPES } from "../../../lib/elf/names.ts";
import type { Relocation } from "../../../lib/link/relocation.ts";
import { simulate } from "../../../lib/link/simulate.ts";
import { add, toAddress } from "../../../lib/memory/numbers.ts";
import { expectAsLdSo, expectBindingsAsLdSo, FIXED, freestanding, ownSearch } from "../../support/freestanding.ts";
import { spoilRelocation } from "../../support/relocation-bytes.ts";
import { damageFile } from "../../support/workshop.ts";

/** The four ways in which a program is linked, and the tables that say what it has. */
const PROGRAMS: readonly [words: string, flags: string[]][] = [
  ["goes anywhere", []],
  ["is at a fixed address", FIXED],
  ["goes anywhere, bound at the start", ["-Wl,-z,now"]],
  ["is at a fixed address, bound at the start", [...FIXED, "-Wl,-z,now"]],
];
const STYLES = ["gnu", "sysv", "both"];

const typesOf = (relocations: readonly Relocation[]): Set<string> =>
  new Set(relocations.map(({ type }) => RELOCATION_TYPES.get(type) ?? ""));

describe("every relocation is done", () => {
  const built = (flags: string[], libraryFlags: string[] = []): Promise<string> =>
    freestanding("every-relocation-is-done", [
      { path: "liblibrary.so", sources: ["library.c"], flags: [...libraryFlags, "-Wl,--defsym,absolute=0x12345"] },
      { path: "program", sources: ["program.c"], needs: ["liblibrary.so"], runpath: "$ORIGIN", flags },
    ]);

  for (const [words, flags] of PROGRAMS)
    test(`of a program that ${words}`, async () => {
      const types = typesOf(await expectAsLdSo(join(await built(flags), "program")));
      for (const name of ["RELATIVE", "64", "GLOB_DAT", "JUMP_SLOT", "PC32", "SIZE32", "SIZE64"])
        expect(types).toContain(`R_X86_64_${name}`);
      if (flags.includes("-no-pie")) expect(types).toContain("R_X86_64_COPY");
    });

  /**
   * A copy of the library in which relocations of `absolute`, 0x12345, are of other types: a compiler has no use for
   * them in data.
   */
  async function retyped(types: readonly [addend: number, type: number][]): Promise<string> {
    const copy = join(mkdtempSync(join(tmpdir(), "capsule-link-")), "build");
    cpSync(await built([]), copy, { recursive: true });
    const library = join(copy, "liblibrary.so");
    using simulation = simulate(ownSearch(), join(copy, "program"), {
      onRelocation({ object, name, addend, vaddr, type }) {
        const [, other] = types.find(([wanted]) => wanted === addend) ?? [];
        if (object.path !== library || name !== "absolute" || other === undefined) return;
        damageFile(library, (elf) => spoilRelocation(elf, type, { r_type: other }, vaddr));
      },
    });
    expect(simulation.objects[1]?.path).toBe(library);
    return copy;
  }

  test("into 32 bits where the value fits", async () => {
    const copy = await retyped([
      [0, R_X86_64_32],
      [5, R_X86_64_NONE],
    ]);
    const types = typesOf(await expectAsLdSo(join(copy, "program")));
    expect(types).toContain("R_X86_64_32");
    expect(types).toContain("R_X86_64_NONE");
    rmSync(dirname(copy), { recursive: true });
  });

  test("of types that the psABI has, and ld.so 2.36 does not", async () => {
    const copy = await retyped([
      [0, R_X86_64_32S],
      [5, R_X86_64_PC64],
    ]);
    damageFile(join(copy, "liblibrary.so"), (elf) => spoilRelocation(elf, R_X86_64_RELATIVE, { r_type: 38 }));
    const done = new Map<string, Relocation>();
    using simulation = simulate(ownSearch(), join(copy, "program"), {
      onRelocation: (one) => one.object.index === 1 && done.set(one.typeName, one),
    });
    const library = simulation.objects[1];
    const slot = (name: string) => add(library?.loadBias ?? toAddress(0), done.get(`R_X86_64_${name}`)?.vaddr ?? 0);
    expect(simulation.space.read(slot("32S"), 8).getBigUint64(0, true)).toBe(0x12345n);
    expect(simulation.space.read(slot("PC64"), 8).getBigInt64(0, true)).toBe(BigInt(0x12345 + 5 - slot("PC64")));
    const { addend, vaddr } = done.get("R_X86_64_RELATIVE64") ?? {};
    expect(vaddr).toBeDefined();
    expect(done.get("R_X86_64_RELATIVE64")?.value).toBe(Number(addend) + Number(library?.loadBias));
    rmSync(dirname(copy), { recursive: true });
  });

  test("packed", async () => {
    const packed = ["-Wl,-z,pack-relative-relocs"];
    const relocations = await expectAsLdSo(join(await built(packed, packed), "program"));
    expect(relocations.filter(({ table }) => table === "DT_RELR").length).toBeGreaterThan(2);
  });
});

describe("the right version is bound", () => {
  const built = (style: string, flags: string[]): Promise<string> => {
    const hash = [`-Wl,--hash-style=${style}`];
    const library = (path: string, source: string, ...more: string[]) => ({
      path,
      sources: [source],
      soname: "liblibrary.so",
      flags: [...hash, ...more],
    });
    const user = (name: string, to: string) => ({
      path: `lib${name}.so`,
      sources: ["user.c"],
      needs: [to],
      flags: [...hash, `-DUSER=by_${name}`],
    });
    return freestanding("the-right-version-is-bound", [
      library("old/liblibrary.so", "old.c", "-Wl,--version-script=old.map"),
      library("none/liblibrary.so", "old.c"),
      library("new/liblibrary.so", "new.c", "-Wl,--version-script=new.map"),
      { path: "libunversioned.so", sources: ["unversioned.c"], flags: hash },
      user("old", "old/liblibrary.so"),
      user("none", "none/liblibrary.so"),
      user("new", "new/liblibrary.so"),
      {
        path: "program",
        sources: ["program.c"],
        needs: ["libold.so", "libnone.so", "libnew.so", "new/liblibrary.so", "libunversioned.so"],
        runpath: "$ORIGIN:$ORIGIN/new",
        // For the libraries, too, which say nothing of where theirs is.
        flags: [...hash, ...flags, "-Wl,--disable-new-dtags"],
        rpath: "$ORIGIN:$ORIGIN/new",
      },
    ]);
  };

  for (const style of STYLES)
    for (const [words, flags] of PROGRAMS.slice(0, 2))
      test(`by ${style} hash tables, of a program that ${words}`, async () => {
        const relocations = await expectAsLdSo(join(await built(style, flags), "program"));
        const found = relocations.filter(({ name, definition }) => name === "colour" && definition);
        const versions = found.map(({ version, definition }) => [
          version,
          definition?.object.image.versionOf(definition.symbol),
        ]);
        expect(versions).toContainEqual(["V1", "V1"]);
        expect(versions).toContainEqual(["V3", "V3"]);
        // Without a version: what was the library's first one, hidden or not; or the program's entry for the function.
        expect(versions).toContainEqual([undefined, flags === FIXED ? "V3" : "V1"]);
      });
});

describe("a symbol is bound as its kind says", () => {
  const built = (style: string, flags: string[]): Promise<string> => {
    const hash = [`-Wl,--hash-style=${style}`];
    return freestanding("a-symbol-is-bound-as-its-kind-says", [
      { path: "liblast.so", sources: ["last.c"], flags: hash },
      { path: "libsymbolic.so", sources: ["symbolic.c"], needs: ["liblast.so"], flags: [...hash, "-Wl,-Bsymbolic"] },
      { path: "liblibrary.so", sources: ["library.c"], needs: ["libsymbolic.so"], flags: hash },
      {
        path: "program",
        sources: ["program.c"],
        needs: ["liblibrary.so", "libsymbolic.so", "liblast.so"],
        rpath: "$ORIGIN",
        flags: [...hash, ...flags],
      },
    ]);
  };

  for (const style of STYLES)
    for (const [words, flags] of PROGRAMS)
      test(`by ${style} hash tables, of a program that ${words}`, async () => {
        const program = join(await built(style, flags), "program");
        await expectAsLdSo(program);
        expectBindingsAsLdSo(program);
      });
});

describe("thread-local data has its place", () => {
  const built = (flags: string[], libraryFlags: string[]): Promise<string> => {
    const library = (name: string, alignment: number) => ({
      path: `lib${name}.so`,
      sources: ["library.c"],
      flags: [`-DNAME=${name}`, `-DNAME_OF=${name}_of`, `-DALIGNMENT=${alignment}`, ...libraryFlags],
    });
    return freestanding("thread-local-data-has-its-place", [
      library("one", 1),
      library("two", 256),
      library("three", 16),
      {
        path: "program",
        sources: ["program.c"],
        needs: ["libone.so", "libtwo.so", "libthree.so"],
        rpath: "$ORIGIN",
        flags,
      },
    ]);
  };

  for (const [words, flags] of PROGRAMS.slice(0, 2)) {
    test(`of a program that ${words}`, async () => {
      const types = typesOf(await expectAsLdSo(join(await built(flags, []), "program")));
      for (const name of ["DTPMOD64", "DTPOFF64", "TPOFF64"]) expect(types).toContain(`R_X86_64_${name}`);
    });

    test(`by descriptors, of a program that ${words}`, async () => {
      const types = typesOf(await expectAsLdSo(join(await built(flags, ["-mtls-dialect=gnu2"]), "program")));
      expect(types).toContain("R_X86_64_TLSDESC");
    });
  }
});

describe("a function may be chosen at the start", () => {
  for (const [words, flags] of PROGRAMS)
    test(`of a program that ${words}`, async () => {
      const directory = await freestanding("a-function-may-be-chosen-at-the-start", [
        { path: "liblibrary.so", sources: ["library.c"] },
        { path: "program", sources: ["program.c"], needs: ["liblibrary.so"], runpath: "$ORIGIN", flags },
      ]);
      const relocations = await expectAsLdSo(join(directory, "program"));
      const called = relocations.filter(({ effect }) => effect.call);
      expect(typesOf(called)).toContain("R_X86_64_IRELATIVE");
      expect(typesOf(called)).toContain("R_X86_64_JUMP_SLOT");
      const resolvers = new Set(called.map(({ effect }) => effect.call?.resolver));
      expect(resolvers.size).toBe(1);

      using simulation = simulate(ownSearch(), join(directory, "program"));
      const slots = simulation.steps.map((step) => (step.kind === "call" ? step.slot : undefined));
      expect(slots).toHaveLength(called.length);
      expect(new Set(slots).size).toBe(called.length);
    });
});

test("the first object that has it wins, and what is preloaded is the first behind the program", async () => {
  const library = (name: string, colour: number) => ({
    path: `lib${name}.so`,
    sources: ["colour.c"],
    flags: [`-DCOLOUR=${colour}`, `-DOWN=${name}`, "-DNAME=colour"],
  });
  const directory = await freestanding("the-first-object-that-has-it-wins", [
    library("red", 1),
    library("blue", 2),
    library("green", 3),
    { path: "program", sources: ["program.c"], needs: ["libred.so", "libblue.so"], runpath: "$ORIGIN" },
  ]);
  const program = join(directory, "program");
  const colourOf = async (preload: string[]) => {
    const relocations = await expectAsLdSo(program, { preload });
    return relocations.find(({ name }) => name === "colour");
  };
  expect((await colourOf([]))?.definition?.object.path).toBe(join(directory, "libred.so"));
  const preloaded = await colourOf([join(directory, "libgreen.so")]);
  expect(preloaded?.searched.map(({ object, answer }) => [object.path, typeof answer])).toEqual([
    [program, "string"],
    [join(directory, "libgreen.so"), "number"],
  ]);
});

test("what a filter names (ld -f) has its symbols before the filter does", async () => {
  const library = (name: string, colour: number, ...flags: string[]) => ({
    path: `lib${name}.so`,
    sources: ["colour.c"],
    flags: [`-DCOLOUR=${colour}`, `-DOWN=${name}`, "-DNAME=colour", ...flags],
    rpath: "$ORIGIN",
  });
  const directory = await freestanding("the-first-object-that-has-it-wins", [
    library("green", 3),
    library("red", 1, "-Wl,--auxiliary=libmissing.so", "-Wl,--auxiliary=libgreen.so"),
    library("blue", 2),
    { path: "program", sources: ["program.c"], needs: ["libred.so", "libblue.so"], runpath: "$ORIGIN" },
  ]);
  const relocations = await expectAsLdSo(join(directory, "program"));
  const colour = relocations.find(({ name }) => name === "colour");
  expect(colour?.definition?.object.path).toBe(join(directory, "libgreen.so"));
});
