// glxgears draws three gears that turn. Two pictures of them are never equal, but how much there is of each colour, and
// around which point, is the same in all.

import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { Display } from "../support/display.ts";
import { bookworm, bullseye, itself } from "../support/hosts.ts";
import type { Patch, Picture } from "../support/picture.ts";
import { capsuleCommand, start } from "../support/run.ts";

setDefaultTimeout(600_000);

const PICTURES = 5;

let display: Display;
beforeEach(async () => {
  display = await Display.start();
});
afterEach(() => display[Symbol.asyncDispose]());

/** Some pictures of the gears, all different. */
async function gears(argv: string[]): Promise<Picture[]> {
  await using program = start([...argv, "-geometry", "400x400"], { env: display.env });
  const pictures = [await display.until((picture) => picture.patch("blue").count > 1000, program)];
  while (pictures.length < PICTURES) {
    const last = `${pictures.at(-1)}`;
    pictures.push(await display.until((picture) => `${picture}` !== last, program));
  }
  program.kill();
  const { stderr, signal } = await program.end();
  expect(stderr).toBe("");
  expect(signal).toBe("SIGKILL");
  return pictures;
}

function mean(patches: Patch[]): Patch {
  const of = (value: (patch: Patch) => number) =>
    patches.reduce((sum, patch) => sum + value(patch), 0) / patches.length;
  return { count: of(({ count }) => count), x: of(({ x }) => x), y: of(({ y }) => y) };
}

describe("glxgears draws the same picture as natively, by the Mesa of", () => {
  for (const host of [bullseye, bookworm, itself]) {
    test(host.words, async () => {
      const directory = await host.directory();
      const model = await gears(["glxgears"]);
      const drawn = await gears(capsuleCommand(["--host", directory], "glxgears"));
      for (const colour of ["red", "green", "blue"] as const) {
        const [expected, actual] = [model, drawn].map((pictures) =>
          mean(pictures.map((picture) => picture.patch(colour))),
        );
        if (expected === undefined || actual === undefined) throw new Error("there are two lists of pictures");
        expect(actual.count / expected.count).toBeWithin(0.95, 1.05);
        expect(Math.hypot(actual.x - expected.x, actual.y - expected.y)).toBeLessThan(4);
      }
      const lit = (pictures: Picture[]) => pictures.reduce((sum, picture) => sum + picture.lit, 0);
      expect(lit(drawn) / lit(model)).toBeWithin(0.95, 1.05);
    });
  }
});

test("glxgears runs as fast in the capsule on the machine's own / as natively", async () => {
  const rates = { native: [] as number[], capsule: [] as number[] };
  // in turns, so that whatever else the machine does meets both
  for (let round = 0; round < 3; round++) {
    rates.native.push(await framesPerSecond(["glxgears"]));
    rates.capsule.push(await framesPerSecond(capsuleCommand(["--host", "/"], "glxgears")));
  }
  const median = (values: number[]) => values.toSorted((a, b) => a - b)[1] ?? Number.NaN;
  const ratio = median(rates.capsule) / median(rates.native);
  console.log(`glxgears, capsule to native: ${ratio.toFixed(3)} ${JSON.stringify(rates)}`);
  expect(ratio).toBeGreaterThan(0.9);
});

/** What glxgears itself reports, after its five seconds. */
async function framesPerSecond(argv: string[]): Promise<number> {
  await using program = start(argv, { env: { ...display.env, vblank_mode: "0" } });
  const report = await program.line((line) => line.includes(" FPS"));
  return Number(/= (\S+) FPS/.exec(report)?.[1]);
}
