// Programs on the Mesa of a tree that is laid out as NixOS is, which nobody has to be told.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { Display } from "../support/display.ts";
import { bullseye, mesaVersion, trixie } from "../support/hosts.ts";
import { nixTree } from "../support/nixos.ts";
import { capsule, command } from "../support/run.ts";

setDefaultTimeout(600_000);

let display: Display;
beforeAll(async () => {
  display = await Display.start();
});
afterAll(() => display[Symbol.asyncDispose]());

const HOSTS = [
  ["bullseye", bullseye],
  ["trixie", trixie],
] as const;

for (const [suite, { words, mesa }] of HOSTS)
  for (const mode of ["in-process", "attached"])
    test(`glxinfo draws on the Mesa of ${words}, as NixOS would have it, ${mode}`, async () => {
      const flags = ["--mode", mode, "--host", await nixTree(suite)];
      const outcome = await capsule(flags, "glxinfo", ["-B"], { env: display.env });
      expect(outcome.stderr).toBe("");
      expect(mesaVersion(outcome.stdout)).toBe(await mesa(display));
      expect(outcome.stdout).toContain("direct rendering: Yes");
      expect(outcome.exitCode).toBe(0);
    });

test("doctor finds its libraries, drivers and manifests", async () => {
  const { stdout } = await command(["doctor", "-v", "--host", await nixTree("bullseye")], { env: display.env });
  expect(stdout.replace(/\s+/g, " ")).toContain("for libraries /run/opengl-driver/lib, /nix/store/");
  for (const words of [
    "OpenGL's drivers for X11: indirect, mesa",
    "EGL's drivers: 50_mesa",
    "Vulkan's drivers: ",
    "swrast",
  ])
    expect(stdout).toContain(words);
});
