// Programs without a libc, run by capsule link, and what is to come of them: what comes of them natively.

import { expect } from "bun:test";
import { FIXED } from "./freestanding.ts";
import { command, native, type Outcome, type RunOptions } from "./run.ts";

/** In which a program is built: where it is decides whether it runs in the process of the command. */
export const WAYS: readonly [words: string, flags: string[]][] = [
  ["in the process of the command", []],
  ["in a process of its own", FIXED],
];

export const link = (words: string[], options: RunOptions = {}): Promise<Outcome> =>
  command(["link", ...words], options);

/** How a program ends, and what it has written. */
export type Shown = Pick<Outcome, "stdout" | "stderr" | "exitCode" | "signal">;

export const shown = ({ stdout, stderr, exitCode, signal }: Outcome): Shown => ({ stdout, stderr, exitCode, signal });

/** Returns what it does natively, for what can be said of that. */
export async function expectAsNative(program: string, words: string[] = [], options: RunOptions = {}): Promise<Shown> {
  const [model, linked] = [await native(program, words, options), await link([program, ...words], options)];
  expect(shown(linked)).toEqual(shown(model));
  return shown(model);
}
