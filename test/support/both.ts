// The same promise, kept natively and in the capsule.

import { expectLines } from "./expect.ts";
import type { Pair } from "./pair.ts";
import type { RunOptions } from "./run.ts";

/** The program prints these lines and nothing else, and ends well, both natively and in the capsule. */
export async function expectBoth(
  fixture: Pair,
  args: string[],
  expected: string[],
  options: RunOptions = {},
  program = "program",
): Promise<void> {
  expectLines(await fixture.native(args, options, program), expected);
  expectLines(await fixture.capsule(args, options, program), expected);
}
