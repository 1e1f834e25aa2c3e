// Settings that a program finds by lying beside them.

import { beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { PlanReport } from "../../src/report/plan-data.ts";
import { expectLines } from "../support/expect.ts";
import { shown } from "../support/notgl.ts";
import { CLAIMED, copyOwnGlibc } from "../support/own-glibc.ts";
import { capsule, command, type Outcome } from "../support/run.ts";
import { SONAME, USAGE, Workshop } from "../support/workshop.ts";

let workshop: Workshop;
beforeAll(async () => {
  workshop = await Workshop.open({});
});

interface Game {
  /** Relative to `directory`. */
  readonly program: string;
  readonly directory: string;
  /** Writes the file beside it. */
  set(...lines: string[]): void;
}

function game(): Game {
  const directory = workshop.fresh("game");
  mkdirSync(directory);
  copyFileSync(workshop.family.programs.linkedToOne, join(directory, "program"));
  const file = join(directory, "capsule.toml");
  return {
    program: join(directory, "program"),
    directory,
    set(...lines) {
      writeFileSync(file, `${lines.join("\n")}\n`);
      chmodSync(file, 0o644);
    },
  };
}

const start = (flags: string[], program: string, more: Record<string, string> = {}): Promise<Outcome> =>
  capsule(flags, program, [], { env: { LD_LIBRARY_PATH: workshop.family.reference, ...more } });

describe("a game has the host tree that capsule.toml names", () => {
  test("beside it, relative to itself, wherever it is started", async () => {
    const { program, directory, set } = game();
    symlinkSync(workshop.family.red, join(directory, "tree"));
    set('host = "tree"', `isolate = ["${SONAME}"]`);
    expectLines(await start([], program), shown("notgl", "red"));
    // Its real file counts, also for a name that PATH has.
    const bin = workshop.fresh("bin");
    mkdirSync(bin);
    symlinkSync(program, join(bin, "game"));
    expectLines(await start([], "game", { PATH: `${bin}:/usr/bin:/bin` }), shown("notgl", "red"));
  });

  test("unless the user says something else", async () => {
    const { program, set } = game();
    const { red, green } = workshop.family;
    set(`host = "${red}"`, `isolate = ["${SONAME}"]`);
    expectLines(await start(["--host", green], program), shown("notgl", "green"));
    expectLines(await start([], program, { CAPSULE_PREFIX: green }), shown("notgl", "green"));
    expectLines(await start(["--no-settings", "--host", green, "--isolate", SONAME], program), shown("notgl", "green"));
  });

  test("by a profile of one's own, in the user's own file", async () => {
    const { program, set } = game();
    set(`host = "${workshop.family.red}"`);
    const config = workshop.fresh("config");
    mkdirSync(join(config, "capsule"), { recursive: true });
    writeFileSync(join(config, "capsule", "capsule.toml"), `profile = "x"\n[profiles.x]\nisolate = ["${SONAME}"]\n`);
    expectLines(await start([], program, { XDG_CONFIG_HOME: config }), shown("notgl", "red"));
  });
});

test("a wrong file is a usage error, before anything is run", async () => {
  const { program, set } = game();
  set('hots = "/"');
  workshop.expectRefusal(await start([], program), USAGE, 'line 1: there is no setting "hots": did you mean "host"?');
  set('host = "/no/such/tree"', `isolate = ["${SONAME}"]`);
  workshop.expectRefusal(
    await start([], program),
    125,
    '"/no/such/tree", as line 1 of "',
    "there is no such directory",
  );
});

test("a file that has changed counts at once, also where the command had to be started over", async () => {
  const { program, set } = game();
  const env = { XDG_CACHE_HOME: workshop.fresh("cache") };
  const glibc = copyOwnGlibc(workshop.fresh("glibc"));
  const { red, green } = workshop.family;
  const version = async () => {
    const outcome = await start(["--mode", "in-process", "--trace", "plan"], program, env);
    return /glibc: ([\d.]+), /.exec(outcome.stderr)?.[1];
  };
  const common = [`host = "${red}"`, `isolate = ["${SONAME}"]`];
  set(...common, `glibc = "${glibc}"`);
  for (let time = 0; time < 2; time++) expect(await version()).toBe(CLAIMED);
  expect(existsSync(join(env.XDG_CACHE_HOME, "capsule", "started-over.json"))).toBe(true);
  set(...common, 'glibc = "runtime"');
  for (let time = 0; time < 2; time++) expect(await version()).not.toBe(CLAIMED);
  // Other settings of the same length.
  set(...common.map((line) => line.replace(red, green)), `glibc = "${glibc}"`);
  expectLines(await start(["--mode", "in-process"], program, env), shown("notgl", "green"));
  set(...common, `glibc = "${glibc}"`, 'mode = "attached"');
  expectLines(await start([], program, env), shown("notgl", "red"));
});

describe("a game has the variables that capsule.toml sets", () => {
  const printed = (outcome: Outcome, name: string) => new RegExp(`^${name}=(.*)$`, "m").exec(outcome.stdout)?.[1];
  const printing = (set: (...lines: string[]) => void, directory: string, ...lines: string[]): string => {
    const script = join(directory, "start.sh");
    writeFileSync(script, "#!/bin/sh\nenv\n");
    chmodSync(script, 0o755);
    set(`host = "${workshop.family.red}"`, `isolate = ["${SONAME}"]`, "[environment]", ...lines);
    return script;
  };

  test("in place of those of the environment, or none", async () => {
    const { directory, set } = game();
    const tunables = "glibc.malloc.arena_max=1:glibc.malloc.mxfast=0";
    const lines = ["GAME = \"a = 'b' €\"", "UNWANTED = false", 'BUN_OPTIONS = "--smol"', 'EMPTY = ""'];
    const script = printing(set, directory, ...lines, `GLIBC_TUNABLES = "${tunables}"`);
    const outcome = await start([], script, { GAME: "before", UNWANTED: "1", OTHER: "kept" });
    expect(outcome.exitCode).toBe(0);
    const names = ["GAME", "UNWANTED", "BUN_OPTIONS", "EMPTY", "OTHER"];
    expect(names.map((name) => printed(outcome, name))).toEqual(["a = 'b' €", undefined, "--smol", "", "kept"]);
    expect(printed(outcome, "GLIBC_TUNABLES")).toContain(tunables);
    expect(outcome.stdout).not.toContain("CAPSULE_");
  });

  test("of which ld.so reads some, in either mode", async () => {
    const { program, set } = game();
    const { red, reference } = workshop.family;
    set(`host = "${red}"`, `isolate = ["${SONAME}"]`, "[environment]", `LD_LIBRARY_PATH = "${reference}"`);
    for (const mode of ["in-process", "attached"])
      expectLines(await start(["--mode", mode], program, { LD_LIBRARY_PATH: "" }), shown("notgl", "red"));
  });

  test("and the plan tells, with where each is set", async () => {
    const { directory, set } = game();
    const script = printing(set, directory, 'GAME = "1"', "UNWANTED = false");
    const { stdout } = await command(["plan", "--json", script]);
    const { settings } = JSON.parse(stdout) as PlanReport;
    const source = (line: number) => ({ kind: "file" as const, name: join(directory, "capsule.toml"), line });
    expect(settings.filter(({ name }) => name.startsWith("environment."))).toEqual([
      { name: "environment.GAME", value: "1", source: source(4) },
      { name: "environment.UNWANTED", value: null, source: source(5) },
    ]);
  });

  test("once, also where one leads to another program of that name", async () => {
    const places = [game(), game()];
    for (const [i, { directory, set }] of places.entries())
      printing(set, directory, `PATH = "${places[1 - i]?.directory}:/usr/bin:/bin"`);
    const outcome = await start([], "start.sh", { PATH: `${places[0]?.directory}:${process.env.PATH}` });
    expect(printed(outcome, "PATH")).toBe(`${places[1]?.directory}:/usr/bin:/bin`);
  });
});
