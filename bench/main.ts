// `bun run bench`: what a run in the capsule costs, beside the same program natively on the same Mesa and beside Bun's
// own start. It measures and never judges: no figure makes it fail. Everything runs in turns, in one go, so that
// whatever else the machine does meets all sides.

import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { Display } from "../test/support/display.ts";
import { tree } from "../test/support/trees.ts";
import { border } from "./border.ts";
import { COMMAND } from "./command.ts";
import { counts } from "./counts.ts";
import { memory } from "./memory.ts";
import { passes } from "./passes.ts";
import { printTable, type Table } from "./report.ts";
import { startUp } from "./start-up.ts";
import { sameMesa, subjects } from "./subjects.ts";

const USAGE = `Usage: bun run bench [--runs N] [--json FILE]

  --runs N      runs of each command, in turns (default: 15)
  --json FILE   write the figures there, too
`;

const { runs, json } = readOptions();
await using display = await Display.start();
const host = await tree("bullseye");
const measured = await subjects(host, display);
const version = await sameMesa(measured);

const tables: Table[] = [];
const report = (table: Table) => {
  tables.push(table);
  printTable(table);
};

console.log(
  [
    `capsule: ${COMMAND.words}; Bun ${Bun.version}; the host tree's Mesa: ${version}, natively and in the capsule`,
    `${cpus().length} × ${cpus()[0]?.model.trim()}; ${runs} runs of each, in turns; medians`,
  ].join("\n"),
);
report(startUp(measured, runs));
for (const subject of measured) report(passes(subject, runs));
report(counts(measured));
report(memory(measured, runs));
report(await border(runs));
if (json !== undefined) {
  const bun = Bun.version;
  writeFileSync(json, `${JSON.stringify({ capsule: COMMAND.words, bun, mesa: version, runs, tables }, null, 2)}\n`);
  console.log(`\nwritten to ${json}`);
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
