// Which tests may notice a change of a line, and how long they take.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Imports, importsOf, reachOf } from "../imports.ts";
import type { Mutant } from "./mutations.ts";

/** `quick` tests start no program, `spawns` may, `exec` are whole runs. Each has those before it. */
export const KINDS = ["quick", "spawns", "exec"] as const;
export type Kind = (typeof KINDS)[number];

/** A test file, in one mode. */
export interface Test {
  readonly path: string;
  readonly mode: string;
  /** How long it takes without any mutant. */
  readonly ms: number;
  readonly mayNotice: (mutant: Mutant) => boolean;
}

/** Tests of whole runs, and the folders that they are for. */
const RUNS = [
  {
    folders: ["lib/loader", "lib/process", "src/hosted", "src/passes", "src/handover", "src/agent", "src/server"],
    mode: "",
    names: ["data", "symbols", "loading", "signals", "descriptors"],
  },
  {
    folders: [
      "lib/process",
      "src/attached",
      "src/passes",
      "src/handover",
      "src/agent",
      "src/server",
      "src/directories",
    ],
    mode: "attached",
    names: ["attached-linking", "attached-process", "attached-memory", "data", "loading"],
  },
  { folders: ["src/plan", "src/settings", "src/profiles"], mode: "", names: ["plan", "settings", "families"] },
];

/** Runs all tests of a kind that may reach one of the files, as they are. One that fails by itself is left out. */
export function testsOf(root: string, kind: Kind, files: readonly string[], print: (line: string) => void): Test[] {
  const tests: Test[] = [];
  for (const { path, mode, isFor } of candidates(importsOf(root, ["lib", "src", "test"]), kind)) {
    if (!files.some(isFor)) continue;
    // Once more if it fails: some limit their time, and the machine may be busy.
    const measured = measure(root, path, mode) ?? measure(root, path, mode);
    if (measured === undefined) print(`${path} fails without any change, and is left out`);
    else {
      const { ms, lines } = measured;
      // What a test executes in other processes is not known.
      const mayNotice = ({ file, line }: Mutant) => (lines === undefined ? isFor(file) : !!lines.get(file)?.has(line));
      tests.push({ path, mode, ms, mayNotice });
    }
  }
  return tests.sort((a, b) => a.ms - b.ms);
}

const isQuick = (path: string): boolean => !/\.spawns\.|^test\/exec\//.test(path);

interface Candidate {
  readonly path: string;
  readonly mode: string;
  readonly isFor: (file: string) => boolean;
}

function* candidates(imports: Imports, kind: Kind): Generator<Candidate> {
  for (const path of imports.keys()) {
    if (!/^test\/(lib|src|scripts)\/.*\.test\.ts$/.test(path) || (kind === "quick" && !isQuick(path))) continue;
    const reach = reachOf(path, imports);
    // The command that a test starts belongs to the folder that the test's own is named after.
    const isFor = (file: string) => reach.has(file) || (!isQuick(path) && `test/${dirname(file)}` === dirname(path));
    yield { path, mode: "", isFor };
  }
  if (kind !== "exec") return;
  for (const { folders, mode, names } of RUNS) {
    const isFor = (file: string): boolean => folders.some((folder) => file.startsWith(`${folder}/`));
    for (const name of names) yield { path: `test/exec/${name}.test.ts`, mode, isFor };
  }
}

/** How long a test file takes, and where nothing is started, which lines it executes; undefined if it fails. */
function measure(root: string, path: string, mode: string) {
  const coverage = mkdtempSync(join(tmpdir(), "capsule-coverage-"));
  try {
    const asked = isQuick(path) ? ["--coverage", "--coverage-reporter=lcov", `--coverage-dir=${coverage}`] : [];
    const started = performance.now();
    const { exitCode } = Bun.spawnSync([process.execPath, "test", ...asked, `./${path}`], {
      cwd: root,
      env: { ...process.env, CAPSULE_TEST_MODE: mode },
    });
    const ms = performance.now() - started;
    if (exitCode !== 0) return undefined;
    return { ms, lines: isQuick(path) ? executedLines(readFileSync(join(coverage, "lcov.info"), "utf8")) : undefined };
  } finally {
    rmSync(coverage, { recursive: true, force: true });
  }
}

/** File → lines that were executed, from coverage in lcov's format. */
export function executedLines(lcov: string): ReadonlyMap<string, ReadonlySet<number>> {
  const files = lcov.split("end_of_record").map((record): [string, Set<number>] => {
    const [, file = ""] = /^SF:(.*)$/m.exec(record) ?? [];
    return [file, new Set([...record.matchAll(/^DA:(\d+),[1-9]/gm)].map(([, line]) => Number(line)))];
  });
  return new Map(files);
}
