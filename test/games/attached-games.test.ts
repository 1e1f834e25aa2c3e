// Games in processes of their own, as players start them: by Debian's scripts. The Mesa is that of Debian 11.

import { afterEach, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { ATTACHED } from "../support/attached.ts";
import { Display } from "../support/display.ts";
import { type Played, play } from "../support/game.ts";
import { bullseye } from "../support/hosts.ts";
import { lines } from "../support/lines.ts";
import { nativeMesa } from "../support/native-mesa.ts";
import type { Picture } from "../support/picture.ts";
import { capsuleCommand, environment, type Outcome, run } from "../support/run.ts";
import { Scene } from "../support/scene.ts";

setDefaultTimeout(600_000);

const FRAMES = 300;
const ENGINE = "/usr/lib/ioquake3/ioquake3";

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

describe("OpenArena", () => {
  const SETTINGS = {
    com_basegame: "baseoa",
    fs_basepath: "/usr/lib/openarena",
    cl_renderer: "opengl1",
    r_fullscreen: "0",
    r_mode: "3", // 640×480
    in_nograb: "1",
    s_initsound: "0",
    com_maxfps: "0",
  };
  const settings = (more: Record<string, string>) =>
    Object.entries({ ...SETTINGS, ...more }).flatMap(([name, value]) => ["+set", name, value]);

  /** Games are not on everybody's PATH. */
  const PATH = `/usr/games:${environment().PATH}`;
  const start = (argv: string[], env: Record<string, string> = {}) =>
    run(argv, { env: { ...display.env, PATH, ...env }, timeout: 120_000 });

  /** By Debian's script. devmap allows r_speeds, which writes a line for every frame that is drawn. */
  const played = async (command: (program: string, args: string[]) => string[], env = {}): Promise<Outcome> => {
    const home = mkdtempSync(join(tmpdir(), "capsule-test-"));
    const game = ["+devmap", "oa_dm1", "+r_speeds", "1", "+wait", `${4 * FRAMES}`, "+gfxinfo", "+quit"];
    const outcome = await start(command("openarena", [...settings({ fs_homepath: home }), ...game]), env);
    rmSync(home, { recursive: true });
    return outcome;
  };

  const expectPlayed = (outcome: Outcome): void => {
    const text = outcome.stdout + outcome.stderr;
    expect(text).toMatch(/^GL_VERSION: .* Mesa 20\.3\.5$/m);
    expect(text).toContain("entered the game");
    // a frame of the game itself has parts of the map, which are "leafs"
    const frames = lines(text).filter((line) => /shaders\/surfs [1-9]\d* leafs/.test(line)).length;
    expect(frames).toBeGreaterThanOrEqual(FRAMES);
    expect(outcome).toMatchObject({ exitCode: 0, signal: null });
  };

  test("plays 300 frames by Debian's script, natively", async () =>
    expectPlayed(await played((program, args) => [program, ...args], model)));

  test("plays 300 frames by Debian's script, in the mode that is chosen for it", async () =>
    expectPlayed(await played((program, args) => capsuleCommand(["--host", directory], program, args))));

  /** One that the game saves itself, where its clock goes by frames. */
  const frame = async (command: (program: string, args: string[]) => string[], env = {}): Promise<Buffer> => {
    const home = mkdtempSync(join(tmpdir(), "capsule-test-"));
    const still = { fs_homepath: home, pmove_fixed: "1", cg_drawGun: "0", cg_draw2D: "0", fixedtime: "16" };
    const game = [
      ...["+devmap", "oa_dm1", "+set", "fixedtime", "16", "+wait", "120"],
      // towards walls, where nothing moves, and until the player has come to rest
      ...["+setviewpos", "280", "1416", "-120", "130", "+wait", "400", "+screenshot", "frame", "+wait", "10", "+quit"],
    ];
    const outcome = await start(command(ENGINE, [...settings(still), ...game]), env);
    expect(outcome).toMatchObject({ exitCode: 0, signal: null });
    const bytes = readFileSync(join(home, "baseoa/screenshots/frame.tga"));
    rmSync(home, { recursive: true });
    return bytes;
  };
  const inMode = (mode: string) => (program: string, args: string[]) =>
    capsuleCommand(["--mode", mode, "--host", directory], program, args);
  const natively = () => frame((program, args) => [program, ...args], model);

  test("draws one frame twice natively, and another one by another Mesa", async () => {
    const first = await natively();
    expect(first.length).toBe(18 + 3 * 640 * 480);
    expect((await natively()).equals(first)).toBeTrue();
    expect((await frame((program, args) => [program, ...args])).equals(first)).toBeFalse();
  });

  for (const mode of ["in-process", "attached"])
    test(`draws that frame ${mode}, too`, async () => {
      expect((await frame(inMode(mode))).equals(await natively())).toBeTrue();
    });
});

const GL = [/^libX11\.so\./, /^libxcb\.so\./, /^libGL\.so\./, /^libGLX_mesa\.so\./, /^swrast_dri\.so$/, /^libLLVM-/];
/** What the same scene has. */
const ALIKE = 0.9;

for (const [words, argv, own] of [
  ["supertux2", ["/usr/games/supertux2", "--window", "--geometry", "640x480"], /^libSDL2-2\.0\.so\./],
  [
    "armagetronad",
    [
      "/usr/games/armagetronad.real",
      ...["--datadir", "/usr/share/games/armagetronad", "--configdir", "/etc/armagetronad", "-w"],
    ],
    /^libSDL-1\.2\.so\./,
  ],
] as [string, string[], RegExp][])
  describe(words, () => {
    let native: Played | undefined;

    const expectEnd = ({ outcome, left, hasSurvivors, code }: Played): void => {
      expect(outcome).toMatchObject({ exitCode: 0, signal: null });
      expect(left).toEqual([]);
      expect(hasSurvivors).toBeFalse();
      for (const name of GL) {
        const found = code.filter((path) => name.test(basename(path)));
        expect(found).toHaveLength(1);
        expect(found.filter((path) => !path.startsWith(`${directory}/`))).toEqual([]);
      }
      expect(code.filter((path) => own.test(basename(path)) && !path.startsWith(directory))).toHaveLength(1);
    };

    test("plays natively", async () => {
      native = await play(display, { argv, env: model }, {});
      expectEnd(native);
      expect(new Scene(native.pictures).stillness).toBeGreaterThan(0.5);
    });

    test("plays attached, and shows the same", async () => {
      if (!native) throw new Error("It did not play natively");
      const scene = new Scene(native.pictures);
      const isDone = (pictures: readonly Picture[]) => scene.likeness(pictures) > ALIKE;
      const [program = "", ...args] = argv;
      const command = { argv: capsuleCommand([...ATTACHED, "--host", directory], program, args), env: {} };
      const played = await play(display, command, { isDone });
      expectEnd(played);
    });
  });
