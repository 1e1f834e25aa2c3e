// Programs that bring an allocator of their own: PartitionAlloc in Chromium, mozjemalloc in Firefox, jemalloc or TBB's
// in Blender, and what is preloaded into programs that have none. What a driver of another release allocates they free.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Display } from "../support/display.ts";
import { expectSame } from "../support/expect.ts";
import { mesaVersion, trixie } from "../support/hosts.ts";
import type { Picture } from "../support/picture.ts";
import { capsule, capsuleCommand, native, repository, start } from "../support/run.ts";

setDefaultTimeout(600_000);

let display: Display;
let place: string;
beforeAll(async () => {
  display = await Display.start();
  place = mkdtempSync(join(tmpdir(), "capsule-test-allocators-"));
});
afterAll(async () => {
  await display[Symbol.asyncDispose]();
  rmSync(place, { recursive: true });
});

/** A page with a triangle, red, green and blue in its corners, and a title that says who has drawn it. */
const PAGE = `file://${join(repository, "fixtures/drawing/a-page-draws-a-triangle/page.html")}`;

/** Milliseconds until a browser has started on a machine with other things to do. */
const PATIENCE = 120_000;

const hasTriangle = (picture: Picture): boolean => {
  const { red, green, blue } = picture.patches();
  return [red, green, blue].every(({ count }) => count > 1500) && red.x < green.x && blue.y < red.y;
};

/** Both ways to start a program, on the display, in a home of its own. */
const WAYS = ["natively", "in the capsule"] as const;

async function commandOf(way: (typeof WAYS)[number], argv: string[]): Promise<string[]> {
  const [program = "", ...args] = argv;
  return way === "natively" ? argv : capsuleCommand(["--host", await trixie.directory()], program, args);
}

function home(name: string): { HOME: string; TMPDIR: string } {
  const directory = mkdtempSync(join(place, name));
  return { HOME: directory, TMPDIR: directory };
}

/** Not as root, who has no sandbox in Chromium: in a user namespace, as somebody else. */
const AS_USER = ["bwrap", "--unshare-user", "--uid", "1000", "--gid", "1000", "--dev-bind", "/", "/"];

/** What a session starts ends with it. */
const AND_ALL_IT_STARTS = ["--unshare-pid", "--proc", "/proc", "--die-with-parent"];

// All have sandboxes for what draws and what shows pages; Epiphany's hides the host tree but for what the library path has.
describe("a page is drawn by WebGL", () => {
  for (const way of WAYS) {
    test(`in Chromium, ${way}`, async () => {
      const env = home("chromium");
      const argv = [
        ...["chromium", "--no-first-run", "--disable-background-networking", "--disable-sync"],
        ...["--disable-component-update", "--use-gl=angle", "--use-angle=gl", "--ignore-gpu-blocklist"],
        ...["--window-size=640,480", "--window-position=0,0", `--user-data-dir=${env.HOME}`, PAGE],
      ];
      const command = await commandOf(way, argv);
      await using browser = start([...AS_USER, ...command], { env: { ...display.env, ...env } });
      await display.until(hasTriangle, browser, PATIENCE);
      browser.kill();
      expect((await browser.end()).stderr).not.toContain("capsule: ");
    });

    test(`in Epiphany, ${way}`, async () => {
      const env = home("epiphany");
      const argv = ["epiphany-browser", "--profile", join(env.HOME, "profile"), PAGE];
      const session = ["dbus-run-session", "--", ...(await commandOf(way, argv))];
      const more = { XDG_RUNTIME_DIR: env.HOME };
      await using browser = start([...AS_USER, ...AND_ALL_IT_STARTS, ...session], {
        env: { ...display.env, ...env, ...more },
      });
      await display.until(hasTriangle, browser, PATIENCE);
      browser.kill();
      expect((await browser.end()).stderr).not.toContain("capsule: ");
    });

    test(`in Firefox, ${way}`, async () => {
      const env = home("firefox");
      const profile = join(env.HOME, "profile");
      mkdirSync(profile);
      cpSync(join(repository, "fixtures/drawing/a-page-draws-a-triangle/user.js"), join(profile, "user.js"));
      const argv = ["firefox-esr", "--no-remote", "--profile", profile, "--width", "640", "--height", "480", PAGE];
      await using browser = start(await commandOf(way, argv), { env: { ...display.env, ...env } });
      await display.until(hasTriangle, browser, PATIENCE);
      browser.kill();
      expect((await browser.end()).stderr).not.toContain("capsule: ");
    });
  }
});

describe("Blender", () => {
  test("says its version as natively", async () => {
    const model = await native("blender", ["--version"], { timeout: PATIENCE });
    expect(model.stdout).toStartWith("Blender ");
    const flags = ["--host", await trixie.directory()];
    expectSame(await capsule(flags, "blender", ["--version"], { timeout: PATIENCE }), model);
  });

  for (const way of WAYS)
    test(`shows its window, ${way}`, async () => {
      const argv = ["blender", "--factory-startup", "-p", "0", "0", "640", "480"];
      await using blender = start(await commandOf(way, argv), { env: { ...display.env, ...home("blender") } });
      // Its panels and the cube have many shades; an empty window has one.
      await display.until((picture) => picture.colours > 200, blender, PATIENCE);
      blender.kill();
      expect((await blender.end()).stderr).not.toContain("capsule: ");
    });
});

describe("an allocator that is preloaded serves both sides", () => {
  for (const library of ["libjemalloc.so.2", "libmimalloc.so.2", "libtcmalloc_minimal.so.4"])
    for (const mode of ["in-process", "attached"])
      test(`${library}, ${mode}`, async () => {
        const flags = ["--mode", mode, "--host", await trixie.directory()];
        const env = { ...display.env, LD_PRELOAD: library };
        const glxinfo = await capsule(flags, "glxinfo", ["-B"], { env });
        expect(glxinfo).toMatchObject({ exitCode: 0, stderr: "" });
        expect(await trixie.mesa(display)).toStartWith(mesaVersion(glxinfo.stdout) ?? "no Mesa");
        const vkcube = await capsule(flags, "vkcube", ["--c", "20"], { env });
        expect(vkcube).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("Selected GPU 0: llvmpipe") });
      });
});
