// What is missing, damaged or hostile ends in one paragraph and an exit code: never in a crash, a hang or a full memory.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { DT, ElfBytes, PT } from "../support/elf-bytes.ts";
import { expectLines } from "../support/expect.ts";
import { build } from "../support/fixtures.ts";
import { LIBRARIES, type Notgl, notgl, shown } from "../support/notgl.ts";
import { capsule, type Outcome, run } from "../support/run.ts";

setDefaultTimeout(60_000);

const FAILED = 125;
const NOT_RUNNABLE = 126;
const NOT_FOUND = 127;
const USAGE = 2;

/** Milliseconds in which capsule has to give up. */
const PATIENCE = 10_000;
/** Bytes beyond those of a run that does nothing. */
const ROOM = 128 << 20;

const SONAME = "libnotgl.so.0";
/** The file that SONAME is a link to in the red tree. */
const FILE = `${LIBRARIES}/libnotgl.so.0.123.456`;

/**
 * Whether glibc's ld.so comes to see a lie. Where it does not, the file runs natively, and capsule may refuse it or run
 * it, but nothing in between.
 */
type Reach = "seen" | "unseen" | "unseen in programs";
type Lie = [words: string, damage: (elf: ElfBytes) => void, reach?: Reach];

let family: Notgl;
let sysvFamily: Notgl;
let scratch: string;
let idleRss: number;
let count = 0;

beforeAll(async () => {
  // versions too, so that there is a version table to lie in
  family = await notgl({ flags: ["-Wl,--default-symver"] });
  sysvFamily = await notgl({ flags: ["-Wl,--hash-style=sysv"] });
  scratch = mkdtempSync(join(tmpdir(), "capsule-test-"));
  idleRss = (await run([process.execPath, "-e", "0"])).maxRss;
});

afterAll(() => rmSync(scratch, { recursive: true }));

function fresh(name: string): string {
  count++;
  return join(scratch, `${name}-${count}`);
}

/** A copy of the red host tree, to spoil. */
function redTree(of = family): string {
  const tree = fresh("tree");
  cpSync(of.red, tree, { recursive: true, verbatimSymlinks: true });
  return tree;
}

function helperIn(tree: string): string {
  return join(tree, family.reference, "libhelper.so.0");
}

function showNotgl(tree: string, program = family.programs.linkedToOne): Promise<Outcome> {
  const env = { LD_LIBRARY_PATH: family.reference };
  return capsule(["--host", tree, "--isolate", SONAME], program, [], { env, timeout: PATIENCE });
}

function expectRefusal(outcome: Outcome, exitCode: number, ...mentions: string[]): void {
  expect(outcome.stderr).toMatch(/^capsule: \S/);
  // one paragraph, so not Bun's report of an exception either
  expect(outcome.stderr).toMatch(/\S\n$/);
  expect(outcome.stderr).not.toMatch(/\n\s*\n/);
  expect(outcome.stderr).not.toMatch(/^ +at /m);
  for (const mention of mentions) expect(outcome.stderr).toContain(mention);
  expect(outcome.stdout).toBe("");
  expect(outcome.signal).toBeNull();
  expect(outcome.exitCode).toBe(exitCode);
  expect(outcome.maxRss).toBeLessThan(idleRss + ROOM);
}

describe("the command line", () => {
  const mistakes: [string, string[]][] = [
    ["no program", []],
    ["an option that does not exist", ["--no-such-option", "/bin/true"]],
    ["--host without a directory", ["--host"]],
    ["--isolate without a soname", ["--isolate"]],
    ["an empty soname", ["--isolate", "", "/bin/true"]],
    ["an empty directory for a soname", ["--isolate", "libnotgl.so.0=", "/bin/true"]],
    ["a profile that does not exist", ["--profile", "no-such-profile", "/bin/true"]],
  ];
  for (const [words, args] of mistakes) {
    test(`with ${words} is a usage error`, async () => {
      const outcome = await run([process.execPath, join(import.meta.dir, "../../src/main.ts"), "exec", ...args]);
      expectRefusal(outcome, USAGE);
    });
  }

  test("with a path for a soname says that a soname is wanted", async () => {
    const outcome = await capsule(["--isolate", "/usr/lib/libnotgl.so.0"], family.programs.linkedToOne);
    expectRefusal(outcome, USAGE, "/usr/lib/libnotgl.so.0");
  });
});

