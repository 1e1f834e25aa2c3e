// Programs that Bun cannot host, in processes of their own: Python and Node are at fixed addresses, Mono has
// thread-local data; and small programs in C, at fixed addresses. Natively they use the Mesa of Debian 11 by the
// library path.

import { afterEach, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ATTACHED, FIXED } from "../support/attached.ts";
import { cacheDirectory, madeOnce } from "../support/cache.ts";
import { Display } from "../support/display.ts";
import { expectSame } from "../support/expect.ts";
import { build } from "../support/fixtures.ts";
import { bullseye } from "../support/hosts.ts";
import { lines } from "../support/lines.ts";
import { filesNamed, mappingsOf } from "../support/maps.ts";
import { nativeMesa } from "../support/native-mesa.ts";
import type { Picture } from "../support/picture.ts";
import { capsuleCommand, type Outcome, type RunOptions, repository, run, start } from "../support/run.ts";

setDefaultTimeout(600_000);

const FOLDER = "drawing/programs-draw-on-the-hosts-mesa";
const SOURCES = join(repository, "fixtures", FOLDER);
const PYTHON = "/usr/bin/python3";
/** What each prints of the Mesa that it draws with. */
const MESA = [/^GL_VERSION: .* Mesa 20\.3\.5$/, /^GL_RENDERER: llvmpipe \(LLVM 11\.0\.1, /];

let display: Display;
let directory: string;
let model: Record<string, string>;
beforeAll(async () => {
  directory = realpathSync(await bullseye.directory());
  model = await nativeMesa(directory);
});
beforeEach(async () => {
  display = await Display.start();
});
afterEach(() => display[Symbol.asyncDispose]());

type Way = "natively" | "attached";
const WAYS: Way[] = ["natively", "attached"];

function commandOf(way: Way, [program = "", ...args]: string[]): string[] {
  return way === "natively" ? [program, ...args] : capsuleCommand([...ATTACHED, "--host", directory], program, args);
}

function environmentOf(way: Way): Record<string, string> {
  const quiet = { SDL_AUDIODRIVER: "dummy", PYTHONDONTWRITEBYTECODE: "1", PYGAME_HIDE_SUPPORT_PROMPT: "1" };
  // the variables of natively are for all libraries, EGL's too
  const egl = { __EGL_VENDOR_LIBRARY_DIRS: join(directory, "usr/share/glvnd/egl_vendor.d") };
  return { ...display.env, ...quiet, ...(way === "natively" ? { ...model, ...egl } : {}) };
}

function runIn(way: Way, argv: string[], options: RunOptions = {}): Promise<Outcome> {
  return run(commandOf(way, argv), { timeout: 60_000, ...options, env: environmentOf(way) });
}

/** It ended well, and has drawn with the host's Mesa. */
function expectMesa({ stdout, stderr, exitCode, signal }: Pick<Outcome, "stdout" | "stderr" | "exitCode" | "signal">) {
  expect(stderr).toBe("");
  for (const line of MESA) expect(lines(stdout).filter((text) => line.test(text))).not.toEqual([]);
  expect({ exitCode, signal }).toEqual({ exitCode: 0, signal: null });
}

/**
 * Two tests: natively it draws with the host's Mesa, and attached it prints the same, its picture's checksum included.
 */
function draws(words: string, argv: () => Promise<string[]>, cwd?: () => Promise<string>): void {
  describe(words, () => {
    const outcomeOf = async (way: Way) => runIn(way, await argv(), cwd === undefined ? {} : { cwd: await cwd() });

    test("draws with the host's Mesa natively, by the library path", async () => {
      const outcome = await outcomeOf("natively");
      expectMesa(outcome);
      expect(outcome.stdout).toMatch(/^pixels: /m);
    });

    test("draws the same attached", async () => {
      const outcome = await outcomeOf("attached");
      expectMesa(outcome);
      expectSame(outcome, await outcomeOf("natively"));
    });
  });
}

async function typeOf(file: string): Promise<string> {
  const { stdout } = await run(["readelf", "-hlW", file]);
  return `${/Type: +(\w+)/.exec(stdout)?.[1]}${/^ +TLS /m.test(stdout) ? ", with thread-local data" : ""}`;
}

test("the programs are of kinds that Bun cannot host", async () => {
  const built = await drawing();
  expect(await typeOf(PYTHON)).toBe("EXEC");
  expect(await typeOf("/usr/bin/mono")).toContain("with thread-local data");
  expect(await typeOf(join(built, "sdl2"))).toBe("EXEC");
  expect(await typeOf(join(built, "glx"))).toBe("EXEC, with thread-local data");
});

const drawing = () =>
  build(FOLDER, [
    { path: "sdl1", sources: ["sdl1.c"], flags: [...FIXED, "-lSDL", "-lGL"] },
    { path: "sdl2", sources: ["sdl2.c"], flags: [...FIXED, "-lSDL2", "-lGL"] },
    { path: "sdl2-anywhere", sources: ["sdl2.c"], flags: ["-lSDL2", "-lGL"] },
    { path: "glx", sources: ["glx.c"], flags: [...FIXED, "-DMAIN=main", "-lGL", "-lX11"] },
    { path: "engine.so", sources: ["glx.c"], flags: ["-lGL", "-lX11"] },
    { path: "launcher", sources: ["launcher.c"] },
    { path: "fixed-launcher", sources: ["launcher.c"], flags: FIXED },
  ]);

draws("SDL 1.2", async () => [join(await drawing(), "sdl1")]);
draws("SDL 2", async () => [join(await drawing(), "sdl2")]);
draws("SDL 2 in a program that goes anywhere", async () => [join(await drawing(), "sdl2-anywhere")]);
draws("GLX", async () => [join(await drawing(), "glx")]);
draws("a launcher that opens its engine", async () => [join(await drawing(), "launcher")], drawing);
draws("a launcher at a fixed address", async () => [join(await drawing(), "fixed-launcher"), "-nolog"], drawing);

draws("Python with PyOpenGL", async () => [PYTHON, join(SOURCES, "opengl.py")]);

describe("Python with pygame", () => {
  /** What it prints until its window is there, and the window. */
  async function show(way: Way, argv: string[], isWanted: (picture: Picture) => boolean) {
    await using program = start(commandOf(way, argv), { env: environmentOf(way) });
    await program.line((line) => line === "shown");
    const picture = await display.until(isWanted, program);
    const graphics = filesNamed(mappingsOf(program.pid), /^lib(GL|GLX_mesa|X11|LLVM)[-.]/);
    program.kill();
    const { stdout, stderr } = await program.end();
    expect(stderr).toBe("");
    return { said: lines(stdout), picture, graphics };
  }
  const isDrawn = (picture: Picture) => picture.patch("red").count > 3000 && picture.patch("blue").count > 3000;

  for (const way of WAYS)
    test(`draws with the host's Mesa, ${way}, and saves the picture`, async () => {
      const temporary = mkdtempSync(join(tmpdir(), "capsule-test-"));
      const file = join(temporary, "picture.png");
      const { said, graphics } = await show(way, [PYTHON, join(SOURCES, "window.py"), file], isDrawn);
      for (const line of MESA) expect(said.filter((text) => line.test(text))).not.toEqual([]);
      expect(graphics.filter((path) => !path.startsWith(directory))).toEqual([]);
      expect(graphics).not.toEqual([]);
      const { stdout } = await run(["identify", "-format", "%wx%h %[pixel:p{160,120}]", file]);
      expect(stdout).toMatch(/^320x240 s?rgb\(255,\d+,0\)$/);
      rmSync(temporary, { recursive: true });
    });

  for (const program of ["window.py", "plain.py"])
    test(`shows the same attached: ${program}`, async () => {
      const native = await show("natively", [PYTHON, join(SOURCES, program)], isDrawn);
      await display[Symbol.asyncDispose]();
      display = await Display.start();
      const attached = await show("attached", [PYTHON, join(SOURCES, program)], isDrawn);
      expect(attached.said).toEqual(native.said);
      expect(`${attached.picture}`).toBe(`${native.picture}`);
    });
});

draws("Node with an addon that is linked to libEGL and libGL", async () => {
  const built = await build(FOLDER, [{ path: "addon.so.node", sources: ["addon.c"], flags: ["-lEGL", "-lGL"] }]);
  return ["node", join(SOURCES, "addon.cjs"), join(built, "addon.so.node")];
});

draws("Mono, which opens libEGL and libGL", async () => {
  const source = join(SOURCES, "mono.cs");
  const hash = new Bun.CryptoHasher("sha256")
    .update(await Bun.file(source).bytes())
    .digest("hex")
    .slice(0, 16);
  const built = await madeOnce(join(cacheDirectory(), "fixtures", `mono-${hash}`), async (path) => {
    const { exitCode, stdout, stderr } = await run(["mcs", `-out:${join(path, "program.exe")}`, source]);
    if (exitCode !== 0) throw new Error(`mcs failed: ${stdout}${stderr}`);
  });
  return ["mono", join(built, "program.exe")];
});
