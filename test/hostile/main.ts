// `bun run fuzz`: damaged files without end, or as many as wanted. It ends at the first one that a reader does not
// stand, and lists those that kill ld.so although they pass the check.

import { parseArgs } from "node:util";
import { Scratch } from "../lib/elf/scratch.ts";
import { attackLoaders, fuzzReader, LD_SO, repeatedBy } from "./fuzz.ts";
import { loaderOf } from "./ld-so.ts";
import { readersIn } from "./readers.ts";

const HELP = `bun run fuzz [options]
  --seed N      which files: the same for the same number (default: any)
  --from I      the first one of them (default: 0)
  --count M     how many for each reader (default: no end)
  --only NAME   for this reader alone; may be repeated; "${LD_SO}" is the check against ld.so
  --tree DIR    also the ld.so of this library tree; may be repeated
`;
/** How many files a reader gets before the next one's turn. */
const TURN = 2000;

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    from: { type: "string", default: "0" },
    count: { type: "string", default: "Infinity" },
    only: { type: "string", multiple: true, default: [] },
    tree: { type: "string", multiple: true, default: [] },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}

const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const [first, count] = [Number(values.from), Number(values.count)];
const isWanted = (name: string): boolean => values.only.length === 0 || values.only.includes(name);

using scratch = new Scratch();
const readers = readersIn(scratch).filter(({ name }) => isWanted(name));
const loaders = isWanted(LD_SO) ? [undefined, ...values.tree].map((tree) => loaderOf(scratch, tree)) : [];
process.stdout.write(`seed ${seed}\n`);
let [passed, kills] = [0, 0];
for (let from = first; from < first + count; from += TURN) {
  const files = { seed, from, count: Math.min(TURN, first + count - from) };
  for (const reader of readers) fuzzReader(scratch, reader, files);
  if (loaders.length > 0) {
    const attack = attackLoaders(scratch, loaders, files);
    for (const { index, specimen, how } of attack.killed)
      process.stdout.write(`${specimen} kills ${how}\n  ${repeatedBy(LD_SO, seed, index)}\n`);
    passed += attack.passed;
    kills += attack.killed.length;
  }
  process.stdout.write(
    `${from + files.count} files a reader${loaders.length > 0 ? `, ${passed} pass the check, ${kills} kill` : ""}\n`,
  );
}
process.exitCode = kills > 0 ? 1 : 0;
