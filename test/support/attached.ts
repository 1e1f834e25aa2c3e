// The same promise kept natively, which is the model, and attached: two tests, so that each can be seen to hold by
// itself.

import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { expectLines, expectSame } from "./expect.ts";
import type { Pair } from "./pair.ts";
import { capsule, type Outcome, type RunOptions } from "./run.ts";

export const ATTACHED = ["--mode", "attached"];

/** For programs that the linker gives a fixed address: ET_EXEC. Their references to data become COPY relocations. */
export const FIXED = ["-fno-pie", "-no-pie"];

/** The four ways in which a program is linked. */
export const PROGRAMS: readonly [words: string, flags: string[]][] = [
  ["at a fixed address, bound lazily", [...FIXED, "-Wl,-z,lazy"]],
  ["at a fixed address, bound at start", [...FIXED, "-Wl,-z,now"]],
  ["that goes anywhere, bound lazily", ["-Wl,-z,lazy"]],
  ["that goes anywhere, bound at start", ["-Wl,-z,now"]],
];

export interface Case {
  args?: string[] | ((fixture: Pair) => string[]);
  options?: RunOptions;
  program?: string;
  /** Lines may come in any order: many processes write them. */
  isUnordered?: boolean;
}

export function runAttached(fixture: Pair, { args, options = {}, program }: Case = {}): Promise<Outcome> {
  const path: Record<string, string> = existsSync(fixture.runtime) ? { LD_LIBRARY_PATH: fixture.runtime } : {};
  const flags = [...ATTACHED, ...fixture.flags()];
  return capsule(flags, fixture.program(program), listed(args, fixture), {
    ...options,
    env: { ...path, ...options.env },
  });
}

export function runNative(fixture: Pair, { args, options = {}, program }: Case = {}): Promise<Outcome> {
  return fixture.native(listed(args, fixture), options, program);
}

function listed(args: Case["args"], fixture: Pair): string[] {
  return typeof args === "function" ? args(fixture) : (args ?? []);
}

/** Each way to run it, with the word for it. */
export const WAYS = [
  ["natively", runNative],
  ["attached", runAttached],
] as const;

/** Attached, the program does what it does natively, which is something. */
export function keepsAsNatively(words: string, fixture: () => Promise<Pair>, what: Case = {}): void {
  test(words, async () => {
    const model = await runNative(await fixture(), what);
    expect(model.stdout).not.toBe("");
    expect(model).toMatchObject({ stderr: "", exitCode: 0 });
    expectSame(await runAttached(await fixture(), what), model);
  });
}

/** The program prints these lines, and ends well. */
export function keeps(words: string, fixture: () => Promise<Pair>, expected: string[], what: Case = {}): void {
  for (const [way, run] of WAYS)
    test(`${words}, ${way}`, async () => expectOf(await run(await fixture(), what), expected, what.isUnordered));
}

function expectOf(outcome: Outcome, expected: string[], isUnordered = false): void {
  if (!isUnordered) expectLines(outcome, expected);
  else expectLines({ ...outcome, stdout: outcome.stdout.split(/^/m).sort().join("") }, expected.toSorted());
}
