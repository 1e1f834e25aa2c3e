// Copies that dlopen takes: what it refuses otherwise is one bit.

import { afterAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { openImage } from "../../../../lib/elf/file.ts";
import { openableCopy } from "../../../../lib/elf/write/openable.ts";
import { Scratch } from "../scratch.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

const compile = (name: string, ...flags: string[]): string =>
  scratch.compile(name, "int number(void) { return 1; }", "-shared", "-fPIC", ...flags);

test("a copy differs by DF_1_NOOPEN alone", () => {
  const path = compile("libmarked.so", "-Wl,-z,nodlopen", "-Wl,-z,now");
  const before = readFileSync(path);
  const after = openableCopy(path);
  const different = [...before.keys()].filter((at) => before[at] !== after[at]);
  expect(different).toHaveLength(1);
  expect(after).toHaveLength(before.length);
  using source = openImage(path);
  using copy = openImage(scratch.write("copy.so", after));
  expect([source.flags1, copy.flags1]).toEqual([0x41, 0x1]);
});

test("a copy of what has no such flag is the same", () => {
  for (const path of [compile("libplain.so"), compile("libnow.so", "-Wl,-z,now")])
    expect(Buffer.from(openableCopy(path)).equals(readFileSync(path))).toBe(true);
});
