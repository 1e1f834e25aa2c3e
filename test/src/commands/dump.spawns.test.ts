// `capsule dump`: golden dumps of small images, and what is left of damaged ones.

import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ElfError } from "../../../lib/elf/error.ts";
import { Subject } from "../../../src/commands/dump/subject.ts";
import { dataOf, linesOf } from "../../../src/commands/dump.ts";
import { half, word, xword } from "../../lib/elf/bytes.ts";
import { run as runTool, Scratch } from "../../lib/elf/scratch.ts";
import { changed, smallImage, withDynamic, withoutDynamic } from "../../lib/elf/small-image.ts";
import { buildSpecimens } from "../../lib/elf/specimens.ts";
import { command, type Outcome, repository } from "../../support/run.ts";

const capsule = (...args: string[]): Promise<Outcome> => command([...args]);

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());
const specimens = buildSpecimens(scratch);
const versioned = specimens["symbol versions"] ?? "";
const { bytes: small, at } = smallImage();
const smallFile = scratch.write("libsmall.so.1", small);

type PartName = Parameters<typeof linesOf>[1] extends readonly (infer Name)[] | undefined ? Name : never;

/** The lines of some parts, or of all, without the path in front. */
function dumped(path: string, ...parts: PartName[]): string[] {
  using subject = new Subject(path);
  const lines = [...linesOf(subject, ...(parts.length > 0 ? [parts] : []))].join("").split("\n");
  return lines.slice(2, -1);
}

function dataIn(path: string, ...parts: PartName[]): Record<string, unknown> {
  using subject = new Subject(path);
  return JSON.parse(JSON.stringify(dataOf(subject, ...(parts.length > 0 ? [parts] : []))));
}

let count = 0;
const written = (bytes: Uint8Array): string => scratch.write(`image-${++count}`, bytes);

test("a small image, whole", () => {
  expect(dumped(smallFile).join("\n")).toBe(
    `
ELF header
  type             ET_DYN
  machine          EM_X86_64
  ABI              ELFOSABI_SYSV, version 0
  version          1
  flags            0x0
  entry point      none
  header size      64 bytes
  program headers  4 of 56 bytes, at offset 0x40
  section headers  none

Program headers: 4
  type        mode  offset   vaddr  in file  in memory  align
  PT_LOAD     r--      0x0     0x0    0x350      0x350    0x8
  PT_LOAD     rw-    0x350  0x1350    0x1e0      0x1e0    0x8
  PT_DYNAMIC  rw-    0x380  0x1380    0x1b0      0x1b0    0x8
  PT_NOTE     r--    0x120   0x120     0x18       0x18    0x8

Section headers: none

Dynamic section: 26 entries before DT_NULL
  DT_NEEDED      libc.so.6
  DT_SONAME      libsmall.so.1
  DT_RUNPATH     /opt/run
  DT_HASH        0x138
  DT_GNU_HASH    0x160
  DT_STRTAB      0x220
  DT_STRSZ       72 bytes
  DT_SYMTAB      0x190
  DT_SYMENT      24 bytes
  DT_RELA        0x2f8
  DT_RELASZ      48 bytes
  DT_RELAENT     24 bytes
  DT_RELACOUNT   1
  DT_JMPREL      0x328
  DT_PLTRELSZ    24 bytes
  DT_PLTREL      DT_RELA
  DT_PLTGOT      0x1350
  DT_RELR        0x340
  DT_RELRSZ      16 bytes
  DT_RELRENT     8 bytes
  DT_VERSYM      0x268
  DT_VERDEF      0x278
  DT_VERDEFNUM   3
  DT_VERNEED     0x2d8
  DT_VERNEEDNUM  1
  DT_FLAGS_1     0x800  DF_1_NODEFLIB

Versions defined: 3
  1  libsmall.so.1  (the file itself)
  2  V1
  3  V2             inherits V1
Versions needed: 1
  of libc.so.6
    4  GLIBC_2.2.5

Functions that run when it is loaded and unloaded: none

Notes: 1
  GNU  NT_GNU_BUILD_ID  0102030405060708

Thread-local storage: none

Relocations, DT_RELA at vaddr 0x2f8: 2
  1 R_X86_64_RELATIVE, 1 R_X86_64_64
  0x1350  R_X86_64_RELATIVE  0x10
  0x1358  R_X86_64_64        table@@V2 - 0x4

Relocations, DT_JMPREL at vaddr 0x328: 1
  1 R_X86_64_JUMP_SLOT
  0x1360  R_X86_64_JUMP_SLOT  puts@GLIBC_2.2.5

Relocations, DT_RELR at vaddr 0x340: 2
  0x1368  R_X86_64_RELATIVE  0xeeeeeeeeeeeeeeee
  0x1378  R_X86_64_RELATIVE  0xeeeeeeeeeeeeeeee`.slice(1),
  );
});

