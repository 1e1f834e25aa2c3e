// glmark2 checks pixels of what it draws: natively and in the capsule on the Mesa of Debian 11.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { Display } from "../support/display.ts";
import { bullseye } from "../support/hosts.ts";
import { lines } from "../support/lines.ts";
import { nativeMesa } from "../support/native-mesa.ts";
import { capsuleCommand, type Outcome, run } from "../support/run.ts";

setDefaultTimeout(600_000);

const SCENES = [
  ...["build:use-vbo=false", "build:use-vbo=true", "texture:texture-filter=nearest", "texture:texture-filter=linear"],
  ...["texture:texture-filter=mipmap", "shading:shading=gouraud", "shading:shading=phong", "bump:bump-render=normals"],
  ...["bump:bump-render=height", "pulsar", "buffer:columns=200", "conditionals", "loop", "function"],
];

let display: Display;
let directory: string;
let model: Record<string, string>;
beforeAll(async () => {
  display = await Display.start();
  directory = await bullseye.directory();
  model = await nativeMesa(directory);
});
afterAll(() => display[Symbol.asyncDispose]());

const natively = (args: string[]) => mark(["glmark2", ...args], model);
const inCapsule = (args: string[]) => mark(capsuleCommand(["--host", directory], "glmark2", args), {});

async function mark(argv: string[], env: Record<string, string>): Promise<Outcome> {
  const outcome = await run(argv, { env: { ...display.env, vblank_mode: "0", ...env }, timeout: 60_000 });
  expect(outcome.stdout).toContain("GL_VERSION:     3.1 Mesa 20.3.5");
  expect(outcome).toMatchObject({ exitCode: 0, signal: null });
  return outcome;
}

test("glmark2 finds the same pixels in every scene that it can check", async () => {
  const args = ["--validate", ...SCENES.flatMap((scene) => ["-b", scene])];
  const expected = await natively(args);
  const outcome = await inCapsule(args);
  expect(lines(expected.stdout).filter((line) => line.endsWith("Validation: Success")).length).toBeGreaterThan(5);
  expect(lines(outcome.stdout)).toEqual(lines(expected.stdout));
  expect(lines(outcome.stderr)).toEqual(lines(expected.stderr));
});
