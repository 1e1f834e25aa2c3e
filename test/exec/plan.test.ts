// `capsule plan`: what it says has the published shape, agrees with what exec then does, and is all that happens.

import { beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Ajv2020 from "ajv/dist/2020";
import schema from "../../schema/plan.schema.json" with { type: "json" };
import type { PlanReport } from "../../src/report/plan-data.ts";
import { CLAIMED, copyOwnGlibc } from "../support/own-glibc.ts";
import { capsuleCommand, type Outcome, run } from "../support/run.ts";
import { SONAME, USAGE, Workshop } from "../support/workshop.ts";

const SIBLING = "libnotgles.so.1";
const HELPER = "libhelper.so.0";

let workshop: Workshop;
let script: string;
let glibc: string;
beforeAll(async () => {
  workshop = await Workshop.open({});
  script = workshop.fresh("script");
  writeFileSync(script, `#!/bin/sh -e\nexec "${workshop.family.programs.linkedToBoth}"\n`);
  chmodSync(script, 0o755);
  glibc = copyOwnGlibc(workshop.fresh("glibc"));
});

interface Kind {
  readonly flags: () => string[];
  readonly program?: () => string;
  readonly env?: () => Record<string, string>;
}

const both = () => ["--host", workshop.family.red, "--isolate", `${SONAME},${SIBLING}`];
const KINDS: Record<string, Kind> = {
  "a program in this process": { flags: () => [...both(), "--mode", "in-process"] },
  "an attached program": { flags: () => [...both(), "--mode", "attached"] },
  "a script": { flags: both, program: () => script },
  "two host trees": { flags: () => [...both(), "--isolate", `${SONAME}=${workshop.family.green}`] },
  "a library's variable": {
    flags: () => both(),
    env: () => ({ CAPSULE_LIBNOTGLES_SO_1_PREFIX: workshop.family.green, CAPSULE_MODE: "attached" }),
  },
  "another glibc, in this process": { flags: () => [...both(), "--glibc", glibc, "--mode", "in-process"] },
  "another glibc, attached": { flags: () => [...both(), "--glibc", glibc, "--mode", "attached"] },
  "another glibc, by ld.so's name": {
    flags: () => [...both(), "--glibc", glibc, "--mode", "attached", "--mount-namespace", "never"],
  },
  "a function in place of another": {
    flags: () => {
      const file = join(workshop.family.reference, HELPER);
      return [...both(), "--hook", `${SONAME}:notgl_get_implementation=${file}:helper_get_implementation`];
    },
  },
  "the machine as host": { flags: () => ["--host", "/"], program: () => "/bin/true" },
  "profiles that the tree has nothing of": { flags: () => ["--profile", "gl", ...both()] },
};

interface Told {
  readonly plan: PlanReport;
  readonly trace: string;
}

const environment = (more: Record<string, string> = {}) => ({ LD_LIBRARY_PATH: workshop.family.reference, ...more });

/** By the same command line; in whatever mode and on whatever glibc the tests run, as these are settings. */
function command(
  name: "exec" | "plan",
  flags: string[],
  program: string,
  env: Record<string, string>,
): Promise<Outcome> {
  const words = capsuleCommand(flags, program, ["argument"], env);
  return run(
    words.map((word, i) => (word === "exec" && words[i - 1]?.endsWith("main.ts") ? name : word)),
    { env, timeout: 30_000 },
  );
}

async function told({ flags, program = () => workshop.family.programs.linkedToBoth, env }: Kind): Promise<Told> {
  const variables = environment(env?.());
  const { stdout, stderr, exitCode } = await command("plan", [...flags(), "--json"], program(), variables);
  expect({ stderr, exitCode }).toEqual({ stderr: "", exitCode: 0 });
  const { stderr: trace } = await command("exec", [...flags(), "--trace", "plan,search"], program(), variables);
  return { plan: JSON.parse(stdout), trace };
}

const valid = new Ajv2020({ strict: true, allErrors: true, strictRequired: false }).compile(schema);

describe.each(Object.entries(KINDS))("of %s, the plan", (_, kind) => {
  let plan: PlanReport;
  let trace: string;
  beforeAll(async () => {
    ({ plan, trace } = await told(kind));
  });

  test("has the shape of the schema", () => {
    valid(plan);
    expect(valid.errors ?? []).toEqual([]);
  });

  test("is in the mode that exec takes", () => {
    const [, mode] = /^capsule: plan: mode: (in-process|attached), /m.exec(trace) ?? [];
    expect(plan.mode.name).toBe(mode as typeof plan.mode.name);
  });

  test("is on the glibc that exec takes, by the same way", () => {
    // Of a process that was started over, what the second one says.
    const version = /^capsule: plan: glibc: ([\d.]+), .*? \("(.*?)"\)/m.exec(trace);
    expect([plan.glibc.version, plan.glibc.path]).toEqual(version?.slice(1) ?? []);
    const told: [RegExp, PlanReport["glibc"]["way"]][] = [
      [/^capsule: plan: starting over by /m, "started over"],
      [/^capsule: plan: mount namespace: none/m, "ld.so by name"],
      [/^capsule: plan: mount namespace: /m, "mount namespace"],
    ];
    const way = told.find(([words]) => words.test(trace))?.[1] ?? "as it is";
    expect<(string | null)[]>([plan.glibc.way, plan.glibc.otherwise]).toContain(way);
  });

  test("has the libraries that exec isolates, from the same trees", () => {
    for (const { tree, isolated } of plan.capsules) {
      const names = (when: string) =>
        isolated
          .filter((library) => library.when === when)
          .map(({ soname }) => soname)
          .join(" ") || "nothing";
      if (plan.mode.name === "attached") {
        const all = isolated.map(({ soname }) => soname).join(" ") || "nothing";
        expect(trace).toContain(`capsule: plan: host tree ${tree}: ${all}\n`);
      } else expect(trace).toContain(`capsule: plan: host tree ${tree}: at the start ${names("start")}\n`);
    }
  });

  test("says of each library that exec leaves to the runtime why that is so", () => {
    for (const [, soname, why] of trace.matchAll(/^capsule: plan: (\S+): left to the runtime, as (.*)$/gm))
      expect(plan.capsules.flatMap(({ left }) => left)).toContainEqual(expect.objectContaining({ soname, why }));
  });

  test("finds what exec searches for, by the same steps", () => {
    const searched = Array.from(
      trace.matchAll(/^capsule: search: (\S+): (.*?)(?:, for .*)?$/gm),
      ([, path, why]) => `${path}: ${why}`,
    );
    const known = plan.capsules.flatMap(({ isolated, dependencies }) => [...isolated, ...dependencies]);
    const all = [...known, ...(plan.libraries ?? [])].map(({ path, why }) => `${path}: ${why}`);
    expect(all).toEqual(expect.arrayContaining(searched));
    // What an attached program needs is searched by ld.so, and by its server.
    const isSearched = plan.mode.name === "in-process" && (plan.libraries?.length ?? 0) > 0;
    expect(searched.length > 0).toBe(isSearched);
  });
});

describe("a plan says", () => {
  test("who asked for a library, and who for its tree", async () => {
    const { plan } = await told(KINDS["a library's variable"] as Kind);
    const byTree = new Map(plan.capsules.map(({ tree, isolated }) => [tree, isolated]));
    const flag = (name: string) => ({ kind: "flag" as const, name, line: null });
    expect(byTree.get(workshop.family.red)).toMatchObject([
      { soname: SONAME, profiles: [], source: flag("--isolate"), treeSource: flag("--host") },
    ]);
    expect(byTree.get(workshop.family.green)).toMatchObject([
      { soname: SIBLING, treeSource: { kind: "variable", name: "CAPSULE_LIBNOTGLES_SO_1_PREFIX" } },
    ]);
    expect(plan.settings).toContainEqual({
      ...{ name: `libraries.${SIBLING}`, value: workshop.family.green },
      source: { kind: "variable", name: "CAPSULE_LIBNOTGLES_SO_1_PREFIX", line: null },
    });
  });

  test("what only the capsule sees, beside what the program has of the same name", async () => {
    const { plan } = await told(KINDS["a program in this process"] as Kind);
    const [capsule] = plan.capsules;
    const helper = {
      soname: HELPER,
      why: expect.stringContaining("runpath of "),
      neededBy: expect.stringContaining("libnotgl"),
    };
    expect(capsule?.dependencies).toEqual([
      expect.objectContaining({ ...helper, path: expect.stringContaining("/red/") }),
    ]);
    expect(plan.libraries).toEqual([
      expect.objectContaining({
        ...{ soname: HELPER, path: expect.stringContaining("/reference/"), neededBy: plan.program.path },
      }),
    ]);
    expect(capsule?.isolated.map(({ neededBy }) => neededBy)).toEqual([[plan.program.path], [plan.program.path]]);
    expect(plan.shared.map(({ soname }) => soname)).toContain("libc.so.6");
  });

  test("which functions take the place of others", async () => {
    const { plan } = await told(KINDS["a function in place of another"] as Kind);
    const file = join(workshop.family.reference, HELPER);
    const names = { soname: SONAME, symbol: "notgl_get_implementation", function: "helper_get_implementation" };
    expect(plan.capsules.map(({ hooks }) => hooks)).toEqual([[{ ...names, file }]]);
  });

  test("how a process comes to another glibc, and how else where the kernel does not permit that", async () => {
    const ways = await Promise.all(
      Object.entries(KINDS)
        .filter(([name]) => name.startsWith("another glibc"))
        .map(async ([, kind]) => (await told(kind)).plan.glibc),
    );
    expect(ways.map(({ version, way, otherwise }) => [version, way, otherwise])).toEqual([
      [CLAIMED, "started over", null],
      [CLAIMED, "mount namespace", "ld.so by name"],
      [CLAIMED, "ld.so by name", null],
    ]);
  });

  test("where each setting comes from, and what a file says in vain", async () => {
    const settings = workshop.fresh("settings.toml");
    writeFileSync(settings, 'mode = "attached"\n\n[libraries]\n"libother.so.1" = "/"\n');
    const { plan } = await told({ flags: () => [...both(), "--settings", settings] });
    const of = (name: string) => plan.settings.find((setting) => setting.name === name);
    expect(of("mode")).toEqual({ name: "mode", value: "attached", source: { kind: "file", name: settings, line: 1 } });
    expect(of("host")?.source).toEqual({ kind: "flag", name: "--host", line: null });
    expect(of("runtime")).toEqual({
      name: "runtime",
      value: null,
      source: { kind: "default", name: null, line: null },
    });
    expect(plan.warnings).toEqual([`libother.so.1: nothing isolates it, as line 4 of "${settings}" says`]);
  });

  test("which of the host's variables the user has set", async () => {
    const tree = workshop.redTree();
    mkdirSync(join(tree, "usr/share/drirc.d"), { recursive: true });
    const kind = { flags: () => ["--host", tree, "--isolate", SONAME] };
    const variable = async (env: Record<string, string>) =>
      (await told({ ...kind, env: () => env })).plan.capsules[0]?.environment;
    const value = join(tree, "usr/share/drirc.d");
    expect(await variable({})).toEqual([{ name: "DRIRC_CONFIGDIR", value, isOverridden: false }]);
    expect(await variable({ DRIRC_CONFIGDIR: "/x" })).toEqual([{ name: "DRIRC_CONFIGDIR", value, isOverridden: true }]);
  });
});

test("a file of settings that is passed over is a warning of the plan, and not of the command", async () => {
  const directory = workshop.fresh("open");
  mkdirSync(directory);
  const [program, file] = [join(directory, "program"), join(directory, "capsule.toml")];
  copyFileSync(workshop.family.programs.linkedToOne, program);
  writeFileSync(file, 'mode = "attached"\n');
  chmodSync(file, 0o666);
  const { plan } = await told({ flags: both, program: () => program });
  expect(plan.warnings).toEqual([expect.stringContaining(`"${file}" is passed over`)]);
  const { stderr, exitCode } = await command("exec", both(), program, environment());
  expect([stderr, exitCode]).toEqual([`capsule: ${plan.warnings[0]}\n`, 0]);
});

test("nothing is written", async () => {
  const [cache, temporary] = [workshop.fresh("cache"), workshop.fresh("temporary")];
  mkdirSync(temporary);
  const env = environment({ XDG_CACHE_HOME: cache, TMPDIR: temporary });
  for (const { flags, program } of Object.values(KINDS)) {
    const made = await command("plan", flags(), program?.() ?? workshop.family.programs.linkedToBoth, env);
    expect(made).toMatchObject({ stderr: "", exitCode: 0 });
  }
  // Bun keeps there what it makes of sources.
  expect([existsSync(join(cache, "capsule")), readdirSync(temporary)]).toEqual([false, []]);
});

test("what exec would refuse is refused in the same words", async () => {
  const { red, programs } = workshop.family;
  const cases: [string[], string][] = [
    [["--host", red, "--isolate", "libnone.so.1"], programs.linkedToOne],
    [["--host", "/no/such/tree"], programs.linkedToOne],
    [[...both(), "--mode", "in-process"], script],
    [both(), "/no/such/program"],
    [["--profile", "gll"], programs.linkedToOne],
    [["--host", red, "--mount-namespace", "always", "--mode", "in-process"], programs.linkedToOne],
  ];
  for (const [flags, program] of cases) {
    const [planned, done] = [
      await command("plan", flags, program, environment()),
      await command("exec", flags, program, environment()),
    ];
    expect([planned.stderr, planned.exitCode]).toEqual([done.stderr, done.exitCode]);
    expect(planned.stdout).toBe("");
    expect(planned.exitCode).toBeGreaterThanOrEqual(USAGE);
  }
});

test("what it shows is short, in lines, and without what would do something to a terminal", async () => {
  const program = join(workshop.directory, "\x1b[31mred\nline");
  writeFileSync(program, "#!/bin/sh\n");
  chmodSync(program, 0o755);
  const { stdout } = await command("plan", both(), program, environment());
  expect(stdout.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
  expect(stdout).toStartWith(`${workshop.directory}/\\x1b[31mred\\x0aline\n`);
  expect(stdout).toContain("\n  mode          attached, as it is a script\n");
  expect(stdout).not.toContain(HELPER);
  const { stdout: all } = await command("plan", ["-v", ...both()], workshop.family.programs.linkedToOne, environment());
  expect(all).toMatch(/\n {2}private +libhelper\.so\.0 +\/\S+ +runpath of libnotgl\S+, for libnotgl\S+\n/);
  const coloured = await command(
    "plan",
    both(),
    workshop.family.programs.linkedToOne,
    environment({ FORCE_COLOR: "1" }),
  );
  expect(Bun.stripANSI(coloured.stdout)).not.toBe(coloured.stdout);
});
