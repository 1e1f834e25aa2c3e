// The line that says what takes long: when it is there, and that it goes.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Progress, type Screen } from "../../../src/diagnostics/progress.ts";
import { COMMAND, repository, run } from "../../support/run.ts";

const directory = mkdtempSync(join(tmpdir(), "capsule-progress-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Reads files at these times, and says what came of it. */
function readAt(
  times: number[],
  paths: string[],
  width = 80,
): { written: string[]; asked: number; progress: Progress } {
  const written: string[] = [];
  const screen: Screen = { width, write: (text) => written.push(text) };
  const result = { written, asked: 0, progress: undefined as unknown as Progress };
  let at = 0;
  result.progress = new Progress(
    () => {
      result.asked++;
      return screen;
    },
    () => at,
  );
  times.forEach((time, i) => {
    at = time;
    result.progress.reading(paths[i] ?? "/lib/libx.so.1");
  });
  return result;
}

const ERASE = "\r\x1b[K";

describe("a line", () => {
  test("is not there for what is done quickly, and nobody looks for a terminal", () => {
    const { written, asked, progress } = readAt([1, 100, 299], []);
    progress.erase();
    expect([written, asked]).toEqual([[], 0]);
  });

  test("is there after a while, says how many files there were and which is read, and goes once", () => {
    const { written, progress } = readAt(
      [10, 320, 330, 400, 401],
      ["/a", "/lib/libLLVM-15.so.1", "/b", "/lib/libz.so.1", "/b"],
    );
    expect(written).toEqual([
      `${ERASE}capsule: reading libraries: 2, libLLVM-15.so.1`,
      `${ERASE}capsule: reading libraries: 4, libz.so.1`,
    ]);
    progress.erase();
    progress.erase();
    progress[Symbol.dispose]();
    expect(written.slice(2)).toEqual([ERASE]);
  });

  test("is shorter than the terminal is wide, and obeys nobody's names", () => {
    const { written } = readAt([400], ["/lib/\x1b[31mlib\u{1f3ae}\nvery-long-name.so"], 40);
    expect(written).toHaveLength(1);
    expect(written[0]?.replace("\r\x1b[K", "")).toMatch(/^[ -~]{39}$/);
  });
});

/** What a terminal of our own gets of a script that reads a file after a long time; COMMAND is that script. */
async function onTerminal(env: Record<string, string>, line = "COMMAND"): Promise<string> {
  const script = join(directory, "reads.ts");
  writeFileSync(
    script,
    `import { System } from "${repository}/lib/process/system.ts";
import { ownScreen, Progress } from "${repository}/src/diagnostics/progress.ts";
using progress = new Progress(() => ownScreen(new System(), process.env), () => 1000);
progress.reading("/lib/libx.so.1");`,
  );
  const shell = `stty cols 60; ${line.replace("COMMAND", `${process.execPath} ${script}`)}`;
  const command = ["script", "--quiet", "--return", "--command", `bash -c '${shell}'`, "/dev/null"];
  const { stdout, exitCode } = await run(command, { env: { TERM: "xterm", ...env } });
  expect(exitCode).toBe(0);
  return stdout;
}

describe("on a terminal", () => {
  test("it is written and erased", async () => {
    expect(await onTerminal({})).toBe("\r\x1b[Kcapsule: reading libraries: 1, libx.so.1\r\x1b[K");
  });

  test.each([
    ["that can do nothing", { TERM: "dumb" }, "COMMAND"],
    ["of no name", { TERM: "" }, "COMMAND"],
    ["of a machine that builds", { CI: "true" }, "COMMAND"],
    ["to which standard error does not go", {}, "COMMAND 2>/dev/null"],
    ["of which another has the foreground", {}, "set -m; COMMAND & set +m; wait"],
  ])("%s it is not there", async (_, env, line) => {
    expect(await onTerminal(env, line)).toBe("");
  });
});

test.each([["in-process"], ["attached"]])("what a program prints %s on a terminal is its own", async (mode) => {
  const line = `${COMMAND.join(" ")} exec --mode ${mode} --isolate libz.so.1 /bin/echo hello`;
  const command = ["script", "--quiet", "--return", "--command", line, "/dev/null"];
  const env = { TERM: "xterm", XDG_CACHE_HOME: mkdtempSync(join(directory, "cache-")) };
  const { stdout, exitCode } = await run(command, { env, timeout: 30_000 });
  expect(exitCode).toBe(0);
  // What was there before, if this was a slow machine, has been erased.
  expect(stdout.slice(stdout.lastIndexOf(ERASE) + (stdout.includes(ERASE) ? ERASE.length : 1))).toBe("hello\r\n");
});