describe("a program", () => {
  test("that is missing", async () => {
    const program = join(scratch, "no-such-program");
    expectRefusal(await showNotgl(family.red, program), NOT_FOUND, program);
  });

  test("that is nowhere on PATH", async () => {
    expectRefusal(await showNotgl(family.red, "no-such-program"), NOT_FOUND, "no-such-program");
  });

  test("that is a directory", async () => {
    expectRefusal(await showNotgl(family.red, scratch), NOT_RUNNABLE, scratch);
  });

  test("that is a FIFO", async () => {
    const program = fresh("fifo");
    await run(["mkfifo", "-m", "755", program]);
    expectRefusal(await showNotgl(family.red, program), NOT_RUNNABLE, program);
  });

  test("that is not executable", async () => {
    const program = fresh("program");
    cpSync(family.programs.linkedToOne, program);
    chmodSync(program, 0o644);
    expectRefusal(await showNotgl(family.red, program), NOT_RUNNABLE, program);
  });

  test("that needs a library which the runtime does not have", async () => {
    const flags = ["--host", family.red, "--isolate", "libnotgles.so.1"];
    const outcome = await capsule(flags, family.programs.linkedToBoth);
    expectRefusal(outcome, NOT_FOUND, family.programs.linkedToBoth, "libnotgl.so.0");
  });

  const kinds: [string, string, string[], RegExp][] = [
    ["position-dependent", "plain.c", ["-fno-pie", "-no-pie"], /fixed address|position/],
    ["static", "plain.c", ["-fno-pie", "-no-pie", "-static"], /static/i],
    ["static and position-independent", "plain.c", ["-static-pie"], /static|interpreter/],
    ["one with thread-local data", "thread-local.c", [], /thread-local|TLS/],
  ];
  for (const [words, source, flags, why] of kinds) {
    test(`that cannot be hosted, being ${words}, is refused for that reason`, async () => {
      const folder = "bad-input/programs-that-cannot-be-hosted";
      const program = join(await build(folder, [{ path: "program", sources: [source], flags }]), "program");
      const outcome = await showNotgl(family.red, program);
      expectRefusal(outcome, NOT_RUNNABLE, program);
      expect(outcome.stderr).toMatch(why);
    });
  }

  test("that is a script names its interpreter", async () => {
    const program = fresh("script");
    writeFileSync(program, "#!/bin/sh\necho it ran\n", { mode: 0o755 });
    const outcome = await showNotgl(family.red, program);
    expectRefusal(outcome, NOT_RUNNABLE, program, "/bin/sh");
    expect(outcome.stderr).toMatch(/script/);
  });

  test("that is setuid", async () => {
    const program = fresh("setuid");
    cpSync(family.programs.linkedToOne, program);
    chmodSync(program, 0o4755);
    const outcome = await showNotgl(family.red, program);
    expectRefusal(outcome, NOT_RUNNABLE, program);
    expect(outcome.stderr).toMatch(/setuid/);
  });

  const foreign: [string, (elf: ElfBytes) => void, RegExp][] = [
    ["a 32-bit one", (elf) => elf.setHeader("ei_class", 1), /32-bit/],
    ["of another machine", (elf) => elf.setHeader("e_machine", 183), /machine|architecture|aarch64/i],
    ["big-endian", (elf) => elf.setHeader("ei_data", 2), /endian/],
  ];
  for (const [words, damage, why] of foreign) {
    test(`that is ${words}`, async () => {
      const program = damagedProgram(damage);
      const outcome = await showNotgl(family.red, program);
      expectRefusal(outcome, NOT_RUNNABLE, program);
      expect(outcome.stderr).toMatch(why);
    });
  }
});

