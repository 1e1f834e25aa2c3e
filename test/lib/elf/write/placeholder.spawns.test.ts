// Placeholders: read back by our own reader and by others', and loaded by glibc beneath programs that were linked to
// the real libraries.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { checkFile } from "../../../../lib/elf/check.ts";
import {
  PF_R,
  PF_W,
  PF_X,
  PT_DYNAMIC,
  PT_GNU_STACK,
  PT_LOAD,
  SHN_ABS,
  SHN_UNDEF,
  STB_GLOBAL,
  STB_GNU_UNIQUE,
  STB_LOCAL,
  STT_FUNC,
  STT_GNU_IFUNC,
  STT_NOTYPE,
  STT_OBJECT,
  STT_TLS,
} from "../../../../lib/elf/constants.ts";
import { type FileImage, openImage } from "../../../../lib/elf/file.ts";
import { bindingOf, isExported, typeOf } from "../../../../lib/elf/sym.ts";
import { placeholderOf } from "../../../../lib/elf/write/placeholder.ts";
import { emitPlaceholderCode } from "../../../../lib/elf/write/placeholder-code.ts";
import { toVaddr } from "../../../../lib/memory/numbers.ts";
import { Search } from "../../../../lib/tree/search.ts";
import { Tree } from "../../../../lib/tree/tree.ts";
import { Assembler } from "../../../../lib/x86-64/assembler.ts";
import { PROFILES } from "../../../../src/profiles/profiles.ts";
import { type RunOptions, run } from "../../../support/run.ts";
import { type Suite, tree } from "../../../support/trees.ts";
import { agreement, disassemble } from "../../x86-64/disassemble.ts";
import { installed, Scratch } from "../scratch.ts";
import { buildSpecimens, loadedFile } from "../specimens.ts";
import { expectSameByElfinfo, readelf, symbolsByReadelf } from "./parse.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());
const specimens = buildSpecimens(scratch);

const AGENT = "libagent.so";
const fixed = { agent: AGENT, attach: "attach", owner: "workshop", status: 125 };

/** Writes the placeholder of a file, for a process to load, and returns its path. */
function placeholder(path: string, directory: string, needed: readonly string[] = []): string {
  using source = openImage(path);
  const soname = source.soname ?? path.slice(path.lastIndexOf("/") + 1);
  mkdirSync(scratch.path(directory), { recursive: true });
  return scratch.write(`${directory}/${soname}`, placeholderOf(source, { ...fixed, soname, needed }));
}

const PALETTE = `
int blue(void) { return 3; }
int azure(void) __attribute__((alias("blue")));
int shades[4] = { 10, 20, 30, 40 };
extern int tints[4] __attribute__((weak, alias("shades"))); // of strong ones ld makes two copies
int second_shade __attribute__((section(".data"))) = 50;
const char label[] = "palette";
char nothing[100];
long wide __attribute__((aligned(64))) = 60;
__thread int brush = 70;
static int chosen(void) { return 5; }
static void *choose(void) { return chosen; }
int indirect(void) __attribute__((ifunc("choose")));
int other_indirect(void) __attribute__((ifunc("choose")));
__asm__(".globl inside\\n.set inside, shades + 8\\n.type inside, @object\\n.size inside, 4");
__asm__(".globl unique\\n.type unique, @gnu_unique_object\\n.size unique, 4\\n.data\\nunique: .long 80\\n.text");
__asm__(".globl bare\\nbare: ret");
#ifdef FAR
char far[0x90000000UL];
int behind_far;
#endif
#ifdef VERSIONS
int red_1(void) { return 1; }
int red_2(void) { return 2; }
__asm__(".symver red_1,red@PALETTE_1");
__asm__(".symver red_2,red@@PALETTE_2");
#else
int red(void) { return 2; }
#endif
`;
const versions = scratch.write(
  "palette.map",
  "PALETTE_1 { global: *; local: red_1; red_2; };\nPALETTE_2 { red; } PALETTE_1;\n",
);
const shared = ["-shared", "-fPIC", "-O1", "-Wl,-soname,libpalette.so.1"];
const versioned = [...shared, "-DVERSIONS", `-Wl,--version-script=${versions}`];
for (const kind of ["gnu", "sysv", "both", "far"]) mkdirSync(scratch.path(`real-${kind}`));
const FAR = "more zeroes than code reaches over";
/** In bytes, of an object. */
const MOST_COMPARED = 2 ** 20;
const palettes = {
  "GNU hash and versions": scratch.compile("real-gnu/libpalette.so.1", PALETTE, ...versioned, "-Wl,--hash-style=gnu"),
  "SysV hash and versions": scratch.compile(
    "real-sysv/libpalette.so.1",
    PALETTE,
    ...versioned,
    "-Wl,--hash-style=sysv",
  ),
  "both hashes and no versions": scratch.compile(
    "real-both/libpalette.so.1",
    PALETTE,
    ...shared,
    "-Wl,--hash-style=both",
  ),
  [FAR]: scratch.compile("real-far/libpalette.so.1", PALETTE, ...[...shared, "-DFAR", "-mcmodel=large"]),
};

