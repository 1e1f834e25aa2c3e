// `bun run bench`: what a run in the capsule costs in either mode, beside the same program natively on the same Mesa
// and beside Bun's own start. It measures and never judges: no figure makes it fail. Everything runs in turns, in one
// go, so that whatever else the machine does meets all sides.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Display } from "../test/support/display.ts";
import { tree } from "../test/support/trees.ts";
import { border } from "./border.ts";
import { COMMAND } from "./command.ts";
import { commands } from "./commands.ts";
import { counts } from "./counts.ts";
import { frames } from "./frames.ts";
import { otherGlibc } from "./glibc.ts";
import { memory } from "./memory.ts";
import { passes } from "./passes.ts";
import { printTable, type Table } from "./report.ts";
import { server } from "./server.ts";
import { startUp } from "./start-up.ts";
import { starts } from "./starts.ts";
import { makeSubjects, sameMesa } from "./subjects.ts";

const USAGE = `Usage: bun run bench [--runs N] [--json FILE]

  --runs N      runs of each command, in turns (default: 15)
  --json FILE   write the figures there, too
`;

const { runs, json } = readOptions();
await using display = await Display.start();
const host = await tree("bullseye");
const temporary = mkdtempSync(join(tmpdir(), "bench-"));
const subjects = await makeSubjects(host, display, temporary);
const version = sameMesa(subjects);
const load = () => loadavg()[0]?.toFixed(2);

const tables: Table[] = [];
const report = (table: Table) => {
  tables.push(table);
  printTable(table);
};

console.log(
  [
    `capsule: ${COMMAND.words}; Bun ${Bun.version}; the host tree's Mesa: ${version}, natively and in the capsule`,
    `${cpus().length} × ${cpus()[0]?.model.trim()}, load ${load()}; ${runs} runs of each, in turns; medians`,
  ].join("\n"),
);
report(startUp(subjects, runs));
report(otherGlibc(subjects, await tree("trixie"), runs));
report(starts(subjects, runs));
report(commands(subjects, host, largest(host), runs));
for (const subject of [subjects.glxinfo, subjects.idle])
  for (const mode of ["in-process", "attached"] as const) report(passes(subject, mode, runs));
report(counts(subjects));
report(memory(subjects, runs));
report(await server(subjects));
report(await border(temporary, runs));
report(await frames(host, display, temporary));
rmSync(temporary, { recursive: true });
console.log(`\nload ${load()}`);
if (json !== undefined) {
  const bun = Bun.version;
  writeFileSync(json, `${JSON.stringify({ capsule: COMMAND.words, bun, mesa: version, runs, tables }, null, 2)}\n`);
  console.log(`\nwritten to ${json}`);
}

/** The tree's libLLVM. */
function largest(host: string): string {
  const [path] = new Bun.Glob("usr/lib/x86_64-linux-gnu/libLLVM*.so*").scanSync({ cwd: host, absolute: true });
  if (path === undefined) throw new Error(`There is no libLLVM in ${host}`);
  return path;
}

function readOptions(): { runs: number; json: string | undefined } {
  try {
    const { values } = parseArgs({ options: { runs: { type: "string", default: "15" }, json: { type: "string" } } });
    const runs = Number(values.runs);
    if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs wants a number, and got "${values.runs}"`);
    return { runs, json: values.json };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${USAGE}`);
    process.exit(2);
  }
}
