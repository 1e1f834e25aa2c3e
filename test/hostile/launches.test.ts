// Many launches one after the other: none fails, none gets slower, and nothing grows. CAPSULE_TEST_LAUNCHES says how
// many in each mode.

import { beforeAll, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import type { Pair } from "../support/pair.ts";
import { capsule } from "../support/run.ts";
import { launched, Place } from "./place.ts";

const COUNT = Number(process.env.CAPSULE_TEST_LAUNCHES ?? 20);
const LIMIT_MS = 120_000 + COUNT * 5000;

let program: Pair;

beforeAll(async () => {
  program = await launched();
});

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

for (const mode of ["in-process", "attached"])
  describe(`${COUNT} launches, ${mode}`, () => {
    test(
      "end well, and leave nothing",
      async () => {
        using place = new Place();
        const options = { env: { ...place.env, LD_LIBRARY_PATH: program.runtime } };
        const kept = () => readdirSync(place.env.XDG_CACHE_HOME, { recursive: true }).length;
        const durations: number[] = [];
        let keptAtFirst = 0;
        for (let i = 0; i < COUNT; i++) {
          const outcome = await capsule(["--mode", mode, ...program.flags()], program.program(), [], options);
          expect(outcome).toMatchObject({ stdout: "both were linked\n", stderr: "", exitCode: 0 });
          durations.push(outcome.duration);
          // What the first two learn, in both processes, is all that there is.
          if (i < 2) {
            await place.quiet();
            keptAtFirst = kept();
          }
        }
        await place.quiet();
        expect(place.left).toEqual([]);
        expect(kept()).toBe(keptAtFirst);
        const half = Math.floor(COUNT / 2);
        const [first, second] = [durations.slice(0, half), durations.slice(half)].map(median);
        console.log(
          `${COUNT} launches, ${mode}: medians of both halves ${first?.toFixed()} and ${second?.toFixed()} ms`,
        );
      },
      LIMIT_MS,
    );
  });