test("a small image, as data", () => {
  expect(dataIn(smallFile)).toMatchObject({
    path: smallFile,
    header: { ei_osabi: "ELFOSABI_SYSV", e_type: "ET_DYN", e_machine: "EM_X86_64", e_phnum: 4, e_phoff: 64 },
    segments: [{ p_type: "PT_LOAD", p_flags: ["PF_R"], p_filesz: at("data") }, {}, { p_type: "PT_DYNAMIC" }, {}],
    sections: null,
    versions: {
      defined: [
        { index: 1, name: "libsmall.so.1", isBase: true, isWeak: false, parents: [] },
        { index: 2, name: "V1", isBase: false, isWeak: false, parents: [] },
        { index: 3, name: "V2", isBase: false, isWeak: false, parents: ["V1"] },
      ],
      needed: [{ file: "libc.so.6", versions: [{ index: 4, name: "GLIBC_2.2.5", isWeak: false }] }],
    },
    init: {},
    notes: [{ name: "GNU", type: "NT_GNU_BUILD_ID", meaning: "0102030405060708", descriptor: "0102030405060708" }],
    tls: null,
    relocations: {
      DT_RELA: [
        { r_offset: 0x1350, r_type: "R_X86_64_RELATIVE", r_sym: 0, r_addend: 16 },
        { r_offset: 0x1358, r_type: "R_X86_64_64", r_sym: 5, symbol: "table@@V2", r_addend: -4 },
      ],
      DT_JMPREL: [
        { r_offset: 0x1360, r_type: "R_X86_64_JUMP_SLOT", r_sym: 1, symbol: "puts@GLIBC_2.2.5", r_addend: 0 },
      ],
      DT_RELR: [
        { r_offset: 0x1368, value: "0xeeeeeeeeeeeeeeee" },
        { r_offset: 0x1378, value: "0xeeeeeeeeeeeeeeee" },
      ],
    },
    faults: [],
  });
  expect(dataIn(smallFile, "dynamic")).toMatchObject({
    dynamic: expect.arrayContaining([
      { tag: "DT_NEEDED", value: 15, string: "libc.so.6" },
      { tag: "DT_STRSZ", value: 72 },
      { tag: "DT_FLAGS_1", value: 0x800, flags: ["DF_1_NODEFLIB"] },
    ]),
  });
});

