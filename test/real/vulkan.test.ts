// Vulkan's loader and lavapipe, its driver without a GPU, both from the host tree.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { Display } from "../support/display.ts";
import { bookworm, bullseye, type Host, itself } from "../support/hosts.ts";
import { capsule, capsuleCommand, native, start } from "../support/run.ts";

setDefaultTimeout(600_000);

let display: Display;
beforeAll(async () => {
  display = await Display.start();
});
afterAll(() => display[Symbol.asyncDispose]());

describe("vulkaninfo finds the lavapipe of", () => {
  const drivers: [Host, RegExp][] = [
    [bullseye, /deviceName += llvmpipe \(LLVM 11\.0\.1, /],
    [bookworm, /deviceName += llvmpipe \(LLVM 15\.0\.6, /],
    [itself, /deviceName += llvmpipe \(LLVM /],
  ];
  for (const [host, deviceName] of drivers) {
    test(host.words, async () => {
      const directory = await host.directory();
      const outcome = await capsule(["--host", directory], "vulkaninfo", ["--summary"], { env: display.env });
      expect(outcome.stdout).toMatch(deviceName);
      expect(outcome.exitCode).toBe(0);
    });
  }
});

test("vulkaninfo prints on the machine's own / to the letter what it prints natively", async () => {
  const model = await native("vulkaninfo", ["--summary"], { env: display.env });
  const outcome = await capsule(["--host", "/"], "vulkaninfo", ["--summary"], { env: display.env });
  expect(model.exitCode).toBe(0);
  expect(outcome.stdout.split("\n")).toEqual(model.stdout.split("\n"));
  expect(outcome.stderr).toBe(model.stderr);
  expect(outcome.exitCode).toBe(0);
});

// Debian 11's lavapipe can show its pictures through DRI3 alone, which an X server without a GPU does not have.
describe("vkcube shows 100 frames by the lavapipe of", () => {
  for (const host of [bookworm, itself]) {
    test(host.words, async () => {
      const directory = await host.directory();
      const model = await native("vkcube", ["--c", "100"], { env: display.env });
      const outcome = await capsule(["--host", directory], "vkcube", ["--c", "100"], { env: display.env });
      expect(model.stderr).toContain("Selected GPU 0: llvmpipe");
      expect(outcome.stdout).toBe(model.stdout);
      expect(outcome.stderr).toBe(model.stderr);
      expect(outcome.exitCode).toBe(0);
    });

    test(`${host.words}, and there is a cube to be seen`, async () => {
      const directory = await host.directory();
      await using cube = start(capsuleCommand(["--host", directory], "vkcube"), { env: display.env });
      // its faces have a logo of many colours
      await display.until((picture) => picture.colours > 100 && picture.lit > 10_000, cube);
      cube.kill();
      expect((await cube.end()).signal).toBe("SIGKILL");
    });
  }
});
