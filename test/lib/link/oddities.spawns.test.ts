// What GNU ld does not write, but a file may say: it is linked as ld.so links it. Files are made so by changing theirs.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { openImage } from "../../../lib/elf/file.ts";
import { DT, type ElfBytes, PT } from "../../support/elf-bytes.ts";
import type { Binary } from "../../support/fixtures.ts";
import { expectAsLdSo, expectBindingsAsLdSo, FIXED, freestanding } from "../../support/freestanding.ts";
import { damageFile } from "../../support/workshop.ts";

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "capsule-link-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** A copy of a build, with one of its files changed. */
function changed(build: string, file: string, change: (elf: ElfBytes) => void): string {
  const copy = join(mkdtempSync(join(directory, "copy-")), "build");
  cpSync(build, copy, { recursive: true, verbatimSymlinks: true });
  damageFile(join(copy, file), change);
  return copy;
}

// Offsets in Elf64_Sym.
const [ST_INFO, ST_OTHER, ST_SHNDX, ST_VALUE] = [4, 5, 6, 8] as const;
const SHN_ABS = 0xfff1;

describe("a symbol that is not to be seen is passed over:", () => {
  const built = (style: string): Promise<string> => {
    const library = (name: string, colour: number, symbol = "colour"): Binary => ({
      path: `lib${name}.so`,
      sources: ["colour.c"],
      flags: [`-DCOLOUR=${colour}`, `-DOWN=${name}`, `-DNAME=${symbol}`, `-Wl,--hash-style=${style}`],
    });
    const needs = ["liblonger.so", "libred.so", "libblue.so"];
    return freestanding("the-first-object-that-has-it-wins", [
      library("longer", 4, "colours"),
      library("red", 1),
      library("blue", 2),
      { path: "program", sources: ["program.c"], needs, runpath: "$ORIGIN" },
    ]);
  };
  const definerIn = async (build: string): Promise<string | undefined> => {
    const relocations = await expectAsLdSo(join(build, "program"));
    return relocations.find(({ name }) => name === "colour")?.definition?.object.name;
  };

  for (const style of ["gnu", "sysv"]) {
    test(`not one that is in order (${style} hash tables)`, async () => {
      expect(await definerIn(await built(style))).toBe("libred.so");
    });

    test.each([
      ["hidden", ST_OTHER, 1, 2],
      ["internal", ST_OTHER, 1, 1],
      ["local", ST_INFO, 1, 0x02],
      ["of an unknown binding", ST_INFO, 1, 0x52],
      ["of a file", ST_INFO, 1, 0x14],
      ["of a section", ST_INFO, 1, 0x13],
      ["without a value", ST_VALUE, 8, 0],
    ] as const)(`%s (${style} hash tables)`, async (_, offset, size, value) => {
      const build = changed(await built(style), "libred.so", (elf) => elf.setSymbols(offset, size, value));
      expect(await definerIn(build)).toBe("libblue.so");
    });

    test(`but not one that is undefined and has a value, which is somebody's entry for it (${style} hash tables)`, async () => {
      const build = changed(await built(style), "libred.so", (elf) => elf.setSymbols(ST_SHNDX, 2, 0));
      expect(await definerIn(build)).toBe("libred.so");
    });

    test(`nor one that has an address which is 0 (${style} hash tables)`, async () => {
      const build = changed(await built(style), "libred.so", (elf) => {
        elf.setSymbols(ST_SHNDX, 2, SHN_ABS);
        elf.setSymbols(ST_VALUE, 8, 0);
      });
      expect(await definerIn(build)).toBe("libred.so");
    });
  }

  test("an entry for a function that is chosen at the start is the function, and is not called to choose it", async () => {
    const build = changed(await built("gnu"), "libred.so", (elf) => {
      elf.setSymbols(ST_SHNDX, 2, 0);
      elf.setSymbols(ST_INFO, 1, 0x1a);
    });
    const relocations = await expectAsLdSo(join(build, "program"));
    const found = relocations.find(({ name }) => name === "colour");
    expect([found?.definition?.object.name, found?.effect.call]).toEqual(["libred.so", undefined]);
  });

  test("a program that says it looks in itself first does nothing else than any other", async () => {
    const build = changed(await built("gnu"), "program", (elf) => elf.retagDynamic(DT.DEBUG, DT.SYMBOLIC));
    const relocations = await expectAsLdSo(join(build, "program"));
    const asked = relocations.find(({ name }) => name === "colour")?.searched.map(({ object }) => object.name);
    expect(asked).toEqual([join(build, "program"), "liblonger.so", "libred.so"]);
  });
});

describe("a symbol without a version", () => {
  const built = (): Promise<string> =>
    freestanding("the-right-version-is-bound", [
      { path: "new/liblibrary.so", sources: ["new.c"], flags: ["-Wl,--version-script=new.map"] },
      { path: "libmixed.so", sources: ["unversioned.c"], flags: ["-Wl,--version-script=mixed.map"] },
      {
        path: "program",
        sources: ["program.c"],
        needs: ["new/liblibrary.so"],
        rpath: "$ORIGIN/new",
      },
    ]);
  const definerIn = async (build: string): Promise<string | undefined> => {
    const relocations = await expectAsLdSo(join(build, "program"), { preload: [join(build, "libmixed.so")] });
    return basename(relocations.find(({ name }) => name === "tint")?.definition?.object.path ?? "");
  };

  test("is what any version wants, in an object that has versions, too", async () => {
    expect(await definerIn(await built())).toBe("libmixed.so");
  });

  test("is not, where it is hidden", async () => {
    const build = changed(await built(), "libmixed.so", (elf) => {
      const [versym, end] = [elf.table(DT.VERSYM), elf.table(DT.VERDEF)];
      for (let at = versym + 2; at + 2 <= end; at += 2) elf.set(at, 2, elf.get(at, 2) === 1 ? 0x8001 : elf.get(at, 2));
    });
    expect(await definerIn(build)).toBe("liblibrary.so");
  });
});

