// The examples, as somebody would try them: on a host tree of another release.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
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
      expect(stderr).toContain("\n 7 pass\n 0 fail\n");
      expect(exitCode).toBe(0);
    });
  }
});

let display: Display;
let scratch: string;
beforeAll(async () => {
  display = await Display.start();
  scratch = mkdtempSync(join(tmpdir(), "capsule-test-"));
});
afterAll(async () => {
  rmSync(scratch, { recursive: true });
  await display[Symbol.asyncDispose]();
});

describe("the launcher", () => {
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

describe("the launcher in another language", () => {
  beforeAll(() => {
    writeFileSync(join(scratch, "capsule"), `#!/bin/sh\nexec '${bun}' '${join(repository, "src/main.ts")}' "$@"\n`, {
      mode: 0o755,
    });
  });

  const launch = (...words: string[]) =>
    run(["python3", join(examples, "launcher.py"), ...words], {
      env: { ...display.env, CAPSULE_PREFIX: host, PATH: `${scratch}:${process.env.PATH}` },
      timeout: 60_000,
    });

  test("asks for the plan, and is told what happens", async () => {
    const { stdout, stderr, exitCode } = await launch("glxinfo", "-B");
    expect(stderr).toBe("");
    expect(stdout).toContain("OpenGL core profile version string: 4.5 (Core Profile) Mesa 20.3.5");
    const told = lines(stdout);
    expect(told).toContain(`graphics from ${host}`);
    expect(told).toContainEqual(expect.stringMatching(/^ready: \S*glxinfo\S* libGL\.so\.1 libX11\.so\.6/));
    expect(told.at(-1)).toBe("ended with 0");
    expect(exitCode).toBe(0);
  });

  test("also of what cannot be linked, and of a signal", async () => {
    expect(lines((await launch("sh", "-c", "kill -SEGV $$")).stdout).at(-1)).toBe("ended with -11");
    const { stderr, exitCode } = await launch("no-such-game");
    expect(stderr).toBe('capsule: Cannot run "no-such-game": no directory in PATH has it\n');
    expect(exitCode).toBe(127);
  });
});

test("a hook counts the pictures that a game shows", async () => {
  const hook = join(scratch, "count-swaps.so");
  const flags = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"];
  expect(await run(["cc", ...flags, "-o", hook, join(examples, "count-swaps.c")])).toMatchObject({ exitCode: 0 });
  const { stdout, stderr, exitCode } = await run([bun, join(examples, "swaps.ts"), "100", "glxgears"], {
    env: { ...display.env, CAPSULE_PREFIX: host, COUNT_SWAPS: hook },
    timeout: 90_000,
  });
  expect(stderr).toBe("");
  expect(stdout).toBe("enough after 100 pictures\n");
  expect(exitCode).toBe(0);
});

test("a library that was loaded before uses a host's for a while", async () => {
  const { stdout, stderr } = await run([bun, join(examples, "redirect.ts")], { env: { CAPSULE_PREFIX: host } });
  expect(stderr).toBe("");
  const [first, ...more] = lines(stdout);
  expect(first).toMatch(RegExp(`^\\d+ slots, such as gl\\w+: /\\S+/libOpenGL\\.so\\.0 → ${host}/\\S+$`));
  expect(more).toEqual(["and back"]);
});
