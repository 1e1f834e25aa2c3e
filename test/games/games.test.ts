// Games of this machine on the Mesa of Debian 11: natively, by the library path, and in the capsule. What they show
// moves in places; what stands still natively must be there in the capsule.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { realpathSync } from "node:fs";
import { basename, join } from "node:path";
import { Display } from "../support/display.ts";
import { type Played, play } from "../support/game.ts";
import { bullseye } from "../support/hosts.ts";
import { lines } from "../support/lines.ts";
import { nativeMesa } from "../support/native-mesa.ts";
import { Picture } from "../support/picture.ts";
import { capsuleCommand } from "../support/run.ts";
import { Scene } from "../support/scene.ts";

setDefaultTimeout(600_000);

interface Game {
  readonly words: string;
  readonly argv: string[];
  /** Libraries that come from the host tree, and those of the machine that are there. */
  readonly host: RegExp[];
  readonly own: RegExp[];
  readonly endsItself?: true;
}

const X11 = [/^libX11\.so\./, /^libxcb\.so\./, /^libXext\.so\./];
const GL = [
  ...X11,
  /^libGL\.so\./,
  /^libGLX\.so\./,
  /^libGLX_mesa\.so\./,
  /^libglapi\.so\./,
  /^swrast_dri\.so$/,
  /^libLLVM-/,
];

const ioquake3 = {
  com_basegame: "baseoa",
  fs_basepath: "/usr/lib/openarena",
  cl_renderer: "opengl1",
  r_fullscreen: "0",
  r_mode: "3", // 640×480
  in_nograb: "1",
  s_initsound: "0",
  pmove_fixed: "1",
  com_maxfps: "60",
  com_maxfpsUnfocused: "60",
  // it moves
  cg_drawGun: "0",
};

const games: Game[] = [
  {
    // 67 COPY relocations, C++ exceptions; finds its data by /proc/self/exe
    words: "supertux2",
    argv: ["/usr/games/supertux2", "--window", "--geometry", "640x480"],
    host: GL,
    own: [/^libSDL2-2\.0\.so\./, /^libstdc\+\+\.so\./],
  },
  {
    // finds its data by /proc/self/maps
    words: "armagetronad",
    argv: [
      "/usr/games/armagetronad.real",
      ...["--datadir", "/usr/share/games/armagetronad", "--configdir", "/etc/armagetronad", "-w"],
    ],
    host: GL,
    own: [/^libSDL-1\.2\.so\./, /^libstdc\+\+\.so\./],
  },
  {
    // finds its data by /proc/PID/exe
    words: "foobillardplus",
    argv: ["/usr/games/foobillardplus"],
    host: GL,
    own: [/^libSDL-1\.2\.so\./],
  },
  {
    // draws with X11 alone
    words: "warmux, with SDL 1.2 and SDL 2 in one process",
    argv: ["/usr/games/warmux"],
    host: X11,
    own: [/^libSDL-1\.2\.so\./, /^libSDL2-2\.0\.so\./],
  },
  {
    // natively, too, it hangs when it is sent SIGTERM
    words: "ioquake3, with OpenArena's data",
    argv: [
      "/usr/lib/ioquake3/ioquake3",
      ...Object.entries(ioquake3).flatMap(([name, value]) => ["+set", name, value]),
      // from where a player may start; it goes on until so many frames have been drawn
      ...["+devmap", "oa_dm1", "+wait", "60", "+setviewpos", "280", "1416", "-120", "180", "+wait", "2000", "+quit"],
    ],
    host: GL,
    own: [/^libSDL2-2\.0\.so\./, /^renderer_opengl1_x86_64\.so$/],
    endsItself: true,
  },
  {
    // asks for libGL.so, which is another name of libGL.so.1; this scene stands still
    words: "glmark2",
    argv: ["/usr/bin/glmark2", "-s", "640x480", "-b", "effect2d:kernel=1,1,1;1,1,1;1,1,1;:duration=14"],
    host: GL,
    own: [/^libstdc\+\+\.so\./],
    endsItself: true,
  },
];

