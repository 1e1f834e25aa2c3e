// What tells of OpenGL and Vulkan, and draws with them, in processes of their own. Bun could host these, so the two
// modes can be compared.

import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { ATTACHED } from "../support/attached.ts";
import { Display } from "../support/display.ts";
import { expectSame } from "../support/expect.ts";
import { COLOURS, expectSameGears, gears } from "../support/gears.ts";
import { bookworm, bullseye, itself, mesaVersion } from "../support/hosts.ts";
import { nativeMesa } from "../support/native-mesa.ts";
import { capsule, capsuleCommand, native, start } from "../support/run.ts";

setDefaultTimeout(600_000);

let display: Display;
beforeEach(async () => {
  display = await Display.start();
});
afterEach(() => display[Symbol.asyncDispose]());

describe("glxinfo", () => {
  for (const host of [bullseye, bookworm, itself])
    test(`finds the Mesa of ${host.words}, attached`, async () => {
      const flags = [...ATTACHED, "--host", await host.directory()];
      const outcome = await capsule(flags, "glxinfo", ["-B"], { env: display.env });
      expect(outcome.stderr).toBe("");
      expect(mesaVersion(outcome.stdout)).toBe(await host.mesa(display));
      expect(outcome.stdout).toContain(`Version: ${await host.mesa(display)}`);
      expect(outcome.stdout).toContain("direct rendering: Yes");
      expect(outcome.exitCode).toBe(0);
    });

  test("finds it natively, by the library path", async () => {
    const env = { ...display.env, ...(await nativeMesa(await bullseye.directory())) };
    const outcome = await native("glxinfo", ["-B"], { env });
    expect(mesaVersion(outcome.stdout)).toBe(await bullseye.mesa(display));
    expect(outcome).toMatchObject({ stderr: "", exitCode: 0 });
  });

  test("prints on the machine's own / to the letter what it prints natively, attached", async () => {
    const model = await native("glxinfo", ["-v"], { env: display.env });
    expect(model.exitCode).toBe(0);
    expectSame(await capsule([...ATTACHED, "--host", "/"], "glxinfo", ["-v"], { env: display.env }), model);
  });

  test("prints in both modes the same", async () => {
    const directory = await bullseye.directory();
    const [first, second] = await Promise.all(
      ["in-process", "attached"].map((mode) =>
        capsule(["--mode", mode, "--host", directory], "glxinfo", ["-v"], { env: display.env }),
      ),
    );
    if (first === undefined || second === undefined) throw new Error("there are two modes");
    expect(first).toMatchObject({ stderr: "", exitCode: 0 });
    expectSame(second, first);
  });
});

describe("glxgears", () => {
  const model = async () => gears(display, ["glxgears"], await nativeMesa(await bullseye.directory()));

  test("draws three gears natively", async () => {
    for (const picture of await model())
      for (const colour of COLOURS) expect(picture.patch(colour).count).toBeGreaterThan(1000);
  });

  test("draws the same attached", async () => {
    const native = await model();
    const flags = [...ATTACHED, "--host", await bullseye.directory()];
    expectSameGears(await gears(display, capsuleCommand(flags, "glxgears")), native);
  });
});

describe("Vulkan's tools", () => {
  for (const [host, deviceName] of [
    [bullseye, /deviceName += llvmpipe \(LLVM 11\.0\.1, /],
    [bookworm, /deviceName += llvmpipe \(LLVM 15\.0\.6, /],
  ] as const)
    test(`vulkaninfo finds the lavapipe of ${host.words}, attached`, async () => {
      const flags = [...ATTACHED, "--host", await host.directory()];
      const outcome = await capsule(flags, "vulkaninfo", ["--summary"], { env: display.env });
      expect(outcome.stdout).toMatch(deviceName);
      expect(outcome.exitCode).toBe(0);
    });

  test("vulkaninfo prints on the machine's own / to the letter what it prints natively, attached", async () => {
    const model = await native("vulkaninfo", ["--summary"], { env: display.env });
    expect(model.exitCode).toBe(0);
    expectSame(await capsule([...ATTACHED, "--host", "/"], "vulkaninfo", ["--summary"], { env: display.env }), model);
  });

  test("vkcube shows 100 frames by the lavapipe of a Debian 12 tree, attached", async () => {
    const model = await native("vkcube", ["--c", "100"], { env: display.env });
    expect(model.stderr).toContain("Selected GPU 0: llvmpipe");
    const flags = [...ATTACHED, "--host", await bookworm.directory()];
    expectSame(await capsule(flags, "vkcube", ["--c", "100"], { env: display.env }), model);
  });

  for (const way of ["natively", "attached"] as const)
    test(`there is a cube to be seen, ${way}`, async () => {
      const argv =
        way === "natively" ? ["vkcube"] : capsuleCommand([...ATTACHED, "--host", await bookworm.directory()], "vkcube");
      await using cube = start(argv, { env: display.env });
      // its faces have a logo of many colours
      await display.until((picture) => picture.colours > 100 && picture.lit > 10_000, cube);
      cube.kill();
      expect((await cube.end()).signal).toBe("SIGKILL");
    });
});