const sources: Record<string, string | undefined> = {
  ...palettes,
  "libc.so.6": loadedFile("libc.so.6"),
  "libGL.so.1": installed("libGL.so.1"),
  "libX11.so.6": installed("libX11.so.6"),
  "libstdc++.so.6": installed("libstdc++.so.6"),
  "symbol versions": specimens["symbol versions"],
  "no exported symbol": specimens["no exported symbol"],
  "no symbol and no library": specimens["no symbol and no library"],
};

describe("the code", () => {
  test("is as listed", () => {
    const assembler = new Assembler();
    const text = new TextEncoder().encode("some text");
    const places = { header: -0x5000, symbols: -0x4ee0, strings: -0x3000, slot: -0x1008 };
    emitPlaceholderCode(assembler, { ...places, stubs: 3, before: text, after: text, status: 125 });
    const code = assembler.assemble();
    const [listed, found] = agreement(code, disassemble(code, scratch));
    expect(found.length).toBeGreaterThan(20);
    expect(found).toEqual(listed);
  });

  test("has a stub for each function, with its index and a jump to what all have in common", () => {
    using image = openImage(placeholder(palettes["GNU hash and versions"], "stubs"));
    const text = image.loads[1];
    const init = image.dynamic.get(12) ?? 0;
    const missing = init + 16;
    const functions = [...image.symbols].filter((sym) => typeOf(sym) === STT_FUNC);
    expect(functions.length).toBeGreaterThan(5);
    for (const { st_value } of functions) {
      expect(st_value as number).toBeGreaterThan(text?.p_vaddr ?? 0);
      const stub = image.bytes.view(st_value, 16, "stub");
      expect([stub.getUint8(0), stub.getUint8(5)]).toEqual([0x68, 0xe9]);
      expect(image.symbols.at(stub.getUint32(1, true)).st_value).toBe(st_value);
      expect(st_value + 10 + stub.getInt32(6, true)).toBe(missing);
    }
  });
});

