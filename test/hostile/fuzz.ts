// Lets damaged files loose on their readers, and on ld.so what the check lets pass.

import { readFileSync } from "node:fs";
import { checkFile } from "../../lib/elf/check.ts";
import { ElfError } from "../../lib/elf/error.ts";
import { readLibrary } from "../../lib/elf/library.ts";
import { checkVersionsBeside } from "../../lib/tree/closure.ts";
import type { Scratch } from "../lib/elf/scratch.ts";
import { anatomyOf, damaged, randomAt } from "./damage.ts";
import { type Loader, openEach } from "./ld-so.ts";
import type { Reader } from "./readers.ts";
import { buildLibraries, NEEDED } from "./specimens.ts";

/** The longest that a file may take its reader, in milliseconds of processor time. */
const LIMIT_MS = 2000;

/** Indexes of a seed's files. */
export interface Files {
  readonly seed: number;
  readonly from: number;
  readonly count: number;
}

export interface Outcomes {
  read: number;
  /** How often each structure was at fault, or each error was thrown. */
  readonly refused: Map<string, number>;
}

/** Throws for a file that its reader does not stand, saying how to repeat that. */
export function fuzzReader(scratch: Scratch, reader: Reader, { seed, from, count }: Files): Outcomes {
  const outcomes: Outcomes = { read: 0, refused: new Map() };
  for (let index = from; index < from + count; index++) {
    const path = scratch.write("damaged", reader.damage(randomAt(seed, index)));
    const fail = (what: string, cause?: unknown) =>
      new Error(`${reader.name}: ${what}. Repeat it by: ${repeatedBy(reader.name, seed, index)}`, { cause });
    const before = process.cpuUsage();
    try {
      reader.read(path);
      outcomes.read++;
    } catch (error) {
      if (!reader.errors.some((kind) => error instanceof kind)) throw fail("it ends in another error", error);
      const name = error instanceof ElfError ? error.structure : (error as Error).name;
      outcomes.refused.set(name, (outcomes.refused.get(name) ?? 0) + 1);
    }
    const { user, system } = process.cpuUsage(before);
    if (user + system > LIMIT_MS * 1000) throw fail(`it takes ${Math.round((user + system) / 1000)} ms`);
  }
  return outcomes;
}

export const repeatedBy = (name: string, seed: number, index: number): string =>
  `bun run fuzz --only "${name}" --seed ${seed} --from ${index} --count 1`;

/** What is only ld.so's. */
export const LD_SO = "ld.so";
/** How many files are opened by one process. */
const BATCH = 500;

interface Killed {
  readonly index: number;
  readonly specimen: string;
  /** In which mode, by which ld.so, and how. */
  readonly how: string;
}

export interface Attack {
  readonly passed: number;
  /** What passes the check, and kills. */
  readonly killed: readonly Killed[];
}

/** Each loader opens each file that passes the check, in one of dlopen's modes, lazily or not. */
export function attackLoaders(scratch: Scratch, loaders: readonly Loader[], { seed, from, count }: Files): Attack {
  const specimens = Object.entries(buildLibraries(scratch)).map(([name, path]) => {
    return { name, bytes: new Uint8Array(readFileSync(path)), anatomy: anatomyOf(path) };
  });
  const killed: Killed[] = [];
  let passed = 0;
  for (let start = from; start < from + count; start += BATCH) {
    const batch: { index: number; specimen: string; path: string }[] = [];
    for (let index = start; index < Math.min(start + BATCH, from + count); index++) {
      const { name, bytes, anatomy } = specimens[index % specimens.length] as (typeof specimens)[number];
      const path = scratch.write(`damaged-${batch.length}`, damaged(bytes, anatomy, randomAt(seed, index)));
      if (passes(path)) batch.push({ index, specimen: name, path });
    }
    passed += batch.length;
    for (const [i, loader] of loaders.entries())
      for (const mode of ["now", "lazy"] as const) {
        const opened = batch.filter(
          ({ index }) => (Math.floor(index / specimens.length) + i) % 2 === (mode === "now" ? 0 : 1),
        );
        const lines = openEach(
          loader,
          mode,
          opened.map(({ path }) => path),
        );
        for (const [k, { index, specimen }] of opened.entries())
          if (killsLdSo(lines[k] ?? "")) killed.push({ index, specimen, how: `${loader.name}, ${mode}: ${lines[k]}` });
      }
  }
  return { passed, killed };
}

/** As for a library that a plan isolates, with what it needs. */
function passes(path: string): boolean {
  try {
    checkFile(path);
    const library = readLibrary(path);
    checkVersionsBeside({ libraries: [library] }, (name) => NEEDED.includes(name));
    return !library.isFixed && !library.isPie;
  } catch (error) {
    if (error instanceof ElfError) return false;
    throw error;
  }
}

/**
 * Did ld.so itself die, or jump into nowhere? What happens in the file's code is not its fault: other bytes of the file
 * may have been mapped there, or a constructor may be another library's function.
 */
const killsLdSo = (line: string): boolean =>
  line.startsWith("killed: ") && !/ (?:in|called by) (?:damaged-\d+|libc\.so\.6|libother\.so\.1)\+/.test(line);