describe("a host tree", () => {
  test("that is missing", async () => {
    const tree = join(scratch, "no-such-tree");
    expectRefusal(await showNotgl(tree), FAILED, tree);
  });

  test("that is empty", async () => {
    const tree = fresh("empty");
    mkdirSync(tree);
    expectRefusal(await showNotgl(tree), FAILED, tree, SONAME);
  });

  test("that is a file", async () => {
    expectRefusal(await showNotgl(family.programs.linkedToOne), FAILED, family.programs.linkedToOne);
  });

  test("without the soname that was asked for: the message lists where we looked", async () => {
    const outcome = await capsule(["--host", family.red, "--isolate", "libabsent.so.7"], family.programs.linkedToNone);
    expectRefusal(outcome, FAILED, "libabsent.so.7", family.red, LIBRARIES);
  });

  test("without a library that another one needs: the message names both, and where we looked", async () => {
    const tree = redTree();
    rmSync(helperIn(tree));
    expectRefusal(await showNotgl(tree), FAILED, "libhelper.so.0", SONAME, tree, family.reference, LIBRARIES);
  });

  test("that is reached through a symbolic link is as good as any", async () => {
    const link = fresh("link");
    symlinkSync(family.red, link);
    expectLines(await showNotgl(link), shown("notgl", "red"));
  });
});

describe("a link in the host tree", () => {
  /** A tree in which `at` is a link to `target`. */
  function treeWithLink(at: string, target: string): string {
    const tree = redTree();
    rmSync(join(tree, at), { recursive: true, force: true });
    mkdirSync(dirname(join(tree, at)), { recursive: true });
    symlinkSync(target, join(tree, at));
    return tree;
  }
  const link = `${LIBRARIES}/${SONAME}`;

  test("that is absolute leads to a file in the tree", async () => {
    expectLines(await showNotgl(treeWithLink(link, `/${FILE}`)), shown("notgl", "red"));
  });

  test("that leads to itself", async () => {
    const tree = treeWithLink(link, SONAME);
    expectRefusal(await showNotgl(tree), FAILED, join(tree, link));
  });

  test("that is one of two which lead to each other", async () => {
    const tree = treeWithLink(link, "libother.so.0");
    symlinkSync(SONAME, join(tree, LIBRARIES, "libother.so.0"));
    expectRefusal(await showNotgl(tree), FAILED, join(tree, link));
  });

  test("that climbs out of the tree", async () => {
    const tree = redTree();
    rmSync(join(tree, link));
    const outside = join(scratch, "outside.so");
    cpSync(join(tree, FILE), outside);
    symlinkSync(`../../../../${basename(outside)}`, join(tree, link));
    expectRefusal(await showNotgl(tree), FAILED, tree, `/${link}`);
  });

  test("that climbs out of the tree on the way to a directory", async () => {
    const tree = redTree();
    const directory = join(tree, LIBRARIES);
    const outside = fresh("outside");
    renameSync(directory, outside);
    symlinkSync(`../../../${basename(outside)}`, directory);
    expectRefusal(await showNotgl(tree), FAILED, tree, `/${LIBRARIES}`);
  });

  test("that leads nowhere", async () => {
    expectRefusal(await showNotgl(treeWithLink(link, "libgone.so.0")), FAILED, SONAME);
  });
});

describe("a host library that cannot be read, being", () => {
  test("a directory", async () => {
    const tree = redTree();
    rmSync(join(tree, FILE));
    mkdirSync(join(tree, FILE));
    expectRefusal(await showNotgl(tree), FAILED, join(tree, LIBRARIES, SONAME));
  });

  test("a FIFO", async () => {
    const tree = redTree();
    rmSync(join(tree, FILE));
    await run(["mkfifo", join(tree, FILE)]);
    expectRefusal(await showNotgl(tree), FAILED, join(tree, LIBRARIES, SONAME));
  });

  test("a socket's or device's file", async () => {
    const tree = redTree();
    rmSync(join(tree, FILE));
    const server = Bun.listen({ unix: join(tree, FILE), socket: { data() {} } });
    expectRefusal(await showNotgl(tree), FAILED, join(tree, LIBRARIES, SONAME));
    server.stop();
  });

  // Root may read everything.
  test.skipIf(process.getuid?.() === 0)("without permission to read it", async () => {
    const tree = redTree();
    chmodSync(join(tree, FILE), 0);
    expectRefusal(await showNotgl(tree), FAILED, join(tree, LIBRARIES, SONAME));
  });
});

