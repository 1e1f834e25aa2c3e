// Arguments: two host trees of the notgl family.

import { readFileSync } from "node:fs";
import { openCapsule } from "../../../../src/index.ts";
import { say, TEXT } from "./show.ts";

const [one = "", other = ""] = process.argv.slice(2);
const namespaces = new Set<number>();
const colours = new Set<string>();
const open = (host: string) => {
  const capsule = openCapsule({ host, libraries: ["libnotgl.so.0"] });
  namespaces.add(capsule.namespace);
  return capsule;
};
const colourOf = (capsule: ReturnType<typeof open>) =>
  `${capsule.dlopen("libnotgl.so.0", { notgl_get_implementation: TEXT }).symbols.notgl_get_implementation()}`;

{
  using first = open(one);
  using second = open(other);
  say("at the same time", `${colourOf(first)} and ${colourOf(second)}`);
}
for (let i = 0; i < 40; i++) {
  using capsule = open(i % 2 ? one : other);
  colours.add(colourOf(capsule));
}
say("one after the other", [...colours].sort().join(" and "));
say("namespaces", namespaces.size);
const maps = readFileSync("/proc/self/maps", "utf8");
// The pages by which libraries ask their server are shared, and nothing else here.
say("left in memory", /libnotgl|\/dev\/zero/.test(maps) ? "something" : "nothing");
