// Captured folders in containers: what is in them is what programs get, and an old container draws with a new driver.

import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Search } from "../../lib/tree/search.ts";
import { Tree } from "../../lib/tree/tree.ts";
import { Provider } from "../../src/capture/matches.ts";
import { captured, FOLDER, inContainer, PROVIDER } from "../support/captured.ts";
import { Display } from "../support/display.ts";
import { expectSameGears, gears } from "../support/gears.ts";
import { OF_RELEASE, releaseTree } from "../support/releases.ts";
import { COMMAND, native, repository, run } from "../support/run.ts";
import type { Suite } from "../support/trees.ts";

setDefaultTimeout(600_000);

const directory = mkdtempSync(join(tmpdir(), "capsule-test-captured-"));
afterAll(() => rmSync(directory, { recursive: true }));

const PAIRS: readonly [provider: Suite, container: Suite][] = [
  ["trixie", "bullseye"],
  ["bookworm", "trixie"],
  ["bullseye", "bookworm"],
];
/** Libraries of each tree. */
const MANY = 40;

describe("ld.so finds exactly what is in the folder, of each of many libraries, of", () => {
  for (const [from, to] of PAIRS)
    test(`${from} for ${to}`, async () => {
      const [provider, container] = await Promise.all([releaseTree(from), releaseTree(to)]);
      const names = new Provider(new Search(new Tree(provider))).matching("lib*.so.*").slice(0, MANY);
      const folder = join(directory, `${from}-${to}`);
      const report = await captured(provider, container, folder, ["libGL.so.1", "libvulkan.so.1", ...names]);
      const inside = await inContainer(report);
      const all = new Map(report.captured.map(({ name, link }) => [name, link]));
      const verified = await run([
        ...[...COMMAND, "verify", folder, "--container", container, "--provider", provider, "--link-target", PROVIDER],
        ...(report.loader ? ["--ld.so", report.loader.path] : []),
      ]);
      expect([verified.stdout, verified.exitCode]).toEqual([expect.stringContaining("as promised"), 0]);

      let found = 0;
      for (const name of all.keys()) {
        const loader = "/lib64/ld-linux-x86-64.so.2";
        const { stdout, stderr } = await run([...inside, loader, "--list", `${FOLDER}/${name}`]);
        expect([name, stderr, stdout.includes("not found")]).toEqual([name, "", false]);
        for (const [, needed = "", path = ""] of stdout.matchAll(/^\t(\S+) => (\S+) \(0x/gm)) {
          if (all.has(needed)) expect([name, needed, path]).toEqual([name, needed, `${FOLDER}/${needed}`]);
          // What was left to the container, and what its own copies need besides.
          else expect([name, needed, path]).toEqual([name, needed, expect.not.stringContaining(FOLDER)]);
          found++;
        }
      }
      expect(found).toBeGreaterThan(all.size);
    });
});

describe("an old container draws with a new driver, on its glibc,", () => {
  const prepared = async (display: Display) => {
    const [provider, container] = await Promise.all([releaseTree("trixie"), releaseTree("bullseye")]);
    const folder = join(directory, "graphics");
    const report = await captured(provider, container, folder, ["--profile", "gl,egl,vulkan"]);
    return { inside: await inContainer(report, display.env), provider, container };
  };

  test("as glxinfo and vulkaninfo say", async () => {
    await using display = await Display.start();
    const { inside } = await prepared(display);
    const glx = await run([...inside, "glxinfo", "-B"]);
    expect(glx.stdout).toContain(`OpenGL renderer string: ${OF_RELEASE.trixie.mesa}`);
    const vulkan = await run([...inside, "vulkaninfo", "--summary"]);
    expect(vulkan.stdout).toContain(OF_RELEASE.trixie.mesa);
  });

  test("by the example of the guide", async () => {
    await using display = await Display.start();
    const trees = await Promise.all([releaseTree("trixie"), releaseTree("bullseye")]);
    const env = { ...display.env, CAPSULE: COMMAND.join(" ") };
    const script = join(repository, "examples/captured.sh");
    const { stdout, stderr, exitCode } = await run([script, ...trees, "glxinfo", "-B"], { env });
    expect([stderr, exitCode]).toEqual(["", 0]);
    expect(stdout).toContain(`OpenGL renderer string: ${OF_RELEASE.trixie.mesa}`);
  });

  test("the same picture as natively", async () => {
    await using display = await Display.start();
    const { inside } = await prepared(display);
    const model = await gears(display, ["glxgears"]);
    expectSameGears(await gears(display, [...inside, "glxgears"]), model);
  });

  test("and without the folder, with its own", async () => {
    await using display = await Display.start();
    const { container } = await prepared(display);
    const none = { container, provider: "/", destination: directory, loader: null, environment: [] };
    const inside = await inContainer(none, display.env);
    const { stdout } = await run([...inside, "glxinfo", "-B"]);
    expect(stdout).toContain(`OpenGL renderer string: ${OF_RELEASE.bullseye.mesa}`);
    expect((await native("glxinfo", ["-B"], { env: display.env })).stdout).not.toContain(OF_RELEASE.bullseye.mesa);
  });
});
