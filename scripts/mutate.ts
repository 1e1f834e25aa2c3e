// Mutation testing: makes one small mistake after the other in lib/ and src/ (mutate/mutations.ts), and lists those that
// no test notices. StrykerJS has no part for Bun's test runner, and would run everything for each mutant.
//
// A mutant meets the tests that execute its line, those of its own folder first, up to the first failure. If they take
// much longer than without it, it is late, which is as good as killed. What no test notices, and tsc refuses, is refused.
// The rest survived, or if no test executes that line, is unmet. The order is random: what is printed up to an
// interruption is a sample, and a later run continues with the rest of the same sources.

import { dirname, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { Glob } from "bun";
import { Checker } from "./mutate/checker.ts";
import { Copy } from "./mutate/copy.ts";
import { type Mutant, mutantsOf } from "./mutate/mutations.ts";
import { KINDS, type Kind, type Test, testsOf } from "./mutate/tests.ts";

const USAGE = `Usage: bun run mutate [FILE, FILE:LINE OR FOLDER…] [OPTION…]

  --sample N     only N of the mutants
  --seed S       a number that decides which; 1 without it
  --skip N       without the first N of that seed, which an earlier run has done
  --jobs N       so many at a time; 1 without it
  --tests KIND   quick: tests that start no program (as without it)
                 spawns: also those of test/lib, test/src and test/scripts that do
                 exec: also some of test/exec`;

export interface Options {
  /** Where lib/, src/ and test/ are. They are not changed. */
  readonly root: string;
  /** Files, lines of files ("lib/a.ts:12", as a survivor is printed) and folders in it. */
  readonly paths: readonly string[];
  readonly sample: number;
  readonly seed: number;
  readonly skip: number;
  readonly jobs: number;
  readonly tests: Kind;
  /** What a loaded machine may take longer for a mutant's tests. */
  readonly patienceMs: number;
  readonly print: (line: string) => void;
  /** Ends it before all mutants are done. */
  readonly signal?: AbortSignal;
}

/** A mutant is late after so many times what its tests take without it, and a while more. */
const TIMES = 5;

const FATES = ["killed", "late", "refused", "survived", "unmet"] as const;
type Fate = (typeof FATES)[number];

/** Prints each survivor, and what became of all, by folder. Throws if `paths` lead to no source file. */
export async function mutate(options: Options): Promise<void> {
  const { paths, jobs, print } = options;
  using stack = new DisposableStack();
  // Made at once: the tree may change while this runs.
  const copies = Array.from({ length: jobs }, () => stack.use(new Copy(options.root)));
  const root = copies[0]?.root ?? options.root;
  const files = [...new Glob("{lib,src}/**/*.ts").scanSync(root)]
    .filter((file) => !file.endsWith(".d.ts") && paths.some((path) => isWithin(`${file}:`, path.replace(/:\d+$/, ""))))
    .sort();
  if (files.length === 0) throw new Error(`Cannot find a source file in ${paths.join(", ")}`);
  const tests = await soundTests(testsOf(root, options.tests, files, print), copies, options);
  const { seed, skip, sample } = options;
  const isWanted = ({ file, line }: Mutant) => paths.some((path) => isWithin(`${file}:${line}:`, path));
  const mutants = shuffled((await allMutants(root, files)).filter(isWanted), seed).slice(skip, skip + sample);
  print(`${mutants.length} mutants in ${files.length} files, ${tests.length} test files`);

  const table = new Map<string, Record<Fate, number>>();
  const queue = mutants.entries();
  let next = mutants.length;
  const work = async (copy: Copy): Promise<void> => {
    await using checker = new Checker(copy.root);
    for (const [i, mutant] of queue) {
      const met = nearest(tests, mutant);
      const fate = await copy.with(mutant, () => fateOf(mutant, met, { copy, checker, ...options }));
      // Its tests may have failed because a signal ended them, too.
      if (options.signal?.aborted) {
        next = Math.min(next, i);
        break;
      }
      if (fate === "survived") print(`${described(mutant)}\n    ${met.map(named).join(" ")}`);
      if (fate === "unmet") print(`${described(mutant)}\n    no test`);
      table.getOrInsertComputed(dirname(mutant.file), noFates)[fate]++;
    }
  };
  await Promise.all(copies.map(work));

  for (const [folder, row] of [...table].sort())
    print(`${folder}: ${FATES.map((fate) => `${row[fate]} ${fate}`).join(", ")}`);
  if (next < mutants.length) print(`Interrupted: --skip ${skip + next} continues`);
}

const isWithin = (place: string, path: string): boolean => [":", "/"].some((end) => place.startsWith(path + end));

/** Those that pass in the sandbox as well: any other would seem to notice every mutant. */
async function soundTests(tests: readonly Test[], [copy]: readonly Copy[], { patienceMs, print }: Options) {
  const sound: Test[] = [];
  for (const test of tests) {
    if (await copy?.passes([`./${test.path}`], test.mode, Math.ceil(patienceMs + TIMES * test.ms))) sound.push(test);
    else print(`${named(test)} fails in the sandbox, and is left out`);
  }
  return sound;
}

async function allMutants(root: string, files: readonly string[]): Promise<Mutant[]> {
  await using checker = new Checker(root);
  const mutants: Mutant[] = [];
  for await (const [file, source] of checker.parse(files)) mutants.push(...mutantsOf(file, source));
  return mutants;
}

interface Judges {
  readonly copy: Copy;
  readonly checker: Checker;
  readonly patienceMs: number;
}

/** Of a mutant that is in its place. */
async function fateOf({ file }: Mutant, tests: readonly Test[], { copy, checker, patienceMs }: Judges): Promise<Fate> {
  if (tests.length === 0) return "unmet";
  for (const [mode, some] of Map.groupBy(tests, (test) => test.mode)) {
    const usualMs = some.reduce((sum, { ms }) => sum + ms, 0);
    const paths = some.map(({ path }) => `./${path}`);
    const passed = await copy.passes(paths, mode, Math.ceil(patienceMs + TIMES * usualMs));
    if (passed !== true) return passed === undefined ? "late" : "killed";
  }
  return (await checker.refuses(file)) ? "refused" : "survived";
}

/** Those that may notice a mutant, the likeliest first: those named after its file, then those of its folder. */
function nearest(tests: readonly Test[], mutant: Mutant): Test[] {
  const own = `test/${mutant.file.replace(/ts$/, "")}`;
  const distance = ({ path }: Test) => (path.startsWith(own) ? 0 : dirname(path) === dirname(own) ? 1 : 2);
  return tests.filter((test) => test.mayNotice(mutant)).sort((a, b) => distance(a) - distance(b));
}

const noFates = (): Record<Fate, number> => ({ killed: 0, late: 0, refused: 0, survived: 0, unmet: 0 });

/** In an order that the seed decides. */
function shuffled<T>(items: readonly T[], seed: number): T[] {
  const ranks = new Map(items.map((item, i) => [item, Bun.hash(`${seed} ${i}`)]));
  return [...ranks].sort(([, a], [, b]) => (a < b ? -1 : 1)).map(([item]) => item);
}

const named = ({ path, mode }: Test): string => `${path}${mode && ` (${mode})`}`;

function described({ file, text, line, start, end, replacement }: Mutant): string {
  const [whole = ""] = text.split("\n").slice(line - 1);
  const short = (code: string): string => code.replace(/\s+/g, " ").replace(/(?<=^.{60}).*/, "…");
  return `${file}:${line}: ${short(text.slice(start, end))} → ${short(replacement)}, in ${whole.trim()}`;
}

function readOptions(): Options {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      sample: { type: "string", default: "Infinity" },
      seed: { type: "string", default: "1" },
      skip: { type: "string", default: "0" },
      jobs: { type: "string", default: "1" },
      tests: { type: "string", default: "quick" },
    },
  });
  const [sample, seed, skip, jobs] = [
    Number(values.sample),
    Number(values.seed),
    Number(values.skip),
    Number(values.jobs),
  ];
  if (!(sample > 0) || Number.isNaN(seed) || !(skip >= 0) || !(jobs > 0))
    throw new Error("--sample, --seed, --skip and --jobs want a number");
  const tests = KINDS.find((kind) => kind === values.tests);
  if (tests === undefined) throw new Error(`--tests wants one of ${KINDS.join(", ")}, and got "${values.tests}"`);
  const root = join(import.meta.dir, "..");
  const paths = positionals.map((path) => relative(root, resolve(path)));
  const wanted = paths.length > 0 ? paths : ["lib", "src"];
  return { root, paths: wanted, sample, seed, skip, jobs, tests, patienceMs: 10_000, print: console.log };
}

if (import.meta.main) {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => controller.abort());
  let options: Options;
  try {
    options = readOptions();
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${USAGE}`);
    process.exit(2);
  }
  await mutate({ ...options, signal: controller.signal });
}