/** What the same scene has. Pictures of other games are less like it than a plain surface is: below 0. */
const ALIKE = 0.9;

/** What they showed natively. */
const models = new Map<Game, Played>();
let display: Display;
let directory: string;
let model: Record<string, string>;
beforeAll(async () => {
  display = await Display.start();
  directory = realpathSync(await bullseye.directory());
  model = await nativeMesa(directory);
});
afterAll(() => display[Symbol.asyncDispose]());

for (const game of games) {
  const { words, argv, endsItself = false } = game;

  describe(words, () => {
    test("plays natively", async () => {
      const played = await play(display, { argv, env: model }, { endsItself });
      models.set(game, played);
      await keep(game, "native", played);
      expectEnd(played);
      expectLibraries(played, game);
      expect(new Scene(played.pictures).stillness).toBeGreaterThan(0.5);
    });

    test("plays in the capsule, shows the same, and ends as natively", async () => {
      const native = modelOf(game);
      const scene = new Scene(native.pictures);
      const isDone = (pictures: readonly Picture[]) => scene.likeness(pictures) > ALIKE;
      const [program = "", ...args] = argv;
      const command = { argv: capsuleCommand(["--host", directory], program, args), env: {} };
      const played = await play(display, command, { endsItself, isDone });
      await keep(game, "capsule", played);
      expectEnd(played);
      expectLibraries(played, game);
      expect(steady(played)).toEqual(steady(native));
    });
  });
}

test("no other game's pictures would have passed, nor a black screen", () => {
  for (const game of games) {
    const scene = new Scene(modelOf(game).pictures);
    for (const other of games) {
      const likeness = scene.likeness(modelOf(other).pictures);
      if (other === game) expect(likeness).toBeGreaterThan(0.99);
      else expect(likeness).toBeLessThan(0.5);
    }
    expect(scene.likeness([new Picture(640, 480, new Uint8Array(3 * 640 * 480))])).toBeLessThan(0.5);
  }
});

function modelOf(game: Game): Played {
  const played = models.get(game);
  if (!played) throw new Error(`${game.words} did not play natively`);
  return played;
}

/** Leaves a picture where CAPSULE_TEST_PICTURES says, for somebody to look at. */
async function keep({ argv }: Game, side: string, { pictures }: Played): Promise<void> {
  const { CAPSULE_TEST_PICTURES } = process.env;
  if (!CAPSULE_TEST_PICTURES) return;
  await pictures.at(-1)?.save(join(CAPSULE_TEST_PICTURES, `${basename(argv[0] ?? "")}-${side}.ppm`));
}

/** What it wrote, but for what differs from run to run natively, too. */
function steady({ outcome: { stdout, stderr } }: Played): string[] {
  const changing = /[\d.]+ (msec|seconds)|0x[0-9a-f]+|FPS: .*|Score: .*/g;
  return lines(stdout + stderr).map((line) => line.replaceAll(changing, ""));
}

function expectEnd({ outcome, left, hasSurvivors }: Played): void {
  expect(outcome).toMatchObject({ exitCode: 0, signal: null });
  expect(left).toEqual([]);
  expect(hasSurvivors).toBeFalse();
}

/** It had graphics libraries of the host tree and none of the machine, and its own of the machine. */
function expectLibraries({ code }: Played, { host, own }: Game): void {
  const isGraphics = (path: string) => GL.some((name) => name.test(basename(path)));
  expect(code.filter((path) => isGraphics(path) && !path.startsWith(`${directory}/`))).toEqual([]);
  for (const name of host) expect(code.filter((path) => name.test(basename(path)))).toHaveLength(1);
  for (const name of own)
    expect(code.filter((path) => name.test(basename(path)) && !path.startsWith(directory))).toHaveLength(1);
}