describe("what a compiler makes", () => {
  test("has sections, by name, type and flags", () => {
    const lines = dumped(versioned, "sections").map((line) => line.trim().split(/ +/).slice(1, 4));
    expect(lines).toContainEqual([".init_array", "SHT_INIT_ARRAY", "wa"]);
    expect(lines).toContainEqual([".gnu.version_d", "SHT_GNU_verdef", "a"]);
    expect(lines).toContainEqual([".text", "SHT_PROGBITS", "ax"]);
  });

  test("has an interpreter, where it is a program", () => {
    const lines = dumped(specimens["a position-independent program"] ?? "", "segments");
    expect(lines.at(-1)).toBe("  interpreter /lib64/ld-linux-x86-64.so.2");
    expect(lines).toContainEqual(expect.stringMatching(/^ {2}PT_GNU_STACK +rw- +0x0 +0x0 +0x0 +0x0 +0x10$/));
  });

  test("relocates in all ways, by the psABI's names", () => {
    const library = dumped(versioned, "relocations").join("\n");
    expect(library).toMatch(/^ {2}0x[0-9a-f]+ {2}R_X86_64_64 +blue@@RED_1$/m);
    expect(library).toMatch(/^ {2}0x[0-9a-f]+ {2}R_X86_64_64 +table \+ 0x8$/m);
    expect(library).toMatch(/^ {2}0x[0-9a-f]+ {2}R_X86_64_JUMP_SLOT +puts@GLIBC_2\.2\.5$/m);
    const fixed = dumped(specimens["a fixed address and COPY relocations"] ?? "", "relocations").join("\n");
    expect(fixed).toMatch(/^ {2}0x[0-9a-f]+ {2}R_X86_64_COPY +stdout@GLIBC_2\.2\.5$/m);
  });

  test("runs functions that its relocations tell, whatever is in the slots", () => {
    const library = scratch.compile(
      "libruns.so",
      `static void __attribute__((constructor)) go(void) {} void shown(void) {}
       extern void other(void); __attribute__((section(".init_array"), used)) static void (*late)(void) = other;`,
      ...["-shared", "-fPIC", "-nostartfiles"],
    );
    const { init, relocations } = dataIn(library, "init", "relocations") as Record<string, Record<string, unknown[]>>;
    const [first] = (relocations?.DT_RELA ?? []) as { r_addend: number }[];
    expect(init).toEqual({ DT_INIT_ARRAY: [{ vaddr: first?.r_addend }, { symbol: "other" }] });
    // as lld leaves them
    const bytes = readFileSync(library);
    const slots = sectionOf(library, ".init_array");
    bytes.fill(0, slots, slots + 16);
    expect(dataIn(written(bytes), "init").init).toEqual(init);
    expect(dumped(library, "init")).toEqual([
      "Functions that run when it is loaded and unloaded",
      `  DT_INIT_ARRAY  0x${first?.r_addend.toString(16)}`,
      "                 other",
    ]);
  });

  test("has thread-local variables, in static TLS or not", () => {
    const source = "__thread int green = 4; extern __thread int theirs; int *get(void) { return &green + theirs; }";
    const shared = ["-shared", "-fPIC", "-nostdlib"];
    const lazy = dumped(scratch.compile("liblazy.so", source, ...shared), "tls");
    expect(lazy[0]).toBe("Thread-local storage: 4 bytes a thread");
    expect(lazy).toContain("  kind         dynamic: may be allocated on first use");
    expect(lazy).toContain("  exported     green");
    const fixed = dumped(scratch.compile("libfixed.so", source, ...shared, "-ftls-model=initial-exec"), "tls");
    expect(fixed).toContain("  kind         static: room is needed when the process starts");
    expect(fixed).toContain("  of others    theirs (static)");
    const program = "__thread int green = 4; int main(void) { return green; }";
    for (const flags of [["-pie", "-fPIE"], ["-no-pie"], ["-static"], ["-static-pie", "-fPIE"]])
      expect(dumped(scratch.compile("uses-tls", program, ...flags), "tls")).toContainEqual(
        expect.stringMatching(/^ {2}kind +static/),
      );
  });

  test("tells in notes what it was built for", () => {
    const lines = dumped(specimens["a position-independent program"] ?? "", "notes");
    expect(lines).toContainEqual(expect.stringMatching(/^ {2}GNU +NT_GNU_ABI_TAG +Linux 3\.2\.0$/));
    expect(lines).toContainEqual(expect.stringMatching(/^ {2}GNU +NT_GNU_BUILD_ID +[0-9a-f]{40}$/));
  });

  test("has no dynamic section, where it is static, and all else", async () => {
    const program = scratch.compile("static", "int main(void) { return 0; }", "-static");
    const { stdout, stderr, exitCode } = await capsule("dump", program);
    expect([stderr, exitCode]).toEqual(["", 0]);
    expect(stdout).toContain("\nDynamic section: none\n");
    expect(stdout).toContain("\nRelocations: none\n");
    expect(stdout).toMatch(/^ {2}PT_TLS /m);
    expect(stdout).toMatch(/^Thread-local storage: \d+ bytes a thread$/m);
  });
});

/** The offset of a section's bytes. */
function sectionOf(path: string, name: string): number {
  const row = new RegExp(`\\] \\${name} +\\w+ +[0-9a-f]+ ([0-9a-f]+)`);
  return Number.parseInt(row.exec(runTool(["readelf", "-SW", path]))?.[1] ?? "", 16);
}