describe("what is no ELF file of ours", () => {
  const cases: [string, (elf: ElfBytes) => void][] = [
    ["zero-length", (elf) => truncate(elf, 0)],
    ["one byte long", (elf) => truncate(elf, 1)],
    ["cut in its header", (elf) => truncate(elf, 63)],
    ["cut behind its header", (elf) => truncate(elf, 64)],
    ["cut in its segments' headers", (elf) => truncate(elf, 100)],
    ["cut in its symbols", (elf) => truncate(elf, elf.table(DT.SYMTAB) + 30)],
    ["cut in its dynamic section", (elf) => truncate(elf, Math.floor(elf.bytes.length / 2))],
    ["a text", (elf) => replace(elf, Buffer.from("/* GNU ld script */ GROUP ( libnotgl.so.0 )\n"))],
    ["nothing but zeros", (elf) => elf.bytes.fill(0)],
    ["nothing but ones behind the first 16 bytes", (elf) => elf.bytes.fill(0xff, 16)],
    ["of another machine", (elf) => elf.setHeader("e_machine", 183)],
    ["a 32-bit one", (elf) => elf.setHeader("ei_class", 1)],
    ["big-endian", (elf) => elf.setHeader("ei_data", 2)],
    ["an object file", (elf) => elf.setHeader("e_type", 1)],
    ["a core", (elf) => elf.setHeader("e_type", 4)],
  ];
  for (const [words, damage] of cases) inEachPlace(words, damage);
});

