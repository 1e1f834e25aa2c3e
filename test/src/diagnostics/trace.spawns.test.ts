// What is told goes to standard error, so each test has a process of its own.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { CATEGORIES, DEBUG_WORDS, Trace } from "../../../src/diagnostics/trace.ts";
import { lines } from "../../support/lines.ts";
import { repository, run } from "../../support/run.ts";

/** What code that has a `Trace` class tells. */
async function told(code: string): Promise<string[]> {
  const source = `import { Trace } from ${JSON.stringify(join(repository, "src/diagnostics/trace.ts"))};\n${code}`;
  const outcome = await run([process.execPath, "-e", source]);
  expect(outcome).toMatchObject({ stdout: "", exitCode: 0 });
  return lines(outcome.stderr);
}

describe("log()", () => {
  test("writes a line with the category in front", async () => {
    expect(await told(`new Trace(["plan", "shim"]).log("shim", () => "libGL.so.1: żółć");`)).toEqual([
      "capsule: shim: libGL.so.1: żółć",
    ]);
  });

  test("writes nothing that a terminal would obey, nor does warn()", async () => {
    const text = JSON.stringify("lib\x1b]0;title\x07\x9bdep.so");
    const shown = String.raw`lib\x1b]0;title\x07\x9bdep.so`;
    expect(
      await told(`const trace = new Trace(["plan"]); trace.log("plan", () => ${text}); trace.warn(${text})`),
    ).toEqual([`capsule: plan: ${shown}`, `capsule: ${shown}`]);
  });

  test("writes nothing of other categories, and does not even make the text", async () => {
    const code = `new Trace(["plan"]).log("shim", () => { throw new Error("it was made"); });`;
    expect(await told(code)).toEqual([]);
  });
});

describe("mark()", () => {
  test("writes milliseconds since the lap before, the first since the process began", async () => {
    const [first, second] = await told(`const trace = new Trace(["time"]); trace.mark("boot"); trace.mark("plan");`);
    expect(first).toMatch(/^capsule: time: boot \d+\.\d\d$/);
    expect(second).toMatch(/^capsule: time: plan \d+\.\d\d$/);
    const [boot, plan] = [first, second].map((line) => Number(line?.split(" ").at(-1)));
    expect(boot).toBeGreaterThan(plan ?? Number.NaN);
  });

  test("writes nothing where nobody asks for times", async () => {
    expect(await told(`new Trace(["plan"]).mark("boot");`)).toEqual([]);
  });
});

test("has() knows what is told", () => {
  const trace = new Trace(["plan"]);
  expect([trace.has("plan"), trace.has("time")]).toEqual([true, false]);
  expect(trace.categories).toEqual(["plan"]);
});

test("libcapsule's words stand for categories that exist, and all for all of them", () => {
  const all = Object.keys(CATEGORIES);
  for (const [word, categories] of Object.entries(DEBUG_WORDS)) {
    expect(word).toMatch(/^[a-z]+$/);
    expect(categories.length).toBeGreaterThan(0);
    for (const category of categories) expect(all).toContain(category);
  }
  expect((DEBUG_WORDS.all ?? []).map(String)).toEqual(all);
});

test("categories are words for a command line, with a summary each", () => {
  for (const [name, summary] of Object.entries(CATEGORIES)) {
    expect(name).toMatch(/^[a-z]{1,9}$/);
    expect(summary).toMatch(/^\S.*[^.\s]$/);
  }
});
