// One library of a family is given another tree than the rest: the rest comes along, and it draws.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { Display } from "../support/display.ts";
import { bullseye, mesaVersion } from "../support/hosts.ts";
import { capsule } from "../support/run.ts";

setDefaultTimeout(600_000);

let display: Display;
let host: string;
beforeAll(async () => {
  display = await Display.start();
  host = await bullseye.directory();
});
afterAll(() => display[Symbol.asyncDispose]());

const WAYS: [string, () => { flags?: string[]; env?: Record<string, string> }][] = [
  ["libGL by its variable", () => ({ env: { CAPSULE_LIBGL_SO_1_PREFIX: host } })],
  ["libEGL by its variable", () => ({ env: { CAPSULE_LIBEGL_SO_1_PREFIX: host } })],
  ["libGL alone by its name", () => ({ flags: ["--isolate", `libGL.so.1=${host}`] })],
  ["libGLX by its name, beside a profile", () => ({ flags: ["--profile", "gl", "--isolate", `libGLX.so.0=${host}`] })],
];

for (const mode of ["in-process", "attached"])
  describe(`glxinfo draws, ${mode}, on the Mesa of the tree that is given to`, () => {
    test.each(WAYS)("%s", async (_, way) => {
      const { flags = [], env = {} } = way();
      const words = ["--mode", mode, "--no-settings", "--host", "/", ...flags];
      const outcome = await capsule(words, "glxinfo", ["-B"], { env: { ...display.env, ...env } });
      expect(outcome.stderr).toBe("");
      expect(mesaVersion(outcome.stdout)).toBe(await bullseye.mesa(display));
      expect(outcome.exitCode).toBe(0);
    });
  });
