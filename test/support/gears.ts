// glxgears draws three gears that turn. Two pictures of them are never equal, but how much there is of each colour, and
// around which point, is the same in all.

import { expect } from "bun:test";
import type { Display } from "./display.ts";
import type { Patch, Picture } from "./picture.ts";
import { start } from "./run.ts";

const PICTURES = 5;
export const COLOURS = ["red", "green", "blue"] as const;

/** Some pictures of the gears, all different. */
export async function gears(display: Display, argv: string[], env: Record<string, string> = {}): Promise<Picture[]> {
  const { pictures, stderr } = await gearsWhere(() => true, display, argv, env);
  expect(stderr).toBe("");
  return pictures;
}

/** Some that are as wanted, all different, and what was said meanwhile. */
export async function gearsWhere(
  isWanted: (picture: Picture) => boolean,
  display: Display,
  argv: string[],
  env: Record<string, string> = {},
): Promise<{ pictures: Picture[]; stderr: string }> {
  await using program = start([...argv, "-geometry", "400x400"], { env: { ...display.env, ...env } });
  const areThere = (picture: Picture) => picture.patch("blue").count > 1000 && isWanted(picture);
  const pictures = [await display.until(areThere, program)];
  while (pictures.length < PICTURES) {
    const last = `${pictures.at(-1)}`;
    pictures.push(await display.until((picture) => `${picture}` !== last && areThere(picture), program));
  }
  program.kill();
  const { stderr, signal } = await program.end();
  expect(signal).toBe("SIGKILL");
  return { pictures, stderr };
}

export function expectSameGears(drawn: readonly Picture[], model: readonly Picture[]): void {
  for (const colour of COLOURS) {
    const [expected, actual] = [model, drawn].map((pictures) => mean(pictures.map((picture) => picture.patch(colour))));
    if (expected === undefined || actual === undefined) throw new Error("there are two lists of pictures");
    expect(actual.count / expected.count).toBeWithin(0.95, 1.05);
    expect(Math.hypot(actual.x - expected.x, actual.y - expected.y)).toBeLessThan(4);
  }
}

function mean(patches: Patch[]): Patch {
  const of = (value: (patch: Patch) => number) =>
    patches.reduce((sum, patch) => sum + value(patch), 0) / patches.length;
  return { count: of(({ count }) => count), x: of(({ x }) => x), y: of(({ y }) => y) };
}