for (const [name, path] of Object.entries(sources)) {
  describe.skipIf(path === undefined)(`a placeholder of ${name}${path === undefined ? " (not installed)" : ""}`, () => {
    const open = () => {
      const written = placeholder(path ?? "", `read-${name}`, ["libneeded.so.1"]);
      return [openImage(path ?? ""), openImage(written)] as const;
    };

    test("has a place for every function and object, and all else of a symbol as it was", () => {
      const [source, image] = open();
      using _ = { [Symbol.dispose]: () => [source, image].map((opened) => opened[Symbol.dispose]()) };
      expect(image.symbols.length).toBe(source.symbols.length + 1);
      const [near, text, far] = image.loads;
      for (const [index, original] of [...source.symbols].entries()) {
        const sym = image.symbols.at(index);
        expect([sym.st_name, sym.st_size, sym.st_other]).toEqual([
          original.st_name,
          original.st_size,
          original.st_other,
        ]);
        if ([SHN_UNDEF, SHN_ABS].includes(original.st_shndx)) {
          expect([sym.st_shndx, sym.st_value, sym.st_info]).toEqual([
            original.st_shndx,
            original.st_value,
            original.st_info,
          ]);
          continue;
        }
        const unique = bindingOf(original) === STB_GNU_UNIQUE;
        expect(bindingOf(sym)).toBe(unique ? STB_GLOBAL : bindingOf(original));
        if (typeOf(original) === STT_TLS || bindingOf(original) === STB_LOCAL) {
          expect([sym.st_shndx, sym.st_value as number, typeOf(sym)]).toEqual([SHN_UNDEF, 0, STT_NOTYPE]);
          continue;
        }
        expect([SHN_UNDEF, SHN_ABS]).not.toContain(sym.st_shndx);
        const kind = typeOf(sym);
        const expected = typeOf(original) === STT_GNU_IFUNC ? STT_FUNC : typeOf(original);
        expect([expected, ...(expected === STT_NOTYPE ? [STT_FUNC] : [])]).toContain(kind);
        const isFar = far !== undefined && sym.st_value >= far.p_vaddr;
        const segment = kind === STT_FUNC ? text : isFar ? far : near;
        expect(sym.st_value as number).toBeGreaterThanOrEqual(segment?.p_vaddr ?? 0);
        if (kind === STT_FUNC) continue;
        expect(sym.st_value % 64).toBe(original.st_value % 64);
        expect(sym.st_value + sym.st_size).toBeLessThanOrEqual((segment?.p_vaddr ?? 0) + (segment?.p_memsz ?? 0));
        const size = Math.min(sym.st_size, MOST_COMPARED);
        expect(contentOf(image, sym.st_value, size)).toEqual(contentOf(source, original.st_value, size));
      }
    });

    test("tells apart what is apart, and keeps together what is together", () => {
      const [source, image] = open();
      using _ = { [Symbol.dispose]: () => [source, image].map((opened) => opened[Symbol.dispose]()) };
      const before = new Map<number, number>();
      const after = new Map<number, number>();
      for (const [index, original] of [...source.symbols].entries()) {
        const sym = image.symbols.at(index);
        if (!isExported(original) || !isExported(sym) || original.st_shndx === SHN_ABS) continue;
        // resolvers may be one, what they choose need not be
        if (typeOf(original) === STT_GNU_IFUNC) continue;
        expect(before.get(sym.st_value) ?? original.st_value).toBe(original.st_value);
        expect(after.get(original.st_value) ?? sym.st_value).toBe(sym.st_value);
        before.set(sym.st_value, original.st_value);
        after.set(original.st_value, sym.st_value);
      }
    });

    test("finds every name of every version by its hash tables", () => {
      const [source, image] = open();
      using _ = { [Symbol.dispose]: () => [source, image].map((opened) => opened[Symbol.dispose]()) };
      for (const [index, sym] of [...source.symbols].entries()) {
        if (!isExported(sym)) continue;
        const text = source.strings.bytesAt(sym.st_name);
        const expected = typeOf(sym) === STT_TLS ? undefined : index;
        expect(image.findReferenced(text, source.versionOf(index))).toBe(expected);
        if (source.find(text) === index) expect(image.find(text)).toBe(expected);
      }
      expect(image.find("attach")).toBeUndefined();
      expect(image.verdefs).toEqual(source.verdefs);
      expect(image.verneeds).toEqual([]);
    });

    test("needs what it was told to and then the agent, whose function it imports", () => {
      const [source, image] = open();
      using _ = { [Symbol.dispose]: () => [source, image].map((opened) => opened[Symbol.dispose]()) };
      expect(image.needed).toEqual(["libneeded.so.1", AGENT]);
      expect(image.soname).toBe(source.soname ?? (path ?? "").slice((path ?? "").lastIndexOf("/") + 1));
      const [relocation, ...others] = [...image.rela];
      expect(others).toEqual([]);
      const wanted = image.symbols.at(relocation?.r_sym ?? 0);
      expect([image.symbols.nameOf(wanted), wanted.st_shndx]).toEqual(["attach", SHN_UNDEF]);
      expect(image.phdrs.map(({ p_type, p_flags }) => [p_type, p_flags])).toEqual([
        [PT_LOAD, PF_R | PF_W],
        [PT_LOAD, PF_R | PF_X],
        ...(path === palettes[FAR] ? [[PT_LOAD, PF_R | PF_W]] : []),
        [PT_DYNAMIC, PF_R | PF_W],
        [PT_GNU_STACK, PF_R | PF_W],
      ]);
    });

    test("holds together: by our own check, by readelf and by elfinfo", async () => {
      const [source, image] = open();
      using _ = { [Symbol.dispose]: () => [source, image].map((opened) => opened[Symbol.dispose]()) };
      checkFile(image.path);
      readelf(image.path, "-a");
      readelf(image.path, "-a", "-D");
      const own = Array.from(image.symbols, (sym) => [sym.st_value as number, sym.st_size, image.symbols.nameOf(sym)]);
      expect(symbolsByReadelf(image.path).map(({ value, size, name }) => [value, size, name] as const)).toEqual(
        own as [number, number, string][],
      );
      await expectSameByElfinfo(image);
    });
  });
}

