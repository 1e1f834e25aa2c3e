// The mode in which the tests run programs. Nearly all promises hold in both; what is promised in one alone is shown as
// skipped in the other, with the reason.

import { test } from "bun:test";
import { readdirSync } from "node:fs";
import { appears } from "./serving.ts";

/** Each program in a process of its own, not in Bun's. */
export const isAttached = process.env.CAPSULE_TEST_MODE === "attached";

type Body = () => Promise<unknown>;

/** A test of what is so because Bun hosts the program. */
export const inProcessOnly = (why: string) => (name: string, body: Body) =>
  test.skipIf(isAttached)(isAttached ? `${name} (in-process only: ${why})` : name, body);

/** A test of what holds natively, hence in a process of its own, and not yet for a program that Bun hosts. */
export const notYetInProcess = isAttached ? test : test.todo;

/** The reverse. */
export const notYetAttached = isAttached ? test.todo : test;

/** What there is in a directory for temporary files after a run; the server of an attached program ends after it. */
export async function leftIn(directory: string): Promise<string[]> {
  if (isAttached) await appears(directory, () => readdirSync(directory).length === 0);
  return readdirSync(directory);
}
