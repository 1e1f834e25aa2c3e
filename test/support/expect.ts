// What is asserted of a child process, most of the time.

import { expect } from "bun:test";
import { lines } from "./lines.ts";
import type { Outcome } from "./run.ts";

/** It printed these lines and nothing else, and ended well. */
export function expectLines(outcome: Outcome, expected: string[]): void {
  expect(outcome.stderr).toBe("");
  expect(lines(outcome.stdout)).toEqual(expected);
  expect(outcome.signal).toBeNull();
  expect(outcome.exitCode).toBe(0);
}

/** Both printed the same and ended in the same way. */
export function expectSame(outcome: Outcome, model: Outcome): void {
  expect(observed(outcome)).toEqual(observed(model));
}

function observed({ stdout, stderr, exitCode, signal }: Outcome) {
  return { stdout: stdout.split("\n"), stderr: stderr.split("\n"), exitCode, signal };
}
