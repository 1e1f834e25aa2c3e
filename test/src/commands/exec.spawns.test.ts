// The command line of `capsule`, and what each kind of error becomes.

import { describe, expect, test } from "bun:test";
import metadata from "../../../package.json" with { type: "json" };
import { CATEGORIES, DEBUG_WORDS } from "../../../src/diagnostics/trace.ts";
import { PROFILES } from "../../../src/profiles/profiles.ts";
import { MODES } from "../../../src/settings/choices.ts";
import { command, type Outcome } from "../../support/run.ts";

async function expectUsage(args: string[], message: string, env: Record<string, string> = {}): Promise<void> {
  const outcome = await command(args, { env });
  expect(outcome).toMatchObject({ stdout: "", exitCode: 2, signal: null });
  expect(outcome.stderr).toContain(message);
  // no stack: it is not our fault
  expect(outcome.stderr).not.toMatch(/^ +at /m);
}

describe("help", () => {
  test("names every profile, mode, category and word of CAPSULE_DEBUG", async () => {
    for (const args of [
      ["exec", "--help"],
      ["help", "exec"],
      ["exec", "-h"],
    ]) {
      const { stdout, stderr, exitCode } = await command(args);
      expect([stderr, exitCode]).toEqual(["", 0]);
      for (const [name, { summary }] of Object.entries(PROFILES))
        expect(stdout).toMatch(new RegExp(`${name} +${summary}`));
      for (const name of Object.keys(CATEGORIES)) expect(stdout).toMatch(new RegExp(`^ {2}${name} `, "m"));
      for (const [name, summary] of Object.entries(MODES))
        expect(stdout).toMatch(new RegExp(`^ {2}${name} +${summary}`, "m"));
      for (const word of Object.keys(DEBUG_WORDS)) expect(stdout).toContain(word);
      for (const option of ["--host", "--isolate", "--profile", "--mode", "--trace"]) expect(stdout).toContain(option);
    }
  });

  test("of the command lists exec", async () => {
    const { stdout, exitCode } = await command(["--help"]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain("exec");
  });

  test("is what no command at all is answered with, as an error", async () => {
    await expectUsage([], "Usage: capsule");
  });

  test.each(["--version", "-v", "-V", "version"])("%s is the package's version", async (word) => {
    expect(await command([word])).toMatchObject({ stdout: `${metadata.version}\n`, stderr: "", exitCode: 0 });
  });
});

describe("a usage error says what is wrong, and what there would be:", () => {
  const mistakes: [string, string[], string][] = [
    ["an unknown command", ["frobnicate"], 'There is no command "frobnicate": choose of help, exec, plan,'],
    ["a misspelled command", ["tre", "game"], 'There is no command "tre": did you mean "tree"?'],
    ["a program", ["./game", "--level", "a b"], "\"./game\": did you mean: capsule exec ./game --level 'a b'\n"],
    ["a program in PATH", ["true", "-v"], "did you mean: capsule exec true -v\n"],
    ["another tool's word", ["run", "game", "-x"], 'There is no command "run": did you mean: capsule exec game -x\n'],
    [
      "options before the command",
      ["--host", "/", "--no-settings", "tree", "-v", "game"],
      'Cannot use "--host" before the command: options come after it; did you mean: capsule tree --host / --no-settings -v game\n',
    ],
    ["options and no command", ["--host=/", "./game"], "did you mean: capsule exec --host=/ ./game\n"],
    ["options and nothing else", ["--host", "/"], 'Cannot use "--host": a command has to come before it'],
    ["an option that no command has", ["--hots", "/", "exec"], "unknown option '--hots'"],
    ["an unknown option", ["exec", "--hots", "/"], "unknown option '--hots'"],
    [
      "--host without a directory",
      ["exec", "--host=", "/bin/true"],
      'Cannot use the host tree "": a directory is needed',
    ],
    ["an unknown profile", ["exec", "--profile", "gl,opengl", "/bin/true"], 'no profile "opengl": choose of gl, egl,'],
    [
      "a profile that every object has",
      ["exec", "--profile", "toString", "/bin/true"],
      'There is no profile "toString"',
    ],
    [
      "an unknown mode",
      ["exec", "--mode", "both", "/bin/true"],
      'no mode "both": choose of auto, in-process, attached',
    ],
    ["an unknown category", ["exec", "--trace", "plan,reloc", "/bin/true"], 'category "reloc": choose of all, plan,'],
    ["a category that every object has", ["exec", "--trace", "constructor", "/bin/true"], 'category "constructor"'],
    ["an empty soname in a list", ["exec", "--isolate", "libGL.so.1,,", "/bin/true"], 'Cannot isolate ""'],
    [
      "a soname without its directory",
      ["exec", "--isolate", "libGL.so.1=", "/bin/true"],
      'Cannot isolate "libGL.so.1="',
    ],
    ["a directory without its soname", ["exec", "--isolate", "=/run/host", "/bin/true"], 'Cannot isolate "=/run/host"'],
    ["libc", ["exec", "--isolate", "libc.so.6", "/bin/true"], 'Cannot isolate "libc.so.6": the whole process has one'],
  ];
  test.each(mistakes)("%s", (_, args, message) => expectUsage(args, message));
});

describe("an error is one paragraph, with the exit code of its kind:", () => {
  const failures: [string, string[], number, RegExp][] = [
    [
      "a program that is not found",
      ["exec", "/no/such/program"],
      127,
      /^capsule: Cannot run "\/no\/such\/program": .*\n$/,
    ],
    ["a program that is a directory", ["exec", "/"], 126, /^capsule: Cannot run "\/": it is a directory\n$/],
    [
      "a tree that is not there",
      ["exec", "--host", "/no/such/tree", "/bin/true"],
      125,
      /^capsule: Cannot use the host tree "\/no\/such\/tree".*\n$/,
    ],
    [
      "a tree of one library that is not there",
      ["exec", "--isolate", "libGL.so.1=/no=such", "/bin/true"],
      125,
      /"\/no=such": there is no such directory\n$/,
    ],
    [
      "a library that is not there",
      ["exec", "--isolate", "libnone.so.1", "/bin/true"],
      125,
      /^capsule: Cannot find "libnone\.so\.1" in .*\n$/,
    ],
  ];
  test.each(failures)("%s", async (_, args, exitCode, message) => {
    const outcome = await command(args);
    expect(outcome).toMatchObject({ stdout: "", exitCode, signal: null });
    expect(outcome.stderr).toMatch(message);
  });
});

describe("CAPSULE_DEBUG", () => {
  const categoriesOf = ({ stderr }: Outcome) =>
    new Set(Array.from(stderr.matchAll(/^capsule: (\w+): /gm), ([, category = ""]) => category));

  test("tells what its words stand for, and --trace takes its place", async () => {
    const env = { CAPSULE_DEBUG: "path,nonsense" };
    expect([...categoriesOf(await command(["exec", "/no/such/program"], { env }))]).toEqual([]);
    const outcomes = [
      await command(["exec", "/bin/true"], { env }),
      await command(["exec", "--trace", "time", "/bin/true"], { env }),
    ];
    expect(outcomes.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
    expect(outcomes.map((outcome) => [...categoriesOf(outcome)])).toEqual([["plan"], ["time"]]);
  });

  // A plain object has more properties than those that were written down.
  test("passes over words that every object has", async () => {
    expect(await command(["exec", "/bin/true"], { env: { CAPSULE_DEBUG: "constructor" } })).toMatchObject({
      stderr: "",
      exitCode: 0,
    });
  });
});