describe("the command", () => {
  test("shows all parts, or those that are asked for, in its own order", async () => {
    const headings = async (...options: string[]) => {
      const { stdout } = await capsule("dump", ...options, smallFile);
      return stdout
        .split("\n\n")
        .slice(1)
        .map((part) => part.split(/[\n:,]/)[0]);
    };
    const [header, segments, sections, dynamic] = [
      "ELF header",
      "Program headers",
      "Section headers",
      "Dynamic section",
    ];
    const rest = [
      "Versions defined",
      "Functions that run when it is loaded and unloaded",
      "Notes",
      "Thread-local storage",
    ];
    const all = [header, segments, sections, dynamic, ...rest];
    expect(await headings()).toEqual([...all, "Relocations", "Relocations", "Relocations"]);
    expect(await headings("--no-relocations")).toEqual(all);
    expect(await headings("--dynamic", "--header")).toEqual([header, dynamic]);
  });

  test("begins with the file, which a soname leads to", async () => {
    const { stdout } = await capsule("dump", "--host", "/", "--header", "libc.so.6");
    expect(stdout).toMatch(/^\/\S+\/libc\S*\.so\S*\n\nELF header\n {2}type +ET_DYN\n/);
  });

  test("prints as JSON what the parts are", async () => {
    const { stdout, exitCode } = await capsule("dump", "--json", versioned);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toEqual(dataIn(versioned));
    const some = await capsule("dump", "--json", "--notes", versioned);
    expect(Object.keys(JSON.parse(some.stdout))).toEqual(["path", "notes", "faults"]);
  });
});

describe("what has no name is shown by its number:", () => {
  const BIAS_OF_DATA = 0x1000;

  test("types of segments, flags", () => {
    const [, , , , lastLine = ""] = dumped(
      written(changed(64 + 2 * 56 + 56, word(0x60001234), word(0x100005))),
      "segments",
    ).slice(1);
    expect(lastLine).toMatch(/^ {2}0x60001234 {2}r-x 0x100000 /);
  });

  test("tags, and values that no number holds", () => {
    expect(dumped(written(withoutDynamic(29)), "dynamic")).toContain("  0x60000000     0x3f");
    expect(dumped(written(withDynamic(0x6ffffffb, 0x80000800)), "dynamic").at(-1)).toMatch(
      /^ {2}DT_FLAGS_1 +0x80000800 {2}DF_1_NODEFLIB 0x80000000$/,
    );
    const path = written(withDynamic(0x6ffffffb, -2));
    expect(dumped(path, "dynamic").at(-1)).toMatch(/^ {2}DT_FLAGS_1 +0xfffffffffffffffe$/);
    expect((dataIn(path).dynamic as unknown[]).at(-1)).toEqual({ tag: "DT_FLAGS_1", value: "0xfffffffffffffffe" });
  });

  test("types of relocations, and symbols without a name", () => {
    const path = written(changed(at("rela") + 24 + 8, word(200), word(0), xword(-(2n ** 63n))));
    expect(dumped(path, "relocations")[3]).toBe(
      `  0x${(at("data") + BIAS_OF_DATA + 8).toString(16)}  0xc8               -0x8000000000000000`,
    );
    const unnamed = written(changed(at("dynsym") + 5 * 24, word(0)));
    expect(dumped(unnamed, "relocations")[3]).toMatch(/R_X86_64_64 +@@V2 - 0x4$/);
  });
});

