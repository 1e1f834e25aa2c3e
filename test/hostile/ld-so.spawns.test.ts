// What passes the check does not kill ld.so: thousands of damaged libraries, the same ones in every run. `bun run fuzz`
// has more of them, and other releases of ld.so.

import { afterAll, expect, test } from "bun:test";
import { checkFile } from "../../lib/elf/check.ts";
import { DT_RELAENT } from "../../lib/elf/constants.ts";
import { Liar } from "../lib/elf/liar.ts";
import { Scratch } from "../lib/elf/scratch.ts";
import { attackLoaders } from "./fuzz.ts";
import { loaderOf, openEach } from "./ld-so.ts";
import { buildLibraries } from "./specimens.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

test("the libraries that are damaged are sound, and ld.so opens them", () => {
  const paths = Object.values(buildLibraries(scratch));
  for (const path of paths) checkFile(path);
  for (const mode of ["now", "lazy"] as const)
    expect(openEach(loaderOf(scratch), mode, paths)).toEqual(paths.map(() => "opened"));
});

test("what passes the check does not kill ld.so", () => {
  const { passed, killed } = attackLoaders(scratch, [loaderOf(scratch)], { seed: 1, from: 0, count: 8000 });
  expect(killed).toEqual([]);
  expect(passed).toBeGreaterThan(3000);
});

test("what kills ld.so is found out, alone and among others", () => {
  const [sound = ""] = Object.values(buildLibraries(scratch));
  const killer = scratch.write("killer.so", withoutRelaent(sound));
  const lines = openEach(loaderOf(scratch), "now", [sound, killer, sound, "/no/such/file"]);
  expect(lines).toEqual([
    "opened",
    expect.stringMatching(/^killed: signal 11 in ld-linux/),
    "opened",
    expect.stringContaining("cannot open shared object file"),
  ]);
});

function withoutRelaent(path: string): Uint8Array {
  const file = new Liar(path);
  file.remove(DT_RELAENT);
  return file.bytes;
}
