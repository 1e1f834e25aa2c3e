// A real game: ioquake3 with OpenArena's data. Its renderer is a plug-in, SDL opens libGL for it, and the rules of the
// game are plug-ins as well.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Display } from "../support/display.ts";
import { bullseye, itself, trixie } from "../support/hosts.ts";
import { lines } from "../support/lines.ts";
import { capsuleCommand, type Outcome, run } from "../support/run.ts";

setDefaultTimeout(600_000);

const GAME = "/usr/lib/ioquake3/ioquake3";
const FRAMES = 300;

let display: Display;
beforeAll(async () => {
  display = await Display.start();
});
afterAll(() => display[Symbol.asyncDispose]());

async function play(command: (program: string, args: string[]) => string[]): Promise<Outcome> {
  const home = mkdtempSync(join(tmpdir(), "capsule-test-"));
  const settings = {
    com_basegame: "baseoa",
    fs_basepath: "/usr/lib/openarena",
    fs_homepath: home,
    cl_renderer: "opengl1",
    r_fullscreen: "0",
    r_mode: "3", // 640×480
    in_nograb: "1",
    s_initsound: "0",
    com_maxfps: "0",
  };
  const args = [
    ...Object.entries(settings).flatMap(([name, value]) => ["+set", name, value]),
    // devmap allows r_speeds, which writes a line for every frame that is drawn; wait counts idle rounds, too
    ...["+devmap", "oa_dm1", "+r_speeds", "1", "+wait", `${4 * FRAMES}`, "+gfxinfo", "+quit"],
  ];
  const outcome = await run(command(GAME, args), { env: display.env, timeout: 120_000 });
  rmSync(home, { recursive: true });
  return outcome;
}

/** How many frames were drawn of the game itself: one has parts of the map, which are "leafs". */
function framesOf(text: string): number {
  return lines(text).filter((line) => /shaders\/surfs [1-9]\d* leafs/.test(line)).length;
}

function expectPlayed(outcome: Outcome, mesa: string): void {
  const text = outcome.stdout + outcome.stderr;
  expect(text).toMatch(new RegExp(`^GL_VERSION: .* Mesa ${RegExp.escape(mesa)}$`, "m"));
  expect(text).toContain("entered the game");
  expect(framesOf(text)).toBeGreaterThanOrEqual(FRAMES);
  expect(outcome.signal).toBeNull();
  expect(outcome.exitCode).toBe(0);
}

describe("OpenArena plays 300 frames and quits", () => {
  test("natively", async () => {
    expectPlayed(await play((program, args) => [program, ...args]), await itself.mesa(display));
  });

  for (const host of [bullseye, trixie, itself]) {
    test(`on the Mesa of ${host.words}`, async () => {
      const directory = await host.directory();
      const outcome = await play((program, args) => capsuleCommand(["--host", directory], program, args));
      expectPlayed(outcome, await host.mesa(display));
    });
  }

  for (const choice of ["always", "never"])
    test(`attached on the Mesa of ${trixie.words}, with a mount namespace ${choice}`, async () => {
      const flags = ["--mode", "attached", "--mount-namespace", choice, "--host", await trixie.directory()];
      expectPlayed(await play((program, args) => capsuleCommand(flags, program, args)), await trixie.mesa(display));
    });
});
