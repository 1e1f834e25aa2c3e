// The same promises on a newer glibc than the machine's: that of Debian 13, in each way to have it. What a program
// notices all the same is left out here, by the words of its test; the README says it.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HOST, pair } from "../support/pair.ts";
import { flagsFor, releaseTree } from "../support/releases.ts";
import { capsule, repository } from "../support/run.ts";
import { tree } from "../support/trees.ts";

setDefaultTimeout(1_800_000);

interface WayToRun {
  readonly env: Record<string, string>;
  readonly suites: readonly string[];
  readonly noticed: readonly string[];
}

const WAYS: Record<string, WayToRun> = {
  "in-process": {
    env: {},
    suites: [
      "data",
      "ending",
      "files",
      "identity",
      "inside",
      "loading",
      "one-libc",
      "overlays",
      "signals",
      "stacks",
      "start-alone",
      "symbols",
      "tls",
    ],
    // dlinfo lists the directory with that glibc
    noticed: ["where it is searched"],
  },
  "attached, in a mount namespace": {
    env: { CAPSULE_TEST_MODE: "attached", CAPSULE_TEST_MOUNT_NAMESPACE: "always" },
    suites: ["attached-process", "children", "data", "ending", "identity", "loading", "one-libc", "overlays", "tls"],
    noticed: [],
  },
  "attached, by ld.so's name": {
    env: { CAPSULE_TEST_MODE: "attached", CAPSULE_TEST_MOUNT_NAMESPACE: "never" },
    suites: [
      "attached-linking",
      "children",
      "data",
      "ending",
      "loading",
      "one-libc",
      "overlays",
      "start-alone",
      "symbols",
      "tls",
    ],
    // ld.so is audited and not the program, and GCONV_PATH is there
    noticed: ["LD_AUDIT", "nobody sees how"],
  },
};

describe("on the glibc of Debian 13 programs are as they should be,", () => {
  for (const [way, { env, suites, noticed }] of Object.entries(WAYS))
    test(way, async () => {
      const command = [process.execPath, "test", "--parallel", ...suites.map((name) => `./test/exec/${name}.test.ts`)];
      if (noticed.length > 0) command.push("-t", `^(?!.*(?:${noticed.join("|")}))`);
      const child = Bun.spawn(command, {
        cwd: repository,
        env: { ...process.env, ...env, CAPSULE_TEST_GLIBC: await tree("trixie") },
        stdout: "pipe",
        stderr: "pipe",
      });
      const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
      const text = `${stdout}${stderr}`;
      const failed = [...text.matchAll(/^\(fail\) .*$/gm)].map(([line]) => line);
      if (failed.length > 0) console.log(text.replace(/^\(pass\) .*\n/gm, ""));
      expect([...new Set(failed)]).toEqual([]);
      expect(await child.exited).toBe(0);
    });
});

test("a program is called what it was called, also by an ld.so that cannot be told (Debian 11's)", async () => {
  const flags = await flagsFor("bullseye");
  const library = { path: `${HOST}/libhost.so.1`, sources: ["host.c"], flags };
  const program = { path: "program", sources: ["program.c"], needs: [library.path], flags: [...flags, "-lm"] };
  const fixture = await pair("glibc/a-program-tells-which-glibc-it-runs-on", [library, program]);
  const runtime = await releaseTree("bullseye");
  const ways = ["--mode", "attached", "--mount-namespace", "never", "--glibc", "runtime", "--runtime", runtime];
  const directory = mkdtempSync(join(tmpdir(), "capsule-test-"));
  const link = join(directory, "another-name");
  symlinkSync(fixture.program(), link);
  const outcome = await capsule([...ways, ...fixture.flags()], link, ["argument"]);
  rmSync(directory, { recursive: true });
  expect(outcome.stderr).toBe("");
  expect(outcome.stdout).toContain(`${runtime}/lib/x86_64-linux-gnu/libc-2.31.so\n`);
  expect(outcome.stdout).toContain(`own file: program, called ${link} and ${link}, named another-name\n`);
  expect(outcome.stdout).toContain("arguments: 1, the last argument\n");
});
