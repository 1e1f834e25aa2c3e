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

/**
 * Without what capsule has put into the environment that it shows, for what the program starts: a directory in front on
 * the library path, a fixture's host tree at its end, an auditor, and room for thread-local data.
 */
export function withoutShims(outcome: Outcome): Outcome {
  const own = `LD_LIBRARY_PATH=/[^:"\\s]*/capsule-\\w{6}/lib`;
  // The host tree, and the tree of another glibc.
  const host = `:/[^:"\\s]*/fixtures/[^:"\\s]*(?::/[^:"\\s]*/trees/[^:"\\s]*)?`;
  const path = `${own}${host}`;
  const auditor = "LD_AUDIT=/[^:]*/capsule-\\w{6}/lib/audit/libcapsule-audit-\\$PLATFORM\\.so";
  const room = "glibc\\.rtld\\.optional_static_tls=\\d+";
  const stdout = outcome.stdout
    // Where the user has set none, there is nothing else in it.
    .replace(new RegExp(`^([a-z': ]*${auditor}|${path}|[a-z': ]*GLIBC_TUNABLES=${room})\n`, "gm"), "")
    // As the kernel has it.
    .replace(new RegExp(` "(${auditor}|GLIBC_TUNABLES=${room})"`, "g"), "")
    .replace(new RegExp(`${own}:([^"\\s]*)${host}(?=["\\s]|$)`, "gm"), "LD_LIBRARY_PATH=$1")
    .replace(new RegExp(`:${room}`, "g"), "");
  return { ...outcome, stdout };
}

function observed({ stdout, stderr, exitCode, signal }: Outcome) {
  return { stdout: stdout.split("\n"), stderr: stderr.split("\n"), exitCode, signal };
}