/** As far as the file has it; zeroes behind that. */
function contentOf(image: FileImage, vaddr: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  const load = image.loads.find(({ p_vaddr, p_memsz }) => vaddr >= p_vaddr && vaddr < p_vaddr + p_memsz);
  const length = load ? Math.min(size, load.p_vaddr + load.p_filesz - vaddr) : 0;
  if (length <= 0) return bytes;
  const view = image.bytes.view(toVaddr(vaddr), length, "content");
  bytes.set(new Uint8Array(view.buffer, view.byteOffset, length));
  return bytes;
}

test("symbols that overlap in the source overlap in the same way", () => {
  using image = openImage(placeholder(palettes["GNU hash and versions"], "overlap"));
  const at = (name: string): number => image.symbols.at(image.find(name) ?? 0).st_value;
  expect(at("tints")).toBe(at("shades"));
  expect(at("inside")).toBe(at("shades") + 8);
  expect(at("azure")).toBe(at("blue"));
  expect(at("indirect")).not.toBe(at("other_indirect"));
  expect(typeOf(image.symbols.at(image.find("bare") ?? 0))).toBe(STT_FUNC);
  expect(typeOf(image.symbols.at(image.find("label") ?? 0))).toBe(STT_OBJECT);
});

test("the end of an object is nobody's beginning, though it is in the source", () => {
  const code = `__asm__(".balign 64\\n.data\\n.globl red, blue\\n.type red, @object\\n.type blue, @object\\n"
    ".size red, 64\\n.size blue, 64\\nred: .zero 64, 1\\nblue: .zero 64, 2\\n"
    ".bss\\n.globl dark, black\\n.type dark, @object\\n.type black, @object\\n"
    ".size dark, 64\\n.size black, 64\\ndark: .zero 64\\nblack: .zero 64\\n.text");`;
  using source = openImage(scratch.compile("libneighbours.so.1", code, "-shared", "-Wl,-soname,libneighbours.so.1"));
  using image = openImage(placeholder(source.path, "neighbours"));
  for (const [first, second] of [
    ["red", "blue"],
    ["dark", "black"],
  ] as const) {
    const distanceIn = (opened: FileImage): number => {
      const [one = 0, other = 0] = [first, second].map((name) => opened.symbols.at(opened.find(name) ?? 0).st_value);
      return other - one;
    };
    expect(distanceIn(source)).toBe(64);
    // The end of the first is still an address of the first alone, and the second is aligned as it was.
    expect(distanceIn(image)).toBeGreaterThan(64);
    expect(distanceIn(image) % 64).toBe(0);
  }
});

