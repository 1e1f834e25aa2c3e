// Real images, as our reader has them and as others do: readelf for everything,
// the npm package elfinfo for small files (it is slow).

import { afterAll, describe, expect, test } from "bun:test";
import { type ELFRelocationSection, type ELFSymbolSection, getSectionByName, open } from "elfinfo";
import {
  DT_GNU_HASH,
  DT_HASH,
  DT_RELR,
  DT_VERDEF,
  ET_DYN,
  ET_EXEC,
  R_X86_64_COPY,
} from "../../../lib/elf/constants.ts";
import { type FileImage, openImage } from "../../../lib/elf/file.ts";
import type { Image } from "../../../lib/elf/image.ts";
import { Phdr } from "../../../lib/elf/phdr.ts";
import { Rela } from "../../../lib/elf/rela.ts";
import { bindingOf, isExported, typeOf } from "../../../lib/elf/sym.ts";
import { verdefsSize } from "../../../lib/elf/versions.ts";
import { toVaddr } from "../../../lib/memory/numbers.ts";
import { notesOf, plain } from "./everything.ts";
import { buildIdOf, dynamicOf, headersOf, relocationsOf, sectionSizeOf, symbolsOf, versionsOf } from "./readelf.ts";
import { Scratch } from "./scratch.ts";
import { buildSpecimens, loadedFile, realImages } from "./specimens.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());
const specimens = buildSpecimens(scratch);

const specimen = (name: string): FileImage => {
  const path = specimens[name];
  if (path === undefined) throw new Error(`No specimen is called "${name}"`);
  return openImage(path);
};

/** `name@@VERSION`, as readelf writes it. */
function labelOf(image: Image, index: number): string {
  const { symbols, versym, verdefs } = image;
  const sym = symbols.at(index);
  const name = symbols.nameOf(sym);
  const version = image.versionOf(index);
  // A version's own symbol is shown without its version, which is its name.
  if (version === undefined || version === name) return name;
  const isDefault = verdefs.some((verdef) => verdef.index === versym?.at(index)) && !versym?.isHidden(index);
  return `${name}${isDefault ? "@@" : "@"}${version}`;
}

const types: Readonly<Record<string, number>> = { DYN: ET_DYN, EXEC: ET_EXEC };

for (const [name, path] of Object.entries({ ...realImages, ...specimens })) {
  describe.skipIf(path === undefined)(
    `${name}${path === undefined ? " (not installed)" : ""}, as readelf reads it`,
    () => {
      const open = () => openImage(path ?? "");

      test("has the same headers", () => {
        using image = open();
        const { type, entry, phdrs } = headersOf(image.path);
        expect(image.ehdr.e_type).toBe(types[type ?? ""] ?? -1);
        expect(image.ehdr.e_entry as number).toBe(entry);
        expect(phdrs.length).toBeGreaterThan(2);
        expect(image.phdrs.map((phdr) => plain<object>(Phdr, phdr))).toEqual(phdrs);
      });

      test("has the same dynamic section", () => {
        using image = open();
        const { soname, needed, rpath, runpath } = image;
        const tags = image.dynamic.entries.map(({ tag }) => tag);
        expect(tags.length).toBeGreaterThan(4);
        expect({ tags, soname, needed, rpath, runpath }).toEqual(dynamicOf(image.path));
      });

      test("has the same symbols with the same versions", () => {
        using image = open();
        const symbols = Array.from(image.symbols, (sym, index) => ({
          st_value: sym.st_value as number,
          st_size: sym.st_size,
          type: typeOf(sym),
          binding: bindingOf(sym),
          st_shndx: sym.st_shndx,
          name: labelOf(image, index),
        }));
        expect(symbols).toEqual(symbolsOf(image.path));
      });

      test("defines and needs the same versions", () => {
        using image = open();
        const verneeds = image.verneeds.map(({ nameOffset, ...need }) => {
          expect(image.strings.at(nameOffset)).toBe(need.name);
          return need;
        });
        expect({ verdefs: [...image.verdefs], verneeds }).toEqual(versionsOf(image.path));
      });

      test("has the same relocations", () => {
        using image = open();
        const records = (table: Iterable<Rela>) => Array.from(table, (rela) => plain<object>(Rela, rela));
        const { rela, jmprel, relr } = relocationsOf(image.path);
        expect(records(image.rela)).toEqual(rela);
        expect(records(image.jmprel)).toEqual(jmprel);
        expect([...image.relr] as number[]).toEqual(relr);
      });

      test("has the same build ID", () => {
        using image = open();
        expect(notesOf(image).find(({ name, type }) => name === "GNU" && type === 3)?.descriptor).toBe(
          buildIdOf(image.path),
        );
      });

      test("has tables of the same sizes", () => {
        using image = open();
        const { path, dynamic, bytes } = image;
        const verdef = dynamic.get(DT_VERDEF);
        const definitions =
          verdef === undefined
            ? undefined
            : bytes.rest(bytes.vaddrOf(verdef), "DT_VERDEF", toVaddr(Number.POSITIVE_INFINITY));
        const sizes: Record<string, number | undefined> = {
          gnuHash: image.gnuHash?.size,
          sysvHash: image.sysvHash?.size,
          verdefs: definitions && verdefsSize(path, definitions),
          strings: image.strings.size,
          symbols: image.symbols.view.byteLength,
        };
        expect(sizes).toEqual({
          gnuHash: sectionSizeOf(path, ".gnu.hash"),
          sysvHash: sectionSizeOf(path, ".hash"),
          verdefs: sectionSizeOf(path, ".gnu.version_d"),
          strings: sectionSizeOf(path, ".dynstr"),
          symbols: sectionSizeOf(path, ".dynsym"),
        });
      });

      test("finds every exported symbol by name and version", () => {
        using image = open();
        const { symbols, strings, versym } = image;
        for (const [index, sym] of [...symbols].entries()) {
          if (!isExported(sym)) continue;
          const name = strings.bytesAt(sym.st_name);
          expect(image.findReferenced(name, image.versionOf(index))).toBe(index);
          if (!versym?.isHidden(index)) expect(image.find(name)).toBe(index);
        }
      });
    },
  );
}

