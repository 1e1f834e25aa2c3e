// plug-ins.ts HOST PATH: opens modules of glibc's, and one that is not.

import { openCapsule } from "../../../../src/index.ts";

const [host = "", gconv = ""] = process.argv.slice(2);
using capsule = openCapsule({ host });
const directory = gconv.replace(/\/gconv\/.*/, "");
for (const name of [
  "libnss_files.so.2",
  `${directory}/libnss_files.so.2`,
  "libnss_nis.so.2",
  `${directory}/libnss_nis.so.2`,
  "libnss_mine.so.2",
  gconv,
]) {
  try {
    const { symbols } = capsule.dlopen(name, { module_answer: { args: [], returns: "i32" } });
    console.log(`opened: ${symbols.module_answer()}`);
  } catch (error) {
    console.log((error as Error).message.replaceAll(`${directory}/`, "…/"));
  }
}
