// Host libraries and programs that are damaged, or lie: each is refused in one paragraph, before anything of it runs.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DT, type ElfBytes, PT } from "../support/elf-bytes.ts";
import { expectLines } from "../support/expect.ts";
import { isAttached } from "../support/mode.ts";
import { LIBRARIES, shown } from "../support/notgl.ts";
import { capsuleCommand, native, type Outcome, run, start } from "../support/run.ts";
import { damageFile, FAILED, FILE, NOT_FOUND, NOT_RUNNABLE, SONAME, Workshop } from "../support/workshop.ts";

/**
 * Whether glibc's ld.so comes to see a lie. Where it does not, the file runs natively, and capsule may refuse it or run
 * it, but nothing in between.
 */
/** What is empty is passed over by ld.so, and whoever wants something of it does not find that. */
type Reach = "seen" | "unseen" | "unseen in programs" | "empty";
type Lie = [words: string, damage: (elf: ElfBytes) => void, reach?: Reach];

let workshop: Workshop;
let sysvWorkshop: Workshop;
beforeAll(async () => {
  // versions too, so that there is a version table to lie in
  workshop = await Workshop.open({ flags: ["-Wl,--default-symver"] });
  sysvWorkshop = await Workshop.open({ flags: ["-Wl,--hash-style=sysv"] });
});
afterAll(() => {
  workshop[Symbol.dispose]();
  sysvWorkshop[Symbol.dispose]();
});

describe("what is no ELF file of ours", () => {
  const cases: [string, (elf: ElfBytes) => void, isScript?: "a script"][] = [
    ["zero-length", (elf) => truncate(elf, 0)],
    ["one byte long", (elf) => truncate(elf, 1), "a script"],
    ["cut in its header", (elf) => truncate(elf, 63)],
    ["cut behind its header", (elf) => truncate(elf, 64)],
    ["cut in its segments' headers", (elf) => truncate(elf, 100)],
    ["cut in its symbols", (elf) => truncate(elf, elf.table(DT.SYMTAB) + 30)],
    ["cut in its dynamic section", (elf) => truncate(elf, Math.floor(elf.bytes.length / 2))],
    ["a text", (elf) => replace(elf, Buffer.from("/* GNU ld script */ GROUP ( libnotgl.so.0 )\n")), "a script"],
    ["nothing but zeros", (elf) => elf.bytes.fill(0)],
    ["nothing but ones behind the first 16 bytes", (elf) => elf.bytes.fill(0xff, 16)],
    ["of another machine", (elf) => elf.setHeader("e_machine", 183)],
    ["a 32-bit one", (elf) => elf.setHeader("ei_class", 1)],
    ["big-endian", (elf) => elf.setHeader("ei_data", 2)],
    ["an object file", (elf) => elf.setHeader("e_type", 1)],
    ["a core", (elf) => elf.setHeader("e_type", 4)],
  ];
  for (const [words, damage, isScript] of cases) {
    inHostLibraries(words, damage);
    if (!isScript) inProgram(words, damage);
    // As execvp(3) does.
    else
      test(`${words}: a program is one for the shell`, async () => {
        const program = workshop.damagedProgram(damage);
        const { stderr, exitCode } = await workshop.show(workshop.family.red, program, ["--mode", "attached"]);
        expect({ stderr, exitCode }).toEqual(pick(await native("/bin/sh", [program])));
        expect(exitCode).not.toBe(0);
      });
  }
});

