// MangoHud draws how fast a program is over what it draws. It is preloaded, finds dlopen and dlsym in glibc's own tables,
// and puts itself in front of what the program calls of libGL and libEGL.

import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { Display } from "../support/display.ts";
import { expectSameGears, gears, gearsWhere } from "../support/gears.ts";
import { bookworm, bullseye, itself, trixie } from "../support/hosts.ts";
import type { Picture } from "../support/picture.ts";
import { capsuleCommand } from "../support/run.ts";

setDefaultTimeout(600_000);

let display: Display;
beforeEach(async () => {
  display = await Display.start();
});
afterEach(() => display[Symbol.asyncDispose]());

/** Its letters are white, of which gears have nothing. */
const hasHud = (picture: Picture) => picture.white > 200;

/** What its script sets, for a program that is to be hosted: scripts cannot be. */
const PRELOADED = { MANGOHUD: "1", LD_LIBRARY_PATH: "/usr/$LIB/mangohud/", LD_PRELOAD: "libMangoHud.so" };

/** Without its curve of frame times, which has the colour of a gear and is another one each time. */
const WITHOUT_CURVE = { MANGOHUD_CONFIG: "frame_timing=0" };

async function drawn(argv: string[], env: Record<string, string> = {}): Promise<Picture[]> {
  const { pictures, stderr } = await gearsWhere(hasHud, display, argv, { ...WITHOUT_CURVE, ...env });
  // It complains of the machine's sensors.
  expect(stderr).not.toContain("capsule: ");
  const directory = process.env.CAPSULE_TEST_PICTURES;
  if (directory)
    await pictures.at(-1)?.save(`${directory}/mangohud-${pictures.length}-${Bun.hash(argv.join(" "))}.ppm`);
  return pictures;
}

test("gears have nothing white", async () => {
  for (const picture of await gears(display, ["glxgears"])) expect(picture.white).toBe(0);
});

describe("MangoHud draws over gears as natively, by the Mesa of", () => {
  for (const host of [bullseye, bookworm, trixie, itself])
    test(host.words, async () => {
      const flags = ["--host", await host.directory()];
      const model = await drawn(["mangohud", "glxgears"]);
      expectSameGears(await drawn(capsuleCommand(["--mode", "attached", ...flags], "mangohud", ["glxgears"])), model);
      const preloaded = capsuleCommand(["--mode", "in-process", ...flags], "glxgears", [], PRELOADED);
      expectSameGears(await drawn(preloaded, PRELOADED), model);
      const withDlsym = ["--dlsym", "glxgears"];
      expectSameGears(await drawn(capsuleCommand(["--mode", "attached", ...flags], "mangohud", withDlsym)), model);
    });
});
