// names.ts HOST NAME…: opens libraries, and shows what they are given.

import { openCapsule } from "../../../../src/index.ts";

const [host = "", ...names] = process.argv.slice(2);
using capsule = openCapsule({ host, profiles: [] });
for (const name of names) {
  try {
    const { symbols } = capsule.dlopen(name, { host_shows: { args: [], returns: "void" } });
    symbols.host_shows();
  } catch (error) {
    console.log((error as Error).message.replaceAll(`${host}/`, "…/"));
  }
}
