// A command that is started over is the same command, but for what was changed.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { formerVariables, withoutReexec } from "../../../src/reexec/reexec.ts";
import { run, start } from "../../support/run.ts";

const SCRIPT = join(import.meta.dir, "executes-itself.ts");

interface Shown {
  pid: number;
  count: number;
  arguments: string[];
  environment: string[];
  former: [string, string | null][];
  undone: [string, string | null][];
}

async function show(times: number, args: string[], env: Record<string, string>): Promise<Shown> {
  const outcome = await run([process.execPath, SCRIPT, ...args], { env: { N: `${times}`, ...env }, timeout: 150_000 });
  expect(outcome).toMatchObject({ stderr: "", exitCode: 0 });
  return JSON.parse(outcome.stdout) as Shown;
}

describe("reexec()", () => {
  const args = ["one", "", "two words", "line\nbreak", "--help"];

  test("gives the same arguments and variables, and what is changed in its place", async () => {
    const env = { BEFORE: "1", GIVEN: "by the user", BEHIND: "a=b" };
    const before = await show(0, args, env);
    const after = await show(1, args, env);
    expect(before.arguments).toEqual(args);
    expect(after.arguments).toEqual(args);
    expect(after.environment).toEqual([
      ...before.environment.map((text) => text.replace("N=0", "N=1").replace("GIVEN=by the user", "GIVEN=changed 0")),
      "COUNT=1",
      'CAPSULE_STARTED_OVER={"COUNT":null,"GIVEN":"by the user"}',
    ]);
    expect(after.former).toEqual([
      ["COUNT", null],
      ["GIVEN", "by the user"],
    ]);
    expect(after.undone).toEqual([...after.former, ["CAPSULE_STARTED_OVER", null]]);
    expect(before.undone).toEqual([]);
  });

  test("remembers what the user had set, also the second time", async () => {
    const { count, former } = await show(2, [], { GIVEN: "by the user" });
    expect(count).toBe(2);
    expect(former).toEqual([
      ["COUNT", null],
      ["GIVEN", "by the user"],
    ]);
  });

  test("gives bytes that are no UTF-8 as they are", async () => {
    const shell = 'ODD=$(printf "\\351"); export ODD; exec "$0" "$@" "$ODD"';
    const { stdout } = await run(["/bin/sh", "-c", shell, process.execPath, SCRIPT], { env: { N: "1" } });
    const shown = JSON.parse(stdout) as Shown;
    expect(shown.arguments).toEqual(["\xe9"]);
    expect(shown.environment).toContain("ODD=\xe9");
  });

  test("goes on in the same process", async () => {
    await using child = start([process.execPath, SCRIPT], { env: { N: "1" } });
    const { stdout } = await child.end();
    expect((JSON.parse(stdout) as Shown).pid).toBe(child.pid);
  });

  // Every 200th ended by SIGABRT as long as Bun could not make threads meanwhile.
  test("does not fail while threads are being made", async () => {
    const { count } = await show(400, [], {});
    expect(count).toBe(400);
  }, 180_000);
});

describe("formerVariables()", () => {
  test("are none where the process was not started over, or says nonsense about it", () => {
    for (const environment of [
      {},
      { CAPSULE_STARTED_OVER: "" },
      { CAPSULE_STARTED_OVER: "{" },
      { CAPSULE_STARTED_OVER: "null" },
    ])
      expect([...formerVariables(environment)]).toEqual([]);
    expect([...withoutReexec({ CAPSULE_STARTED_OVER: "{" })]).toEqual([["CAPSULE_STARTED_OVER", undefined]]);
  });
});
