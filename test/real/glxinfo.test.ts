// glxinfo asks a Mesa for all that it can tell, and draws nothing.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { Display } from "../support/display.ts";
import { bookworm, bullseye, itself, mesaVersion } from "../support/hosts.ts";
import { capsule, native } from "../support/run.ts";

setDefaultTimeout(600_000);

let display: Display;
beforeAll(async () => {
  display = await Display.start();
});
afterAll(() => display[Symbol.asyncDispose]());

for (const host of [bullseye, bookworm, itself]) {
  test(`glxinfo finds the Mesa of ${host.words}`, async () => {
    const directory = await host.directory();
    const outcome = await capsule(["--host", directory], "glxinfo", ["-B"], { env: display.env });
    expect(outcome.stderr).toBe("");
    expect(mesaVersion(outcome.stdout)).toBe(await host.mesa(display));
    expect(outcome.stdout).toContain(`Version: ${await host.mesa(display)}`);
    expect(outcome.stdout).toContain("direct rendering: Yes");
    expect(outcome.exitCode).toBe(0);
  });
}

test("glxinfo prints on the machine's own / to the letter what it prints natively", async () => {
  const model = await native("glxinfo", ["-v"], { env: display.env });
  const outcome = await capsule(["--host", "/"], "glxinfo", ["-v"], { env: display.env });
  expect(model.exitCode).toBe(0);
  expect(outcome.stderr).toBe(model.stderr);
  expect(outcome.stdout.split("\n")).toEqual(model.stdout.split("\n"));
  expect(outcome.exitCode).toBe(0);
});
