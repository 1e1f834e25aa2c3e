// What glxgears draws.

import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { Display } from "../support/display.ts";
import { expectSameGears, gears } from "../support/gears.ts";
import { bookworm, bullseye, itself } from "../support/hosts.ts";
import type { Picture } from "../support/picture.ts";
import { capsuleCommand } from "../support/run.ts";

setDefaultTimeout(600_000);

let display: Display;
beforeEach(async () => {
  display = await Display.start();
});
afterEach(() => display[Symbol.asyncDispose]());

describe("glxgears draws the same picture as natively, by the Mesa of", () => {
  for (const host of [bullseye, bookworm, itself]) {
    test(host.words, async () => {
      const directory = await host.directory();
      const model = await gears(display, ["glxgears"]);
      const drawn = await gears(display, capsuleCommand(["--host", directory], "glxgears"));
      expectSameGears(drawn, model);
      const lit = (pictures: Picture[]) => pictures.reduce((sum, picture) => sum + picture.lit, 0);
      expect(lit(drawn) / lit(model)).toBeWithin(0.95, 1.05);
    });
  }
});
