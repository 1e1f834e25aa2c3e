// A program is entered as the kernel would do it, and may return.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { run } from "../../support/run.ts";

const enters = (program: string) =>
  run([process.execPath, join(import.meta.dir, "enters.ts"), program], { env: { COLOUR: "red" } });

test("it finds its context where the stack pointer is, and goes on behind the call when it returns", async () => {
  const { stdout, stderr, exitCode } = await enters("program");
  expect([stderr, exitCode]).toEqual(["", 0]);
  const [list, environment, headers, ...rounds] = stdout.trimEnd().split("\n");
  expect(list).toEndWith("enters.ts program");
  expect(environment).toBe("environment: COLOUR=red");
  expect(headers).toMatch(/^headers: \d+$/);
  // what `ret` finds is argc: 3
  expect(rounds).toEqual(new Array(3).fill("back: aligned, argc 3, rdx 4660, argv[0] true"));
});

test("a fault of its own is whose it would have been", async () => {
  const { stderr, exitCode, signal } = await enters("crash");
  expect(exitCode === 0).toBe(false);
  // Bun's own handler, which it had before
  expect(stderr).toContain("Segmentation fault");
  expect([exitCode, signal]).not.toEqual([0, null]);
});
