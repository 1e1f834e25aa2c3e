// In a container whose system is another Debian, and which shows its host at /run/host.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Display } from "../support/display.ts";
import { itself, mesaVersion } from "../support/hosts.ts";
import { OF_RELEASE, releaseTree } from "../support/releases.ts";
import { repository, run } from "../support/run.ts";
import { flatpakFilter, OTHERS_MEMORY } from "../support/seccomp.ts";

setDefaultTimeout(600_000);

const EXAMPLE = join(repository, "examples/container.sh");
const EXE_SHIM_PARTS = ["--unshare-user", "--uid", "1000", "--gid", "1000"];
const canContain =
  Bun.which("bwrap") !== null &&
  Bun.spawnSync(["bwrap", "--unshare-all", ...EXE_SHIM_PARTS, "--ro-bind", "/", "/", "true"]).success;

let display: Display;
let scratch: string;
let flatpaks: string;
beforeAll(async () => {
  display = await Display.start();
  scratch = mkdtempSync(join(tmpdir(), "capsule-test-"));
  flatpaks = join(scratch, "flatpaks");
  writeFileSync(flatpaks, flatpakFilter());
  writeFileSync(`${flatpaks}.stricter`, flatpakFilter(OTHERS_MEMORY));
});
afterAll(async () => {
  rmSync(scratch, { recursive: true });
  await display[Symbol.asyncDispose]();
});

/** The filters are descriptors 8 and 9. */
const contained = (tree: string, options: string, more: string, ...command: string[]) =>
  run(["sh", "-c", 'exec "$@" 9< "$0" 8< "$0.stricter"', flatpaks, EXAMPLE, tree, ...command], {
    env: {
      ...display.env,
      ...{ BUN: process.execPath, CAPSULE: repository, MAIN: "src/main.ts" },
      BWRAP: `bwrap ${EXE_SHIM_PARTS.join(" ")} ${more}`,
      CAPSULE_OPTIONS: options,
    },
    timeout: 60_000,
  });

describe.skipIf(!canContain)("in a container (takes bubblewrap, and a kernel that lets it make one)", () => {
  for (const suite of ["bullseye", "trixie"] as const) {
    for (const [words, more] of [
      ["as bubblewrap makes it", ""],
      ["that may call what Flatpak's may", "--seccomp 9"],
      ["where no process may look at another's memory", "--seccomp 8"],
    ] as const) {
      for (const mode of ["in-process", "attached"]) {
        test(`${words}, of ${suite}, a program draws with the host's Mesa, ${mode}`, async () => {
          const { stdout, stderr, exitCode } = await contained(
            await releaseTree(suite),
            `--mode ${mode} --profile gl,egl`,
            more,
            ...["glxinfo", "-B"],
          );
          expect(stderr).toBe("");
          expect(mesaVersion(stdout)).toBe(await itself.mesa(display));
          expect(stdout).not.toContain(OF_RELEASE[suite].mesa);
          expect(exitCode).toBe(0);
        });
      }
    }

    test(`of ${suite}, what is not isolated is the container's own`, async () => {
      const { stdout } = await contained(await releaseTree(suite), "--isolate libz.so.1", "", "glxinfo", "-B");
      expect(stdout).toContain(OF_RELEASE[suite].mesa);
    });
  }

  test("the filter is in force", async () => {
    const { stderr } = await contained(
      await releaseTree("bullseye"),
      "--mode attached --mount-namespace always",
      "--seccomp 9",
      "glxinfo",
    );
    expect(stderr).toContain("unshare of mounts: EPERM");
  });
});