describe("of a damaged file all is shown that can be read:", () => {
  test("one that ends behind its header", async () => {
    const { stdout, stderr, exitCode } = await capsule("dump", written(small.subarray(0, 100)));
    expect(stdout).toContain("  type             ET_DYN\n");
    expect(stdout).toContain("Program headers: 0\n");
    expect(stderr).toMatch(
      /^capsule: Cannot read ".*": program headers: its 224 bytes at offset 64 reach beyond the end/,
    );
    expect(stderr.trimEnd()).not.toContain("\n");
    expect(exitCode).toBe(125);
  });

  test("one whose tables lead astray", async () => {
    const astray = withDynamic(0x6ffffffe, 0x7fff0000); // DT_VERNEED
    astray.set([...word(7), ...word(0xffff)], at("jmprel") + 8);
    const path = written(astray);
    const { stdout, stderr, exitCode } = await capsule("dump", path);
    expect(stdout).toContain("Versions needed: cannot be read\n");
    expect(stdout).toContain("  0x1358  R_X86_64_64        table - 0x4\n");
    expect(stdout).toContain("  0x1360  R_X86_64_JUMP_SLOT  symbol 65535\n");
    expect(stderr).toContain("DT_VERNEED: vaddr 0x7fff0000 is in no segment of the file; symbol table: index 65535");
    expect(exitCode).toBe(125);
    const { faults, relocations } = dataIn(path);
    expect(faults).toContainEqual({ structure: "DT_VERNEED", fault: "vaddr 0x7fff0000 is in no segment of the file" });
    expect(relocations).toMatchObject({ DT_JMPREL: [{ r_sym: 0xffff, symbol: null }] });
  });

  test("one whose strings or sections are elsewhere", () => {
    const path = written(withDynamic(14, 0x5000));
    expect(dumped(path, "dynamic")).toContain("  DT_SONAME      at 0x5000 of the string table: ?");
    expect(dataIn(path, "dynamic").faults).toEqual([
      { structure: "string table", fault: expect.stringMatching(/^offset 20480 is beyond its \d+ bytes$/) },
    ]);
    // e_shoff; e_shentsize, e_shnum, e_shstrndx
    const sections = changed(40, xword(0x10000));
    sections.set([...half(64), ...half(3), ...half(1)], 58);
    expect(dumped(written(sections), "sections")).toEqual(["Section headers: cannot be read"]);
    expect(dataIn(written(sections), "sections").faults).toMatchObject([{ structure: "section headers" }]);
  });

  test("one of whose segments the last one is not behind, or whose tables are nowhere", async () => {
    // the first segment's p_memsz
    const { stdout, stderr, exitCode } = await capsule("dump", written(changed(64 + 40, xword(0x10000))));
    for (const part of [
      "Dynamic section",
      "Versions",
      "Functions that run when it is loaded and unloaded",
      "Relocations",
    ])
      expect(stdout).toContain(`\n${part}: cannot be read\n`);
    expect(stdout).toContain("NT_GNU_BUILD_ID");
    expect(stderr).toEndWith(
      ": PT_LOAD: the last segment does not end behind the others, or the first is not before them\n",
    );
    expect(exitCode).toBe(125);
    const nowhere = written(withDynamic(7, 0x70000));
    expect(dumped(nowhere, "relocations").slice(0, 3)).toEqual([
      "Relocations, DT_RELA at vaddr 0x70000: cannot be read",
      "",
      expect.stringMatching(/^Relocations, DT_JMPREL at vaddr 0x\w+: 1$/),
    ]);
    expect(dataIn(nowhere, "relocations").relocations).toMatchObject({ DT_RELA: null, DT_JMPREL: [{ r_sym: 1 }] });
  });

  test("any, with any word of it changed", () => {
    const values = [0n, 7n, 24n, 0xffffn, 0xffffffffn, 1n << 40n, (1n << 47n) - 1n, (1n << 53n) - 1n, (1n << 64n) - 1n];
    let [sound, faulty, refused] = [0, 0, 0];
    for (let word = 0; word + 8 <= small.length; word += 4)
      for (const value of values) {
        const path = scratch.write("damaged", changed(word, xword(value)));
        try {
          using subject = new Subject(path);
          const lines = [...linesOf(subject)].join("");
          expect(lines).not.toMatch(/undefined|NaN|Infinity/);
          numbersIn(dataOf(subject));
          if (subject.faults.length > 0) faulty++;
          else sound++;
        } catch (error) {
          if (!(error instanceof ElfError)) throw error;
          refused++;
        }
      }
    expect([sound > 1000, faulty > 100, refused > 10]).toEqual([true, true, true]);
  });
});

/** All of them are such as JSON can have. */
function numbersIn(data: unknown): void {
  if (typeof data === "number") expect(data).toBeFinite();
  else if (typeof data === "object" && data !== null) Object.values(data).forEach(numbersIn);
}