describe("the specimens show what they were made for", () => {
  test("symbol versions", () => {
    using image = specimen("symbol versions");
    const version = (name: string, wanted?: string) => {
      const index = wanted === undefined ? image.find(name) : image.findReferenced(name, wanted);
      return index === undefined ? undefined : labelOf(image, index);
    };
    expect(image.soname).toBe("libversioned.so.1");
    expect(version("red")).toBe("red@@RED_2");
    expect(version("red", "RED_1")).toBe("red@RED_1");
    expect(version("blue", "RED_1")).toBe("blue@@RED_1");
    expect(version("blue", "RED_2")).toBeUndefined();
    expect(version("green", "RED_2")).toBe("green"); // no version: it goes for any
    expect(version("chosen")).toBeUndefined();
    expect(image.verdefs.map(({ name }) => name)).toEqual(["libversioned.so.1", "RED_1", "RED_2"]);
  });

  test("hash styles", () => {
    const tags = (name: string) => {
      using image = specimen(name);
      return [DT_HASH, DT_GNU_HASH].map((tag) => image.dynamic.get(tag) !== undefined);
    };
    expect(tags("a SysV hash table alone")).toEqual([true, false]);
    expect(tags("a GNU hash table alone")).toEqual([false, true]);
  });

  test("packed relative relocations", () => {
    using image = specimen("packed relative relocations");
    expect(image.dynamic.get(DT_RELR)).toBeDefined();
    // 80 of the pointers in a row are more than one bitmap holds
    expect([...image.relr].length).toBeGreaterThanOrEqual(83);
  });

  test("no exported symbol", () => {
    using image = specimen("no exported symbol");
    expect(image.gnuHash?.isEmpty).toBe(true);
    expect(Array.from(image.symbols, (sym) => image.symbols.nameOf(sym))).toContain("puts");
  });

  test("an old-style run path", () => {
    using image = specimen("an old-style run path");
    expect(image.rpath).toBe("$ORIGIN/../lib:/opt/run");
    expect(image.runpath).toBeUndefined();
  });

  test("a fixed address and COPY relocations", () => {
    using image = specimen("a fixed address and COPY relocations");
    expect(image.ehdr.e_type).toBe(ET_EXEC);
    const copied = [...image.rela].filter(({ r_type }) => r_type === R_X86_64_COPY);
    expect(copied.map(({ r_sym }) => labelOf(image, r_sym))).toEqual(["stdout@GLIBC_2.2.5"]);
    // ld.so finds the copy for whoever wants the library's object
    expect(image.findReferenced("stdout", "GLIBC_2.2.5")).toBe(copied[0]?.r_sym);
    expect(image.find("stdout")).toBe(copied[0]?.r_sym);
    expect(image.findReferenced("stdout", "GLIBC_2.3")).toBeUndefined();
  });
});

// elfinfo takes minutes for libc.
for (const [name, path] of Object.entries({ "libdl.so.2": loadedFile("libdl.so.2"), ...specimens })) {
  test(`${name}, as elfinfo reads it`, async () => {
    using image = openImage(path);
    const { success, elf, errors } = await open(path);
    expect(errors).toEqual([]);
    if (!success || !elf) throw new Error(`elfinfo cannot read "${path}"`);

    expect(elf.type as number).toBe(image.ehdr.e_type);
    expect(Number(elf.entryPoint)).toBe(image.ehdr.e_entry);
    expect(
      image.phdrs.map(({ p_type, p_flags, p_offset, p_vaddr, p_filesz, p_memsz }): number[] => [
        ...[p_type, p_flags, p_offset, p_vaddr, p_filesz, p_memsz],
      ]),
    ).toEqual(
      elf.segments.map(({ type, flags, offset, vaddr, filesz, memsz }) =>
        [type, flags, offset, vaddr, filesz, memsz].map(Number),
      ),
    );

    const { symbols } = getSectionByName(elf, ".dynsym") as ELFSymbolSection;
    expect(
      Array.from(image.symbols, (sym): [string, ...number[]] => [
        ...([image.symbols.nameOf(sym), sym.st_value, sym.st_size, sym.st_info, sym.st_other, sym.st_shndx] as const),
      ]),
    ).toEqual(
      symbols.map(({ name, value, size, info, other, shndx }) => [
        name,
        ...[value, size, info, other, shndx].map(Number),
      ]),
    );

    for (const [section, table] of [
      [".rela.dyn", image.rela],
      [".rela.plt", image.jmprel],
    ] as const) {
      const theirs = (getSectionByName(elf, section) as ELFRelocationSection | undefined)?.relocations ?? [];
      expect(
        Array.from(table, ({ r_offset, r_type, r_sym, r_addend }): number[] => [r_offset, r_type, r_sym, r_addend]),
      ).toEqual(
        theirs.map(({ addr, type, symbolIndex, addend }) =>
          [addr, type, symbolIndex, BigInt.asIntN(64, BigInt(addend ?? 0))].map(Number),
        ),
      );
    }
  });
}