const pick = ({ stderr, exitCode }: Outcome) => ({ stderr, exitCode });

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
    ["having hash buckets", (elf) => elf.set(elf.table(DT.GNU_HASH), 4, 0), "empty"],
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
    ["the file of a version that it needs, in other words", (elf) => elf.set(elf.table(DT.VERNEED) + 4, 4, 1)],
    ["the size of a relocation, by saying nothing", (elf) => elf.removeDynamic(DT.RELAENT)],
    ["the place of a relocation, by another that is read-only", (elf) => elf.set(elf.table(DT.RELA), 8, 0)],
  ];
  for (const [words, damage, reach] of ofLibraries) inHostLibraries(words, damage, reach);

  const withSysvHash: Lie[] = [
    ["where its hash table is (SysV)", (elf) => elf.setDynamic(DT.HASH, FAR)],
    ["the number of its hash buckets (SysV)", (elf) => elf.set(elf.table(DT.HASH), 4, 0xffff_ffff)],
    ["having hash buckets (SysV)", (elf) => elf.set(elf.table(DT.HASH), 4, 0), "empty"],
    ["the number of its symbols (SysV)", (elf) => elf.set(elf.table(DT.HASH) + 4, 4, 0xffff_ffff), "unseen"],
    ["the ends of its hash chains, which loop (SysV)", withLoopingChains],
    ["the symbols in its hash chains (SysV)", withFarChains],
  ];
  for (const [words, damage, reach] of withSysvHash) inHostLibraries(words, damage, reach, () => sysvWorkshop);
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
      const tree = workshop.redTree();
      damageFile(join(tree, FILE), damage);
      damageFile(workshop.helperIn(tree), damage);
      expectLines(await workshop.show(tree, workshop.damagedProgram(damage)), shown("notgl", "red"));
    });
  }
});

test("a damaged library that the server has seen before anybody asks is told of when somebody does, attached", async () => {
  const tree = workshop.redTree();
  const helper = workshop.helperIn(tree);
  damageFile(helper, (elf) => truncate(elf, 1));
  const fifo = workshop.fresh("fifo");
  await run(["mkfifo", fifo]);
  const flags = ["--mode", "attached", "--trace", "request", "--host", tree, "--isolate", SONAME];
  const script = ["-c", `read line < ${fifo}; exec ${workshop.family.programs.linkedToOne}`];
  const command = ["/bin/sh", "-c", 'exec "$@" 2>&1', "sh", ...capsuleCommand(flags, "/bin/sh", script)];
  await using child = start(command, { env: { LD_LIBRARY_PATH: workshop.family.reference } });
  await child.line((line) => line.includes("not prepared") && line.includes(helper));
  writeFileSync(fifo, "go\n");
  expect(await child.end()).toMatchObject({ exitCode: FAILED });
  await child.line((line) => line.startsWith("capsule: Cannot") && line.includes(helper));
});

function inEachPlace(words: string, damage: (elf: ElfBytes) => void, reach: Reach = "seen"): void {
  inHostLibraries(words, damage, reach);
  inProgram(words, damage, reach);
}

function inProgram(words: string, damage: (elf: ElfBytes) => void, reach: Reach = "seen"): void {
  test(`${words}: a program`, async () => {
    const program = workshop.damagedProgram(damage);
    const outcome = await workshop.show(workshop.family.red, program);
    if (reach !== "seen" && outcome.exitCode === 0) expectLines(outcome, shown("notgl", "red"));
    // The kernel and ld.so look at an attached program themselves.
    else if (isAttached && !outcome.stderr.startsWith("capsule: ")) {
      const { stdout, signal, exitCode } = await workshop.natively(program);
      expect(outcome).toMatchObject({ stdout, signal, exitCode });
    }
    // What they pass over shows when the program is linked.
    else workshop.expectRefusal(outcome, isAttached && outcome.exitCode === FAILED ? FAILED : NOT_RUNNABLE, program);
  });
}

function inHostLibraries(
  words: string,
  damage: (elf: ElfBytes) => void,
  reach: Reach = "seen",
  from = () => workshop,
): void {
  const expectEnd = (outcome: Outcome, file: string) => {
    if (reach === "unseen" && outcome.exitCode === 0) expectLines(outcome, shown("notgl", "red"));
    else if (reach === "empty") {
      expect(outcome.stderr).toMatch(/: undefined symbol: (notgl_use_helper|helper_get_implementation)\b.*\n$/);
      expect([FAILED, NOT_FOUND]).toContain(outcome.exitCode ?? 0);
    } else workshop.expectRefusal(outcome, FAILED, file);
  };
  test(`${words}: an isolated library`, async () => {
    const tree = from().redTree();
    damageFile(join(tree, FILE), damage);
    expectEnd(await workshop.show(tree), join(tree, LIBRARIES, SONAME));
  });
  test(`${words}: a library that the isolated one needs`, async () => {
    const tree = from().redTree();
    const helper = from().helperIn(tree);
    damageFile(helper, damage);
    expectEnd(await workshop.show(tree), helper);
  });
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