describe("what a file calls its symbols, versions and libraries cannot command a terminal:", () => {
  // as many bytes as what they stand for
  const hostile: readonly [string, string][] = [
    ["puts", "\x1b]8\n"],
    ["GLIBC_2.2.5", "\u009b2J\u202eabcd"],
    ["libc.so.6", "\x1b[31mred\x07"],
  ];
  const image = Buffer.from(small);
  for (const [name, other] of hostile) image.write(other, image.indexOf(`${name}\0`));
  const path = written(image);

  test("it is shown with escapes", async () => {
    const { stdout } = await capsule("dump", path);
    expect(stdout).toContain("R_X86_64_JUMP_SLOT  \\x1b]8\\x0a@\\x9b2J\\u{202e}abcd\n");
    expect(stdout).toContain("  of \\x1b[31mred\\x07\n");
    expect(stdout).toContain("  DT_NEEDED      \\x1b[31mred\\x07\n");
    const symbols = await capsule("symbols", "--undefined", path);
    expect(symbols.stdout).toBe("function global        0  \\x1b]8\\x0a@\\x9b2J\\u{202e}abcd\n");
    for (const { stdout: shown } of [{ stdout }, symbols])
      expect(shown.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });

  test("JSON has it as it is, and the same escapes", async () => {
    for (const args of [["dump"], ["symbols", "--undefined"]]) {
      const { stdout } = await capsule(...args, "--json", path);
      expect(stdout.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      expect(JSON.stringify(JSON.parse(stdout))).toContain(JSON.stringify("\u009b2J\u202eabcd").slice(1, -1));
    }
  });

  test("an error tells it with escapes", async () => {
    const { stderr } = await capsule("dump", "--host", "/", "lib\x1b[31m.so.6");
    expect(stderr).toStartWith('capsule: Cannot find "lib\\x1b[31m.so.6" in "/": ');
  });
});

test("a program is found by its name, unless a tree is named, whose library it then has to be", async () => {
  for (const args of [["dump", "--init"], ["symbols"]]) {
    const [byName, byPath] = [await capsule(...args, "true"), await capsule(...args, "/bin/true")];
    expect(byName).toMatchObject({ stdout: byPath.stdout, stderr: "", exitCode: 0 });
    expect((await capsule(...args, "--host", "/", "true")).stderr).toStartWith('capsule: Cannot find "true" in "/"');
    const { stderr } = await capsule(...args, "no-such-program");
    expect(stderr).toEndWith("; nor has any directory in PATH a program of that name\n");
  }
});

describe("a clear error, and nothing on standard output, for", () => {
  const object = scratch.path("object.o");
  runTool(["cc", "-c", "-x", "c", "/dev/null", "-o", object]);
  const fifo = scratch.path("fifo");
  runTool(["mkfifo", fifo]);
  const mistakes: [string, string[], string, number][] = [
    ["no such soname", ["libnone.so.9"], "/lib/x86_64-linux-gnu/libnone.so.9: no such file", 125],
    ["no such file", ["./libnone.so.9"], 'Cannot find "./libnone.so.9": no such file', 125],
    ["a directory", ["/usr/"], 'Cannot read "/usr": file: not a regular file', 125],
    ["a FIFO", [fifo], "not a regular file", 125],
    ["a device", ["/dev/null"], "not a regular file", 125],
    ["an empty file", [written(new Uint8Array(0))], "not an ELF file", 125],
    ["a text", [join(repository, "package.json")], "not an ELF file", 125],
    ["an object file", [object], "e_type 1 is neither a program nor a shared object", 125],
    ["a 32-bit file", [written(changed(4, [1]))], "a 32-bit file, and only 64-bit x86-64 is supported", 125],
    ["an option that is none", ["--symbols", smallFile], "unknown option '--symbols'", 2],
    ["no name", [], "missing required argument 'library'", 2],
  ];
  for (const [what, args, message, code] of mistakes)
    test(what, async () => {
      const { stdout, stderr, exitCode } = await capsule("dump", ...args);
      expect(stdout).toBe("");
      expect(stderr).toContain(message);
      expect(stderr).not.toMatch(/^ +at /m);
      expect(exitCode).toBe(code);
    });
});