const ATTACHING = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
void attach(volatile unsigned char *header) {
  Dl_info info;
  if (!dladdr((void *)header, &info)) { puts("attach: the header is nobody's"); return; }
  const char *name = strrchr(info.dli_fname, '/');
  int is_header = info.dli_fbase == header && header[0] == 0x7f && header[1] == 'E';
  header[0] = 0x7f; // it can be written to
  printf("attach: %s, %s\\n", name ? name + 1 : info.dli_fname, is_header ? "by its ELF header" : "by another address");
}`;

const PROGRAM = `
#include <stdio.h>
#include <string.h>
extern int shades[4], tints[4], unique;
extern const char label[];
extern char nothing[100];
extern long wide;
int red(void), blue(void), brown(void), indirect(void);
int main(int argc, char **argv) {
  int *volatile one = tints, *volatile other = shades; // or the compiler knows that they differ
  printf("shades %d %d %d %d\\n", shades[0], shades[1], shades[2], shades[3]);
  printf("one storage: %s\\n", one == other ? "yes" : "no");
  printf("%s, wide %ld, unique %d, nothing %d\\n", label, wide, unique, nothing[99]);
  fflush(stdout);
  int (*by_pointer)(void) = blue;
  if (argc > 1 && !strcmp(argv[1], "red")) return red();
  if (argc > 1 && !strcmp(argv[1], "blue")) return by_pointer();
  if (argc > 1 && !strcmp(argv[1], "brown")) return brown();
  if (argc > 1 && !strcmp(argv[1], "indirect")) return indirect();
  return 0;
}`;

const EARTH = "int brown(void) { return 1; }";

describe("beneath a program that was linked to the real libraries", () => {
  beforeAll(() => {
    mkdirSync(scratch.path("agent"));
    scratch.compile(`agent/${AGENT}`, ATTACHING, "-shared", "-fPIC", `-Wl,-soname,${AGENT}`, "-ldl");
    scratch.compile("libearth.so.1", EARTH, "-shared", "-fPIC", "-Wl,-soname,libearth.so.1");
  });

  const facts = ["shades 10 20 30 40", "one storage: yes", "palette, wide 60, unique 80, nothing 0"];
  const attached = ["attach: libearth.so.1, by its ELF header", "attach: libpalette.so.1, by its ELF header"];

  for (const [kind, palette] of Object.entries(palettes)) {
    const key = kind.replaceAll(" ", "-");
    const earth = scratch.path("libearth.so.1");
    const link = (...flags: string[]) =>
      scratch.compile(`program-${key}${flags.join("")}`, PROGRAM, ...flags, palette, earth);
    const start = (program: string, args: string[], env: Record<string, string> = {}, options: RunOptions = {}) => {
      placeholder(palette, key, ["libearth.so.1"]);
      placeholder(earth, key);
      const LD_LIBRARY_PATH = `${scratch.path(key)}:${scratch.path("agent")}`;
      return run([program, ...args], { ...options, env: { LD_LIBRARY_PATH, ...env } });
    };

    describe(kind, () => {
      test("COPY relocations take the objects' content, and each object attaches once", async () => {
        const program = link("-no-pie", "-fno-pie");
        expect(readelf(program, "-r")).toContain("R_X86_64_COPY");
        const real = { LD_LIBRARY_PATH: `${dirname(palette)}:${scratch.directory}` };
        expect((await run([program], { env: real })).stdout.trimEnd().split("\n")).toEqual(facts);
        const { stdout, stderr, exitCode } = await start(program, []);
        expect([stdout.trimEnd().split("\n"), stderr, exitCode]).toEqual([[...attached, ...facts], "", 0]);
      });

      test("a position-independent program finds them by its GOT, also when all is bound at once", async () => {
        const program = link("-pie", "-fPIE");
        for (const env of [{}, { LD_BIND_NOW: "1" }] as Record<string, string>[]) {
          const { stdout, stderr, exitCode } = await start(program, [], env);
          expect([stdout.trimEnd().split("\n"), stderr, exitCode]).toEqual([[...attached, ...facts], "", 0]);
        }
      });

      test.each([
        ["red", "libpalette.so.1"],
        ["blue", "libpalette.so.1"],
        ["indirect", "libpalette.so.1"],
        ["brown", "libearth.so.1"],
      ])("%s, of %s, says that nobody has linked it", async (name, soname) => {
        for (const flags of [
          ["-no-pie", "-fno-pie", "-Wl,-z,lazy"],
          ["-pie", "-fPIE", "-Wl,-z,now"],
        ]) {
          const { stdout, stderr, exitCode } = await start(link(...flags), [name]);
          expect(stdout.trimEnd().split("\n")).toEqual([...attached, ...facts]);
          // an alias is called by the name that comes first in the table
          const line = (word: string) => `workshop: "${word}" of "${soname}" is called, and was never linked\n`;
          expect(name === "blue" ? [line("blue"), line("azure")] : [line(name)]).toContain(stderr);
          expect(exitCode).toBe(125);
        }
      });
    });
  }

  test("a version that the library does not have is missed by ld.so", async () => {
    const map = scratch.write(
      "later.map",
      "PALETTE_1 { global: *; local: red_1; red_2; };\nPALETTE_2 { red; } PALETTE_1;\nPALETTE_3 { blue; } PALETTE_2;\n",
    );
    mkdirSync(scratch.path("real-later"), { recursive: true });
    const later = scratch.compile(
      "real-later/libpalette.so.1",
      PALETTE,
      ...[...shared, "-DVERSIONS", `-Wl,--version-script=${map}`],
    );
    const program = scratch.compile("program-later", PROGRAM, later, scratch.path("libearth.so.1"));
    placeholder(palettes["GNU hash and versions"], "earlier");
    placeholder(scratch.path("libearth.so.1"), "earlier");
    const LD_LIBRARY_PATH = `${scratch.path("earlier")}:${scratch.path("agent")}`;
    const { stderr, exitCode } = await run([program], { env: { LD_LIBRARY_PATH } });
    expect(stderr).toMatch(/libpalette\.so\.1: version .PALETTE_3' not found/);
    expect(exitCode).toBe(1);
  });
});

const OPENER = `
#include <dlfcn.h>
#include <stdio.h>
int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    void *handle = dlopen(argv[i], RTLD_NOW);
    if (handle) printf("%s: open\\n", argv[i]); else printf("%s\\n", dlerror());
  }
}`;

describe("of the libraries that are isolated", () => {
  test.each(["bullseye", "bookworm", "trixie"] as Suite[])("all of a tree of %s can be opened", async (suite) => {
    const search = new Search(new Tree(await tree(suite)));
    const sonames = [...new Set(Object.values(PROFILES).flatMap(({ isolate, newest }) => [...isolate, ...newest]))];
    const found = sonames.flatMap((soname) => search.find(soname, undefined) ?? []);
    const names = found.map(({ library }) => library.soname);
    expect(names.length).toBeGreaterThan(12);
    for (const { path, library } of found) {
      const needed = library.needed.filter((name) => names.includes(name));
      checkFile(placeholder(path, suite, needed));
    }
    mkdirSync(scratch.path("silent"), { recursive: true });
    const quiet = "void attach(void *header) { (void)header; }";
    scratch.compile(`silent/${AGENT}`, quiet, "-shared", "-fPIC", `-Wl,-soname,${AGENT}`);
    const LD_LIBRARY_PATH = `${scratch.path(suite)}:${scratch.path("silent")}`;
    const program = scratch.compile("opener", OPENER, "-ldl");
    const env = { LD_LIBRARY_PATH, LD_BIND_NOW: "1" };
    const { stdout, stderr } = await run([program, ...names], { env });
    expect([stdout.trimEnd().split("\n"), stderr]).toEqual([names.map((name) => `${name}: open`), ""]);
  });
});

test("what is no library has no placeholder", () => {
  const path = scratch.path("text");
  writeFileSync(path, "no ELF file");
  expect(() => placeholder(path, "none")).toThrow("not an ELF file");
});