describe("an ELF file that lies about", () => {
  const FAR = 0x7fff_ffff_f000;
  const ALL = 0xffff_ffff_ffff_ffffn;
  const cases: Lie[] = [
    ["the place of its segments", (elf) => elf.setHeader("e_phoff", FAR)],
    ["the place of its segments, past 64 bits", (elf) => elf.setHeader("e_phoff", ALL)],
    ["the number of its segments", (elf) => elf.setHeader("e_phnum", 0xffff)],
    ["having segments", (elf) => elf.setHeader("e_phnum", 0)],
    ["the size of a segment's header", (elf) => elf.setHeader("e_phentsize", 1)],
    ["where a segment begins", (elf) => elf.setSegment(PT.LOAD, "p_offset", FAR)],
    ["where a segment begins, past 64 bits", (elf) => elf.setSegment(PT.LOAD, "p_offset", ALL)],
    ["how much of a segment is in the file", (elf) => elf.setSegment(PT.LOAD, "p_filesz", FAR)],
    ["how large a segment is", (elf) => elf.setSegment(PT.LOAD, "p_memsz", ALL)],
    ["a segment's alignment", (elf) => elf.setSegment(PT.LOAD, "p_align", 3), "unseen"],
    ["where its dynamic section is in the file", (elf) => elf.setSegment(PT.DYNAMIC, "p_offset", FAR), "unseen"],
    ["where its dynamic section is in memory", (elf) => elf.setSegment(PT.DYNAMIC, "p_vaddr", FAR)],
    ["the size of its dynamic section", (elf) => elf.setSegment(PT.DYNAMIC, "p_filesz", FAR), "unseen"],
    ["having a dynamic section", (elf) => elf.setSegment(PT.DYNAMIC, "p_type", 0)],
    ["where its strings are", (elf) => elf.setDynamic(DT.STRTAB, FAR)],
    ["how many strings it has", (elf) => elf.setDynamic(DT.STRSZ, FAR), "unseen"],
    ["having strings", (elf) => elf.setDynamic(DT.STRSZ, 0), "unseen"],
    ["where its symbols are", (elf) => elf.setDynamic(DT.SYMTAB, FAR)],
    ["the size of a symbol", (elf) => elf.setDynamic(DT.SYMENT, 1), "unseen"],
    ["the name of what it needs", (elf) => elf.setDynamic(DT.NEEDED, 0x7fff_ffff)],
    ["the names of its symbols", (elf) => elf.setSymbols(0, 4, 0x7fff_ffff), "unseen in programs"],
    ["where its relocations are", (elf) => elf.setDynamic(DT.RELA, FAR)],
    ["how many relocations it has", (elf) => elf.setDynamic(DT.RELASZ, FAR)],
    ["the size of a relocation", (elf) => elf.setDynamic(DT.RELAENT, 0)],
    ["which place is relocated", (elf) => elf.set(elf.table(DT.RELA), 8, FAR)],
    ["which symbol is relocated to", (elf) => elf.set(elf.table(DT.JMPREL) + 12, 4, 0x00ff_ffff)],
    ["how many PLT relocations it has", (elf) => elf.setDynamic(DT.PLTRELSZ, FAR)],
    ["where its hash table is", (elf) => elf.setDynamic(DT.GNU_HASH, FAR), "unseen in programs"],
    ["the number of its hash buckets", (elf) => elf.set(elf.table(DT.GNU_HASH), 4, 0xffff_ffff), "unseen in programs"],
    ["having hash buckets", (elf) => elf.set(elf.table(DT.GNU_HASH), 4, 0), "unseen in programs"],
    [
      "the first symbol of its hash table",
      (elf) => elf.set(elf.table(DT.GNU_HASH) + 4, 4, 0xffff_fff0),
      "unseen in programs",
    ],
    [
      "the size of its bloom filter",
      (elf) => elf.set(elf.table(DT.GNU_HASH) + 8, 4, 0xffff_ffff),
      "unseen in programs",
    ],
    ["having a bloom filter", (elf) => elf.set(elf.table(DT.GNU_HASH) + 8, 4, 0), "unseen in programs"],
    ["where its symbols' versions are", (elf) => elf.setDynamic(DT.VERSYM, FAR)],
    ["where the versions are that it needs", (elf) => elf.setDynamic(DT.VERNEED, FAR)],
    ["the file of a version that it needs", (elf) => elf.set(elf.table(DT.VERNEED) + 4, 4, 0x7fff_ffff)],
    ["the next of the versions that it needs", (elf) => elf.set(elf.table(DT.VERNEED) + 8, 4, 0xffff_fff0)],
    ["where its constructors are", (elf) => elf.setDynamic(DT.INIT_ARRAY, FAR)],
    ["how many constructors it has", (elf) => elf.setDynamic(DT.INIT_ARRAYSZ, FAR)],
  ];
  for (const [words, damage, reach] of cases) inEachPlace(words, damage, reach);

  // Only libraries define versions.
  const ofLibraries: Lie[] = [
    ["where its own versions are", (elf) => elf.setDynamic(DT.VERDEF, FAR)],
    ["the next of its own versions", (elf) => elf.set(elf.table(DT.VERDEF) + 16, 4, 0xffff_fff0)],
    ["the name of one of its own versions", (elf) => elf.set(elf.table(DT.VERDEF) + 12, 4, 0xffff_fff0), "unseen"],
    ["the ends of its hash chains", withoutChainEnds, "unseen"],
  ];
  for (const [words, damage, reach] of ofLibraries) inHostLibraries(words, damage, reach);

  const withSysvHash: Lie[] = [
    ["where its hash table is (SysV)", (elf) => elf.setDynamic(DT.HASH, FAR)],
    ["the number of its hash buckets (SysV)", (elf) => elf.set(elf.table(DT.HASH), 4, 0xffff_ffff)],
    ["having hash buckets (SysV)", (elf) => elf.set(elf.table(DT.HASH), 4, 0)],
    ["the number of its symbols (SysV)", (elf) => elf.set(elf.table(DT.HASH) + 4, 4, 0xffff_ffff), "unseen"],
    ["the ends of its hash chains, which loop (SysV)", withLoopingChains],
    ["the symbols in its hash chains (SysV)", withFarChains],
  ];
  for (const [words, damage, reach] of withSysvHash) inHostLibraries(words, damage, reach, () => sysvFamily);
});