describe("who wants no version, of a symbol that the library's first did not have,", () => {
  const definitionIn = async (build: string): Promise<(string | undefined)[]> => {
    const relocations = await expectAsLdSo(join(build, "program"));
    const { definition } = relocations.find(({ name }) => name === "tone") ?? {};
    return [definition?.object.name, definition?.object.image.versionOf(definition.symbol)];
  };
  const built = (): Promise<string> =>
    freestanding("the-right-version-is-bound", [
      { path: "new/liblibrary.so", sources: ["new.c"], flags: ["-Wl,--version-script=new.map"] },
      { path: "libwants.so", sources: ["wants.c"] },
      { path: "libtone.so", sources: ["tone.c"] },
      {
        path: "program",
        sources: ["program.c"],
        needs: ["new/liblibrary.so", "libwants.so", "libtone.so"],
        rpath: "$ORIGIN:$ORIGIN/new",
      },
    ]);

  test("gets the default one", async () => {
    expect(await definitionIn(await built())).toEqual(["liblibrary.so", "V3"]);
  });

  test("gets none of several", async () => {
    using image = openImage(join(await built(), "new/liblibrary.so"));
    const hidden = Array.from(image.symbols, (symbol, index) => ({ index, name: image.symbols.nameOf(symbol) }))
      .filter(({ name }) => name === "tone")
      .map(({ index }) => index);
    expect(hidden).toHaveLength(2);
    const build = changed(await built(), "new/liblibrary.so", (elf) => {
      for (const index of hidden) {
        const at = elf.table(DT.VERSYM) + 2 * index;
        elf.set(at, 2, elf.get(at, 2) & 0x7fff);
      }
    });
    expect(await definitionIn(build)).toEqual(["libtone.so", undefined]);
  });
});

describe("what a library says of its own symbols", () => {
  /** Which others define, too. */
  const IN_MANY = ["weak_here", "strong_here", "taken_by_the_program", "function_with_an_entry", "protected_function"];
  const built = (flags: string[]): Promise<string> =>
    freestanding("a-symbol-is-bound-as-its-kind-says", [
      { path: "liblast.so", sources: ["last.c"] },
      { path: "libsymbolic.so", sources: ["symbolic.c"], needs: ["liblast.so"], flags: ["-Wl,-Bsymbolic"] },
      { path: "liblibrary.so", sources: ["library.c"], needs: ["libsymbolic.so"] },
      {
        path: "program",
        sources: ["program.c"],
        needs: ["liblibrary.so", "libsymbolic.so", "liblast.so"],
        rpath: "$ORIGIN",
        flags,
      },
    ]);

  for (const [place, flags] of [
    ["a program that goes anywhere", []],
    ["a program at a fixed address", FIXED],
  ] as const)
    test.each([
      ["protected", ST_OTHER, 3],
      ["hidden", ST_OTHER, 2],
      ["unique", ST_INFO, 0xa1],
      ["weak", ST_INFO, 0x21],
    ] as const)(`counts: some are %s, in ${place}`, async (_, offset, value) => {
      const original = await built([...flags]);
      for (const library of ["liblibrary.so", "liblast.so"]) {
        using image = openImage(join(original, library));
        const indexes = IN_MANY.map((name) => image.find(name)).filter((index) => index !== undefined);
        const build = changed(original, library, (elf) => {
          for (const index of indexes) elf.set(elf.table(DT.SYMTAB) + 24 * index + offset, 1, value);
        });
        await expectAsLdSo(join(build, "program"));
        expectBindingsAsLdSo(join(build, "program"));
      }
    });
});

describe("tables may be", () => {
  const built = (): Promise<string> =>
    freestanding("every-relocation-is-done", [
      { path: "liblibrary.so", sources: ["library.c"], flags: ["-Wl,--defsym,absolute=0x12345"] },
      { path: "program", sources: ["program.c"], needs: ["liblibrary.so"], runpath: "$ORIGIN" },
    ]);

  test("counted twice: the calls' relocations are among the others", async () => {
    const build = changed(await built(), "liblibrary.so", (elf) =>
      elf.setDynamic(DT.RELASZ, elf.dynamicValue(DT.RELASZ) + elf.dynamicValue(DT.PLTRELSZ)),
    );
    const relocations = await expectAsLdSo(join(build, "program"));
    const slots = relocations.map(({ object, vaddr }) => `${object.name} ${vaddr}`);
    expect(slots).toEqual([...new Set(slots)]);
  });

  test("protected up to the middle of a page", async () => {
    const build = changed(await built(), "liblibrary.so", (elf) => elf.setSegment(PT.GNU_RELRO, "p_memsz", 8));
    await expectAsLdSo(join(build, "program"));
  });

  test("of a program that is found by a symbolic link", async () => {
    const link = join(mkdtempSync(join(directory, "link-")), "program");
    symlinkSync(join(await built(), "program"), link);
    await expectAsLdSo(link);
  });
});
