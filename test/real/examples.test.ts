// The examples, as somebody would try them: on a host tree of another release.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { Display } from "../support/display.ts";
import { lines } from "../support/lines.ts";
import { repository, run } from "../support/run.ts";
import { tree } from "../support/trees.ts";

setDefaultTimeout(600_000);

const examples = join(repository, "examples");
const bun = process.execPath;

let host: string;
beforeAll(async () => {
  host = await tree("bullseye");
});

describe("tests open a host's libraries in their own process", () => {
  for (const [words, flags] of [
    ["one file behind the other", []],
    ["each file with a global object of its own", ["--isolate"]],
    ["several files at once", ["--parallel=2"]],
  ] as const) {
    test(words, async () => {
      const { stderr, exitCode } = await run([bun, "test", ...flags, join(examples, "tests")], {
        env: { CAPSULE_PREFIX: host },
        cwd: examples,
        timeout: 60_000,
      });
      expect(stderr).toContain("\n 5 pass\n 0 fail\n");
      expect(exitCode).toBe(0);
    });
  }
});

describe("the launcher", () => {
  let display: Display;
  beforeAll(async () => {
    display = await Display.start();
  });
  afterAll(() => display[Symbol.asyncDispose]());

  const launch = (...words: string[]) =>
    run([bun, join(examples, "launcher.ts"), ...words], {
      env: { ...display.env, HOST_TREE: `/nowhere:${host}` },
      timeout: 60_000,
    });

  test("picks a host tree, shows what happens, says how the game has ended", async () => {
    const { stdout, stderr, exitCode } = await launch("glxinfo", "-B");
    expect(stdout).toContain("OpenGL core profile version string: 4.5 (Core Profile) Mesa 20.3.5");
    const told = lines(stderr);
    expect(told).toContain('not /nowhere: Cannot use the host tree "/nowhere": there is no such directory');
    expect(told).toContainEqual(expect.stringMatching(RegExp(`^opened \\d+ libraries of ${host}$`)));
    expect(told).toContainEqual(expect.stringMatching(/glxinfo\S*: ready after \d+ ms$/));
    expect(told.at(-1)).toBe("glxinfo has ended with exit code 0");
    expect(exitCode).toBe(0);
  });

  test("tells of a signal, of an exit code, and why there is no game", async () => {
    const crash = await launch("sh", "-c", "kill -SEGV $$");
    expect(lines(crash.stderr).at(-1)).toBe("sh was ended by SIGSEGV");
    expect((await launch("sh", "-c", "exit 7")).exitCode).toBe(7);
    const none = await launch("no-such-game");
    expect(none.stderr).toBe(
      'no-such-game cannot be started: Cannot run "no-such-game": no directory in PATH has it\n',
    );
    expect(none.exitCode).toBe(127);
  });

  test("has some thirty lines", async () => {
    const text = await Bun.file(join(examples, "launcher.ts")).text();
    expect(text.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("//")).length).toBeLessThan(35);
  });
});
