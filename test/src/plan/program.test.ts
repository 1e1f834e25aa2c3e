// What the kernel refuses to run, and a shell does not.

import { afterAll, expect, test } from "bun:test";
import { isShells } from "../../../src/plan/program.ts";
import { Scratch } from "../../lib/elf/scratch.ts";
import { smallImage } from "../../lib/elf/small-image.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());
const text = (content: string) => new TextEncoder().encode(content);

test("isShells() is true for text without a line that says who runs it", () => {
  const is = (content: Uint8Array) => isShells(scratch.write("script", content));
  expect(is(text("exec game\n"))).toBe(true);
  expect(is(text("xELF\n"))).toBe(true);
  expect(is(text("#!/bin/sh\nexec game\n"))).toBe(false);
  for (const other of ["", "exec \0", "\x7fELF"]) expect(is(text(other))).toBe(false);
  expect(is(smallImage().bytes)).toBe(false);
  expect(isShells(scratch.path("none"))).toBe(false);
  expect(isShells(scratch.directory)).toBe(false);
});
