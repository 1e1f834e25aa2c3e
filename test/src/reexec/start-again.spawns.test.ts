// What the user has set for Bun programs is not for this command, and reaches the program as it is.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lines } from "../../support/lines.ts";
import { command } from "../../support/run.ts";

const directory = mkdtempSync(join(tmpdir(), "capsule-again-"));
afterAll(() => rmSync(directory, { recursive: true }));
const preloaded = join(directory, "preload.js");
const log = join(directory, "log");
// A command that obeyed it would have no arguments.
writeFileSync(
  preloaded,
  `require("node:fs").appendFileSync(${JSON.stringify(log)}, "preloaded\\n"); process.argv.length = 2;`,
);

describe.each(["in-process", "attached"])("BUN_OPTIONS, %s", (mode) => {
  test("does not change how the program is run, and is the program's", async () => {
    writeFileSync(log, "");
    const env = { BUN_OPTIONS: `--smol --preload=${preloaded}`, BUN_INSPECTED: "stays" };
    const program = ["sh", "-c", 'echo "$BUN_OPTIONS"; echo "$BUN_INSPECTED"; env | grep -c CAPSULE_ST'];
    const { stdout } = await command(["exec", "--no-settings", "--mode", mode, "--host", "/", ...program], { env });
    expect(lines(stdout)).toEqual([env.BUN_OPTIONS, "stays", "0"]);
    // By the Bun that the user has started: nothing of this project runs before it obeys.
    expect(readFileSync(log, "utf8")).toBe("preloaded\n");
  });
});

test("a folder that sets it again, where Bun reads its .env, does not have the command started over for ever", async () => {
  const cwd = mkdtempSync(join(directory, "folder-"));
  writeFileSync(join(cwd, ".env"), "BUN_OPTIONS=--smol\n");
  const { stdout, exitCode } = await command(["--version"], { cwd });
  expect([exitCode, lines(stdout).length]).toEqual([0, 1]);
});