describe("an ELF file that lies about what nobody needs to run it is as good as any: it lies about", () => {
  const cases: [string, (elf: ElfBytes) => void][] = [
    ["the place of its sections", (elf) => elf.setHeader("e_shoff", 0x7fff_ffff_f000)],
    ["the number of its sections", (elf) => elf.setHeader("e_shnum", 0xffff)],
    ["the size of a section's header", (elf) => elf.setHeader("e_shentsize", 3)],
    ["the names of its sections", (elf) => elf.setHeader("e_shstrndx", 0xfff0)],
  ];
  for (const [words, damage] of cases) {
    test(words, async () => {
      const tree = redTree();
      damageFile(join(tree, FILE), damage);
      damageFile(helperIn(tree), damage);
      expectLines(await showNotgl(tree, damagedProgram(damage)), shown("notgl", "red"));
    });
  }
});

function inEachPlace(words: string, damage: (elf: ElfBytes) => void, reach: Reach = "seen"): void {
  inHostLibraries(words, damage, reach);
  test(`${words}: a program`, async () => {
    const program = damagedProgram(damage);
    const outcome = await showNotgl(family.red, program);
    if (reach !== "seen" && outcome.exitCode === 0) expectLines(outcome, shown("notgl", "red"));
    else expectRefusal(outcome, NOT_RUNNABLE, program);
  });
}

function inHostLibraries(
  words: string,
  damage: (elf: ElfBytes) => void,
  reach: Reach = "seen",
  from = () => family,
): void {
  const expectEnd = (outcome: Outcome, file: string) => {
    if (reach === "unseen" && outcome.exitCode === 0) expectLines(outcome, shown("notgl", "red"));
    else expectRefusal(outcome, FAILED, file);
  };
  test(`${words}: an isolated library`, async () => {
    const tree = redTree(from());
    damageFile(join(tree, FILE), damage);
    expectEnd(await showNotgl(tree), join(tree, LIBRARIES, SONAME));
  });
  test(`${words}: a library that the isolated one needs`, async () => {
    const tree = redTree(from());
    const helper = join(tree, from().reference, "libhelper.so.0");
    damageFile(helper, damage);
    expectEnd(await showNotgl(tree), helper);
  });
}

function damagedProgram(damage: (elf: ElfBytes) => void): string {
  const program = fresh("program");
  cpSync(family.programs.linkedToOne, program);
  damageFile(program, damage);
  return program;
}

function damageFile(path: string, damage: (elf: ElfBytes) => void): void {
  const elf = new ElfBytes(path);
  damage(elf);
  if (readFileSync(path).equals(elf.bytes)) throw new Error(`Nothing was damaged in ${path}`);
  elf.save(path);
}

function truncate(elf: ElfBytes, length: number): void {
  elf.bytes = elf.bytes.subarray(0, length);
}

function replace(elf: ElfBytes, bytes: Buffer): void {
  elf.bytes = bytes;
}

/** Clears the bit in .gnu.hash that ends a chain, in every entry up to the next table, .dynsym. */
function withoutChainEnds(elf: ElfBytes): void {
  const table = elf.table(DT.GNU_HASH);
  const [buckets, bloomWords] = [elf.get(table, 4), elf.get(table + 8, 4)];
  const chains = table + 16 + 8 * bloomWords + 4 * buckets;
  for (let at = chains; at < elf.table(DT.SYMTAB); at += 4) elf.set(at, 4, (elf.get(at, 4) & 0xffff_fffe) >>> 0);
}

function chainsOf(elf: ElfBytes): { chains: number; length: number; buckets: number; bucketCount: number } {
  const table = elf.table(DT.HASH);
  const bucketCount = elf.get(table, 4);
  return { chains: table + 8 + 4 * bucketCount, length: elf.get(table + 4, 4), buckets: table + 8, bucketCount };
}

function withLoopingChains(elf: ElfBytes): void {
  const { chains, length } = chainsOf(elf);
  for (let i = 1; i < length; i++) elf.set(chains + 4 * i, 4, i);
}

function withFarChains(elf: ElfBytes): void {
  const { buckets, bucketCount } = chainsOf(elf);
  for (let i = 0; i < bucketCount; i++) elf.set(buckets + 4 * i, 4, 0x7fff_ffff);
}
