// What a dynamic linker does with a program, told beforehand: it is what the program then shows, and nothing is done.

import { beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { R_X86_64_64, R_X86_64_NONE } from "../../../lib/elf/constants.ts";
import type { ExplainedRelocation, Explanation } from "../../../src/explain/explanation.ts";
import { DT, PT } from "../../support/elf-bytes.ts";
import { FIXED, freestanding } from "../../support/freestanding.ts";
import { lines } from "../../support/lines.ts";
import { spoilRelocation } from "../../support/relocation-bytes.ts";
import { command } from "../../support/run.ts";
import { damageFile } from "../../support/workshop.ts";

const explain = (form: string, words: string[], env: Record<string, string> = {}) =>
  command(["link", form, ...words], { env });

async function explained(words: string[], env: Record<string, string> = {}): Promise<Explanation> {
  const { stdout, stderr, exitCode } = await explain("--explain=json", words, env);
  expect([stderr, exitCode]).toEqual(["", 0]);
  return JSON.parse(stdout);
}

const greeting = (flags: string[]) =>
  freestanding("a-program-without-a-libc-is-run-and-ended", [
    { path: "libgreet.so", sources: ["greet.c"] },
    { path: "program", sources: ["program.c"], needs: ["libgreet.so"], runpath: "$ORIGIN", flags },
  ]);

const shortName = ({ objects }: Explanation, index: number | undefined): string =>
  index === undefined ? "nobody" : basename(objects[index]?.path ?? "?");

/** "program R_X86_64_COPY calls: libgreet.so has it" */
const toldOf = (explanation: Explanation, { object, type, symbol, searched }: ExplainedRelocation): string =>
  `${shortName(explanation, object)} ${type} ${symbol}: ${searched
    .map(({ object, answer }) => `${shortName(explanation, object)} ${answer}`)
    .join(", ")}`;

/** What readelf says of a file: how often it has a type of relocation. */
function countsOf(path: string): Record<string, number> {
  const { stdout } = Bun.spawnSync(["readelf", "-rW", path]);
  const counts: Record<string, number> = {};
  for (const [type] of stdout.toString().matchAll(/R_X86_64_\w+/g)) counts[type] = (counts[type] ?? 0) + 1;
  return counts;
}

describe("a program at a fixed address, and its library,", () => {
  let out: string;
  let program: string;
  let explanation: Explanation;
  beforeAll(async () => {
    out = await greeting(FIXED);
    program = join(out, "program");
    explanation = await explained([program, "one", "a word"], { COLOUR: "red" });
  });

  test("are told of with every relocation that the files have", () => {
    for (const object of explanation.objects) {
      const counts: Record<string, number> = object.relative > 0 ? { R_X86_64_RELATIVE: object.relative } : {};
      for (const { object: index, type } of explanation.relocations)
        if (index === object.index) counts[type] = (counts[type] ?? 0) + 1;
      expect(counts).toEqual(countsOf(object.path));
    }
  });

  test("with who was asked, in order", () => {
    expect(explanation.relocations.map((one) => toldOf(explanation, one)).sort()).toEqual([
      "libgreet.so R_X86_64_64 calls: program has it",
      "libgreet.so R_X86_64_GLOB_DAT calls: program has it",
      "libgreet.so R_X86_64_GLOB_DAT greetings: program does not have it, libgreet.so has it",
      "program R_X86_64_COPY calls: libgreet.so has it",
      "program R_X86_64_COPY calls_at: libgreet.so has it",
      "program R_X86_64_JUMP_SLOT greet: program does not have it, libgreet.so has it",
      "program R_X86_64_JUMP_SLOT greet_again: program does not have it, libgreet.so has it",
    ]);
  });

  test("and a variable that is copied: the copy is what the library's slots hold", () => {
    const of = (type: string, name: string) =>
      explanation.relocations.find(({ type: one, symbol }) => one === type && symbol === name);
    const copy = of("R_X86_64_COPY", "calls");
    expect(copy?.value).toBeUndefined();
    expect(copy?.copied?.length).toBe(4);
    const [, library] = explanation.objects;
    expect(Number(copy?.copied?.from)).toBeGreaterThanOrEqual(Number(library?.start));
    expect(Number(copy?.copied?.from)).toBeLessThan(Number(library?.end));
    for (const type of ["R_X86_64_GLOB_DAT", "R_X86_64_64"]) expect(of(type, "calls")?.value).toBe(copy?.at);
  });

  test("with their pages, as the program headers have them", () => {
    for (const { path, loadBias, segments, relro } of explanation.objects) {
      const { stdout } = Bun.spawnSync(["readelf", "-lW", path]);
      const headers = [
        ...stdout.toString().matchAll(/^ +(LOAD|GNU_RELRO) +0x\w+ 0x(\w+) 0x\w+ 0x\w+ 0x(\w+) ([R ])([W ])([E ])/gm),
      ].map(([, type, vaddr = "", size = "", r, w, x]) => ({
        ...{ type, start: Number(loadBias) + Number.parseInt(vaddr, 16), size: Number.parseInt(size, 16) },
        protection: `${r === "R" ? "r" : "-"}${w === "W" ? "w" : "-"}${x === "E" ? "x" : "-"}`,
      }));
      const loads = headers.filter(({ type }) => type === "LOAD");
      expect(loads.length).toBeGreaterThan(2);
      // as they are written to, before RELRO
      for (const { start, size, protection } of loads)
        for (const at of [start, start + size - 1])
          expect(segments.find((one) => at >= Number(one.start) && at < Number(one.end))?.protection).toBe(protection);
      const { start = 0, size = 0 } = headers.find(({ type }) => type === "GNU_RELRO") ?? {};
      const page = (at: number) => at - (at % 4096);
      expect(relro && [Number(relro.start), Number(relro.end)]).toEqual([page(start), page(start + size)]);
    }
  });

  test("the process context is the one that the program would find", () => {
    const { arguments: list, environment, auxiliary, loadBias } = explanation.context;
    expect(list).toEqual([program, "one", "a word"]);
    expect(environment).toBeGreaterThan(0);
    const value = (wanted: string) => auxiliary.find(({ name }) => name === wanted)?.value;
    const header = /Entry point address: +(0x\w+)/.exec(Bun.spawnSync(["readelf", "-hW", program]).stdout.toString());
    expect(value("AT_ENTRY")).toBe(header?.[1] ?? "");
    expect(value("AT_EXECFN")).toBe(program);
    expect(value("AT_BASE")).toBe("0x0");
    expect(loadBias).toEqual({ headersAt: "0x400040", vaddr: "0x400040", bias: "0x0" });
    expect(value("AT_PHDR")).toBe("0x400040");
  });

  test("but for what the kernel puts somewhere else each time, so that an explanation is always the same", async () => {
    const { auxiliary } = explanation.context;
    const others = auxiliary.filter(({ value }) => value === undefined).map(({ name }) => name);
    expect(others).toEqual(expect.arrayContaining(["AT_RANDOM", "AT_SYSINFO_EHDR", "AT_PLATFORM"]));
    const again = await explained([program, "one", "a word"], { COLOUR: "red" });
    expect(again).toEqual(explanation);
    const { stdout } = await explain("--explain", [program]);
    expect(stdout).toMatch(/^ +AT_RANDOM +\(given by the kernel at start\)/m);
  });

  test("with the path by which it is called, as a link or by PATH", async () => {
    const directory = mkdtempSync(join(tmpdir(), "capsule-test-explain-"));
    symlinkSync(program, join(directory, "other-name"));
    for (const [name, path] of [
      [`${directory}/../${basename(directory)}/other-name`, `${directory}/../${basename(directory)}/other-name`],
      ["other-name", join(directory, "other-name")],
    ] as const) {
      const told = await explained([name], { PATH: directory });
      expect(told.context.auxiliary.find((one) => one.name === "AT_EXECFN")?.value).toBe(path);
      expect([told.program, told.context.arguments]).toEqual([program, [name]]);
    }
    rmSync(directory, { recursive: true });
  });

  test("constructors and destructors in the order in which they then write", async () => {
    const called = (list: Explanation["initializers"]) =>
      list.map(({ object, from }) => `${shortName(explanation, object)} ${from}`);
    expect(called(explanation.initializers)).toEqual(["libgreet.so DT_INIT_ARRAY[0]", "program DT_INIT_ARRAY[0]"]);
    expect(called([explanation.entry])).toEqual(["program e_entry"]);
    expect(called(explanation.finalizers)).toEqual(["program DT_FINI_ARRAY[0]", "libgreet.so DT_FINI_ARRAY[0]"]);
    const { stdout } = await command(["link", program], {});
    const written = (word: string) => lines(stdout).filter((line) => line.endsWith(word));
    expect(written("begins")).toEqual(["libgreet.so begins", "the program begins"]);
    expect(written("ends")).toEqual(["the program ends", "libgreet.so ends"]);
  });

  test("the text has the six steps, and what the data has", async () => {
    const { stdout, stderr, exitCode } = await explain("--explain", [program, "one"]);
    expect([stderr, exitCode]).toEqual(["", 0]);
    const printed = lines(stdout);
    expect(printed.filter((line) => /^\(\d\)/.test(line)).map((line) => line[1])).toEqual([..."123456"]);
    for (const { type, symbol, at } of explanation.relocations)
      expect(printed.filter((line) => line.includes(`${at}  ${type.padEnd(18)} ${symbol}`))).toHaveLength(1);
    expect(stdout).toContain("program does not have it → libgreet.so has it");
    expect(stdout).toContain("4 × R_X86_64_RELATIVE");
    const sealed = printed.slice(printed.indexOf("  RELRO: these become read-only now") + 1).slice(0, 2);
    expect(sealed).toEqual(
      explanation.objects
        .map(({ path, relro }) => `    pages ${relro?.start} to ${relro?.end} of ${basename(path)}`)
        .reverse(),
    );
    expect(printed.at(-1)).toContain("Addresses are made up");
    expect(stdout).not.toContain("libgreet.so begins");
  });

  test("a program that can be run says nothing of why not", () => {
    expect(explanation.isOnlyShown).toBeUndefined();
    expect(explanation.warnings).toEqual([]);
  });
});

test("a relocation that is nothing to be done is not told of", async () => {
  const directory = mkdtempSync(join(tmpdir(), "capsule-test-explain-"));
  cpSync(await greeting([]), directory, { recursive: true });
  const typesOf = async () => {
    const { objects, relocations } = await explained([join(directory, "program")]);
    const library = objects.findIndex(({ path }) => basename(path) === "libgreet.so");
    return relocations.filter(({ object }) => object === library).map(({ type }) => type);
  };
  const before = await typesOf();
  damageFile(join(directory, "libgreet.so"), (elf) => spoilRelocation(elf, R_X86_64_64, { r_type: R_X86_64_NONE }));
  expect(before).toContain("R_X86_64_64");
  expect(await typesOf()).toEqual(before.filter((type) => type !== "R_X86_64_64"));
  rmSync(directory, { recursive: true });
});

test("a form that there is not is a wrong command line", async () => {
  const { stdout, stderr, exitCode } = await explain("--explain=pdf", ["/bin/true"]);
  expect([stdout, exitCode]).toEqual(["", 2]);
  expect(stderr).toContain('"pdf"');
});

test("the word behind --explain is the program", async () => {
  const directory = mkdtempSync(join(tmpdir(), "capsule-test-explain-"));
  const program = join(directory, "json");
  copyFileSync("/bin/true", program);
  const { stdout } = await explain("--explain", ["json", "--explain=html"], { PATH: directory });
  expect(stdout).toContain(program);
  expect(stdout).toContain("argv[1]  --explain=html");
  rmSync(directory, { recursive: true });
});

test("a program of glibc's is explained, and why that is all", async () => {
  const explanation = await explained(["/bin/ls"]);
  expect(explanation.isOnlyShown).toStartWith("it needs libc.so.6,");
  expect(explanation.objects.map(({ path }) => basename(path))).toContain("libc.so.6");
  // glibc's string functions are chosen when it is loaded
  expect(explanation.relocations.filter(({ resolver }) => resolver !== undefined).length).toBeGreaterThan(20);
  const [, , ...others] = explanation.objects;
  for (const { index } of others) expect(explanation.objects.some(({ needs }) => needs.includes(index))).toBe(true);
});

test("a library that needs no other is explained, and why that is all", async () => {
  const explanation = await explained([join(await greeting([]), "libgreet.so")]);
  expect(explanation.isOnlyShown).toContain("it has no entry point");
  expect(explanation.objects).toHaveLength(1);
});

test("a library that LD_LIBRARY_PATH has is the one that is explained", async () => {
  const out = await greeting([]);
  const directory = mkdtempSync(join(tmpdir(), "capsule-test-explain-"));
  copyFileSync(join(out, "libgreet.so"), join(directory, "libgreet.so"));
  const { objects } = await explained([join(out, "program")], { LD_LIBRARY_PATH: directory });
  expect(objects[1]?.path).toBe(join(directory, "libgreet.so"));
  rmSync(directory, { recursive: true });
});

test("of two million constructors the first thousand are listed, and all are counted", async () => {
  const out = await greeting([]);
  const directory = mkdtempSync(join(tmpdir(), "capsule-test-explain-"));
  copyFileSync(join(out, "libgreet.so"), join(directory, "libgreet.so"));
  const program = join(directory, "program");
  copyFileSync(join(out, "program"), program);
  // 16 MB of zeroes behind the data
  const room = 2 ** 24;
  const at = 0x10000;
  damageFile(program, (elf) => {
    elf.setLastSegment(PT.LOAD, "p_memsz", BigInt(at + room - elf.lastSegment(PT.LOAD, "p_vaddr")));
    for (const [tag, sizeTag] of [
      [DT.INIT_ARRAY, DT.INIT_ARRAYSZ],
      [DT.FINI_ARRAY, DT.FINI_ARRAYSZ],
    ] as const) {
      elf.setDynamic(tag, at);
      elf.setDynamic(sizeTag, room);
    }
  });
  const explanation = await explained([program]);
  const { initializers, initializerCount, finalizers, finalizerCount } = explanation;
  expect([initializers.length, initializerCount]).toEqual([1000, 1 + room / 8]);
  expect([finalizers.length, finalizerCount]).toEqual([1000, 1 + room / 8]);
  const froms = (list: Explanation["initializers"]) => [list[0], list[1], list.at(-1)].map((one) => one?.from);
  expect(froms(initializers)).toEqual(["DT_INIT_ARRAY[0]", "DT_INIT_ARRAY[0]", "DT_INIT_ARRAY[998]"]);
  const last = room / 8 - 1;
  expect(froms(finalizers)).toEqual([last, last - 1, last - 999].map((index) => `DT_FINI_ARRAY[${index}]`));
  const { stdout } = await explain("--explain", [program]);
  expect(stdout.split(`       and ${1 + room / 8 - 1000} more\n`)).toHaveLength(3);
  rmSync(directory, { recursive: true });
});

test("a constructor that is no address is told in one line", async () => {
  const out = await greeting([]);
  const directory = mkdtempSync(join(tmpdir(), "capsule-test-explain-"));
  copyFileSync(join(out, "program"), join(directory, "program"));
  const library = join(directory, "libgreet.so");
  copyFileSync(join(out, "libgreet.so"), library);
  damageFile(library, (elf) => {
    elf.setDynamic(DT.INIT_ARRAY, elf.dynamicValue(DT.STRTAB) + 1);
    elf.setDynamic(DT.INIT_ARRAYSZ, 8);
  });
  const { stderr, exitCode } = await explain("--explain", [join(directory, "program")]);
  expect(stderr).toBe(`capsule: Cannot read "${library}": DT_INIT_ARRAY[0]: it is no address\n`);
  expect(exitCode).toBe(125);
  rmSync(directory, { recursive: true });
});

describe("what files call their symbols cannot command a terminal:", () => {
  let program: string;
  beforeAll(async () => {
    const out = await greeting(FIXED);
    const directory = mkdtempSync(join(tmpdir(), "capsule-test-explain-"));
    for (const name of ["program", "libgreet.so"]) {
      const bytes = readFileSync(join(out, name));
      // as many bytes as there were
      bytes.write("\x1b[2Jme", bytes.indexOf("calls_at\0") + 2);
      writeFileSync(join(directory, name), bytes);
    }
    program = join(directory, "program");
    chmodSync(program, 0o755);
    return () => rmSync(directory, { recursive: true });
  });

  test("text has them with escapes, and tells of a symbol that nobody defines", async () => {
    const { stdout, exitCode } = await explain("--explain", [program]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain("ca\\x1b[2Jme");
    expect(stdout.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    // the hash table does not have the new name
    expect(stdout).toMatch(/^ {2}! Cannot relocate "\S+program": R_X86_64_COPY at vaddr 0x\w+ wants "ca\\x1b\[2Jme"/m);
  });

  test("JSON has them as they are", async () => {
    const { stdout } = await explain("--explain=json", [program]);
    expect(stdout).not.toContain("\x1b");
    expect((JSON.parse(stdout) as Explanation).relocations.map(({ symbol }) => symbol)).toContain("ca\x1b[2Jme");
  });
});
