// What a program starts: copies of itself, and other programs, which are served by a process of their own.

import { beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { MARK } from "../../src/directories/private-directory.ts";
import { ATTACHED } from "../support/attached.ts";
import { expectBoth } from "../support/both.ts";
import { expectLines, expectSame } from "../support/expect.ts";
import type { Output } from "../support/fixtures.ts";
import { lines } from "../support/lines.ts";
import { inProcessOnly, isAttached, notYetInProcess } from "../support/mode.ts";
import { HOST, hostAndProgram, type Pair, pair, RUNTIME } from "../support/pair.ts";
import { capsule, capsuleCommand, run, start } from "../support/run.ts";
import { appears, isRunning, ServingPlace } from "../support/serving.ts";

let children: Pair;
const env = { GREETING: "hello" };

beforeAll(async () => {
  const plugin = (path: string, name: string, place: string): Output => ({
    path,
    sources: ["plugin.c"],
    flags: [`-DNAME=${name}`, `-DPLACE="${place}"`],
  });
  children = await pair(
    "process/children-are-as-natively",
    [
      plugin(`${RUNTIME}/libplugin.so.1`, "plugin", "of the runtime"),
      plugin(`${HOST}/liblate.so.1`, "late", "of the host"),
      plugin(`${HOST}/libdriver.so.1`, "driver", "of the host"),
      ...hostAndProgram(),
    ],
    ["libhost.so.1", "liblate.so.1"],
  );
});

const opened = (who: string) => [
  `${who}, the runtime's plug-in: of the runtime`,
  `${who}, an isolated library: of the host`,
  `${who}, the host's plug-in: of the host`,
];

describe("a forked child can open libraries:", () => {
  test("and so can its own child, and the parent again", () =>
    expectBoth(
      children,
      ["fork"],
      [
        ...opened("child"),
        ...opened("grandchild"),
        "the child ended with 2",
        "the child ended with 3",
        ...opened("parent"),
      ],
    ));

  test("one that a host library has forked", () =>
    expectBoth(children, ["host"], [...opened("child of the host's"), "the child ended with 4"]));

  test("one that a thread has forked, and threads of it", () =>
    expectBoth(
      children,
      ["thread"],
      [...opened("child of a thread"), ...opened("thread of a child"), "the child ended with 6"],
    ));

  test("while another thread was opening one", () => expectBoth(children, ["many"], ["right answers: 20"]));

  // Not yet: who answers has ended with the parent.
  notYetInProcess("one that outlives its parent", () =>
    expectBoth(children, ["orphan"], ["parent: ends", ...opened("orphan")]),
  );
});

describe("another program is run as natively", () => {
  const shell = (greeting = "hello") => `child: ${greeting} zero`;

  for (const way of ["fork and exec", "vfork and exec", "posix_spawn"])
    test(`by ${way}`, () => expectBoth(children, [way], [shell(), "the child ended with 5"], { env }));

  test("by vfork and _exit", () => expectBoth(children, ["vfork and _exit"], ["the child ended with 8"]));

  test("by clone", () => expectBoth(children, ["clone"], ["the child ended with 9"]));

  test("by posix_spawnp with another output and environment", () =>
    expectBoth(
      children,
      ["posix_spawnp"],
      ["the child ended with 5", "one that is missing: No such file or directory"],
      { env },
    ));

  test("by system, of the program and of a host library", () =>
    expectBoth(
      children,
      ["system"],
      ["child: hello", "system: 5", "child of the host: hello", "the host's: 6", "a shell: yes"],
      { env },
    ));

  test("by popen, both ways", () =>
    expectBoth(children, ["popen"], ["there, and back", "written to it: 3", "read from it: hello", "closed: 4"], {
      env,
    }));

  for (const [way, greeting] of [
    ["execv", "hello"],
    ["execvpe", "another"],
    ["execle", "another"],
  ] as const)
    test(`in the program's own place, by ${way}`, async () => {
      const model = await children.native([way], { env });
      expect(lines(model.stdout)).toEqual([shell(greeting)]);
      expect(model.exitCode).toBe(5);
      expectSame(await children.capsule([way], { env }), model);
    });

  test("and where there is none, the program goes on", () =>
    expectBoth(children, ["exec of what is missing"], ["execl: No such file or directory", ...opened("after it")]));
});

describe("another program gets isolated libraries, too,", () => {
  let isolated: Pair;

  beforeAll(async () => {
    const library = (path: string, place: string): Output => ({
      path,
      sources: ["library.c"],
      flags: [`-DPLACE="of the ${place}"`],
    });
    const host = `${HOST}/libhost.so.1`;
    const between = `${RUNTIME}/libbetween.so.1`;
    isolated = await pair("process/what-a-program-starts-gets-isolated-libraries", [
      library(host, "host"),
      library(`${RUNTIME}/libhost.so.1`, "runtime"),
      { path: between, sources: ["between.c"], needs: [host] },
      { path: "program", sources: ["program.c"], needs: [host] },
      { path: "linked", sources: ["other.c"], needs: [host], flags: ["-DUSED=library_place"] },
      { path: "through", sources: ["other.c"], needs: [between], flags: ["-DUSED=between"] },
      { path: "unlinked", sources: ["other.c"] },
    ]);
  });

  const shown = ["program: of the host", "other: of the host"];

  for (const way of [
    "execv",
    "execvp",
    "execl",
    "exec by a host library",
    "fork and execve",
    "vfork and execve",
    "posix_spawn",
    "posix_spawnp",
  ])
    test(`when it is started by ${way}`, () => expectBoth(isolated, [way, isolated.program("linked")], shown));

  test("when PATH has it", () =>
    expectBoth(isolated, ["posix_spawnp", "linked"], shown, {
      env: { PATH: `${isolated.out}:${process.env.PATH}` },
    }));

  test("when only a library of its own needs the isolated one", () =>
    expectBoth(isolated, ["posix_spawn", isolated.program("through")], shown));

  test("or needs none", () =>
    expectBoth(
      isolated,
      ["posix_spawn", isolated.program("unlinked")],
      ["program: of the host", "other: needs nothing"],
    ));

  for (const way of ["execv", "fork and execve", "posix_spawn"])
    test(`and so do its own children, when it is started by ${way}`, () => {
      const names = ["linked", "unlinked", "through", "linked"];
      return expectBoth(
        isolated,
        [way, ...names.map((name) => isolated.program(name))],
        [
          "program: of the host",
          ...names.map((name) => `other: ${name === "unlinked" ? "needs nothing" : "of the host"}`),
        ],
      );
    });

  for (const way of ["execv", "posix_spawn"])
    test(`and no directory is left, when it is started by ${way}`, async () => {
      using place = new ServingPlace();
      const args = [way, isolated.program("linked")];
      expectLines(await isolated.capsule(args, { env: { TMPDIR: place.path } }), shown);
      await place.emptied();
    });

  describe.skipIf(isAttached || process.getuid?.() !== 0)("unless there is no place for them (takes root):", () => {
    for (const way of ["execv", "fork and execve", "posix_spawn"])
      test(`it runs natively, and one line says why, when it is started by ${way}`, async () => {
        using place = new ServingPlace();
        const TMPDIR = place.path;
        const [linked, unlinked] = [isolated.program("linked"), isolated.program("unlinked")];
        const env = { LD_LIBRARY_PATH: isolated.runtime, TMPDIR };
        const command = capsuleCommand(isolated.flags(), isolated.program(), [way, unlinked, linked, linked], env);
        const script = `mount -t tmpfs -o mode=0700,size=900k none "$TMPDIR" && "$@" && ls "$TMPDIR"`;
        const outcome = await run(["unshare", "--mount", "sh", "-c", script, "sh", ...command], { env });
        const directory = /"([^"]*)": its disk is full/.exec(outcome.stderr)?.[1] ?? "";
        expect(dirname(directory)).toBe(TMPDIR);
        expect(outcome.stderr).toBe(
          `capsule: "${unlinked}" runs without the host's libraries: Cannot write to "${directory}": its disk is full (TMPDIR says which directory to use)\n`,
        );
        const children = ["other: needs nothing", "other: of the runtime", "other: of the runtime"];
        // What has turned into another program cannot remove its own.
        const left = way === "execv" ? [basename(directory)] : [];
        expect(lines(outcome.stdout)).toEqual(["program: of the host", ...children, ...left]);
        expect(outcome.exitCode).toBe(0);
      });
  });

  const whenServed = inProcessOnly("attached, the server is there before the program");

  whenServed("unless its limits let nobody serve it: it runs natively, and one line says why", async () => {
    using place = new ServingPlace();
    const linked = isolated.program("linked");
    const args = ["posix_spawn with a small stack", linked, linked];
    const outcome = await isolated.capsule(args, { env: { TMPDIR: place.path } });
    expect(lines(outcome.stdout)).toEqual(["program: of the host", "other: of the runtime", "other: of the runtime"]);
    expect(outcome.stderr).toBe(
      `capsule: "${linked}" runs without the host's libraries: Cannot start a server: it ended at once, and one of this process's limits may be too low for it (ulimit -s)\n`,
    );
    expect(place.directories).toEqual([]);
  });

  whenServed(
    "unless the directory cannot be named on a library path: it runs natively, and one line says why",
    async () => {
      using place = new ServingPlace();
      const TMPDIR = join(place.path, "with:colon");
      mkdirSync(TMPDIR);
      const linked = isolated.program("linked");
      const outcome = await isolated.capsule(["posix_spawn", linked, linked], { env: { TMPDIR } });
      expect(lines(outcome.stdout)).toEqual(["program: of the host", "other: of the runtime", "other: of the runtime"]);
      expect(lines(outcome.stderr)).toHaveLength(1);
      expect(outcome.stderr).toStartWith(
        `capsule: "${linked}" runs without the host's libraries: Cannot use "${TMPDIR}/`,
      );
      expect(readdirSync(TMPDIR)).toEqual([]);
    },
  );
});

describe("what outlives a program is served:", () => {
  let lasting: Pair;

  beforeAll(async () => {
    const libraries = ["host", "late"].flatMap((name) =>
      [HOST, RUNTIME].map((tree) => ({
        path: `${tree}/lib${name}.so.1`,
        sources: ["library.c"],
        flags: [`-DNAME=${name}`, `-DPLACE="${tree === HOST ? "host" : "runtime"}"`],
      })),
    );
    const needs = [`${HOST}/libhost.so.1`];
    lasting = await pair(
      "process/what-outlives-a-program-is-served",
      [
        ...libraries,
        { path: "program", sources: ["program.c"], needs },
        { path: "other", sources: ["other.c"], needs },
      ],
      ["libhost.so.1", "liblate.so.1"],
    );
  });

  const begun = ["program: of the host", "other: of the host"];

  test("it opens isolated libraries, and no directory is left", async () => {
    using place = new ServingPlace();
    const args = [lasting.program("other")];
    const expected = [...begun, "when the program has ended: of the host"];
    expectLines(await lasting.native(args), expected);
    expectLines(await lasting.capsule(args, { env: { TMPDIR: place.path } }), expected);
    await place.emptied();
  });

  test("a forked child that starts one then is waited for", async () => {
    using place = new ServingPlace();
    const env = { TMPDIR: place.path, LD_LIBRARY_PATH: lasting.runtime };
    const args = [lasting.program("other"), "fork"];
    await using program = start(capsuleCommand(lasting.flags(), lasting.program(), args, env), { env });
    const line = await program.line((text) => text.endsWith("waits"));
    using child = new Waiting(line);
    const { server } = await taken(place);
    // It has looked, and found it, or nobody.
    while (isRunning(server) && !watches(server, child.pid)) await Bun.sleep(10);
    process.kill(child.pid, "SIGUSR1");
    expect(lines((await program.end()).stdout)).toEqual([
      "program: of the host",
      line,
      "other: of the host",
      "when the program has ended: of the host",
    ]);
    await place.emptied();
  });

  test("when the server is killed, it goes on, and the next run removes the directory", async () => {
    using place = new ServingPlace();
    const env = { TMPDIR: place.path, LD_LIBRARY_PATH: lasting.runtime };
    const args = [lasting.program("other"), "waits"];
    await using program = start(capsuleCommand(lasting.flags(), lasting.program(), args, env), { env });
    const line = await program.line((text) => text.endsWith("waits"));
    using child = new Waiting(line);
    const { directory, server } = await taken(place);
    process.kill(server, "SIGKILL");
    process.kill(child.pid, "SIGUSR1");
    const outcome = await program.end();
    expect(lines(outcome.stdout).slice(0, 2)).toEqual(begun);
    // The runtime's is on the library path, too, but a shim comes first, and nobody links it.
    expect(lines(outcome.stdout).at(-1)).not.toContain("of the runtime");
    expect(readdirSync(directory)).toContain("lib");
    const next = [...ATTACHED, ...lasting.flags()];
    await capsule(next, lasting.program("other"), ["0", "1"], { env });
    await place.emptied();
  });
});

test("whoever serves a program is no child of it", async () => {
  const serving = await pair("process/whoever-serves-a-program-is-no-child-of-it", [
    { path: `${HOST}/libhost.so.1`, sources: ["host.c"] },
    ...["program", "other"].map((path) => ({ path, sources: [`${path}.c`], needs: [`${HOST}/libhost.so.1`] })),
  ]);
  await expectBoth(
    serving,
    [serving.program("other")],
    [
      "program: of the host",
      "other: of the host",
      "the child ended with 5",
      "then: No child processes",
      "children: 1, signals: 1",
      "adopts orphans: 1",
    ],
  );
});

describe("a constructor may start programs:", () => {
  for (const [when, variable, expected] of [
    [
      "of a library that the program needs",
      "AT_START",
      (events: string[]) => [...events, "program: of the host", "opened: of the host"],
    ],
    ["of one that it opens", "LATE", (events: string[]) => ["program: of the host", ...events, "opened: of the host"]],
  ] as const)
    test(when, async () => {
      const needs = [`${HOST}/libhost.so.1`];
      const library = (name: string, starts: string) => ({
        path: `${HOST}/lib${name}.so.1`,
        sources: ["host.c"],
        flags: [`-DNAME=${name}`, '-DPLACE="host"', `-DSTARTS="${starts}"`],
      });
      const constructors = await pair(
        "process/a-constructor-may-start-programs",
        [
          library("host", "AT_START"),
          library("late", "LATE"),
          { path: "program", sources: ["program.c"], needs },
          { path: "other", sources: ["other.c"], needs },
        ],
        ["libhost.so.1", "liblate.so.1"],
      );
      const command = `unset ${variable}; ${constructors.program("other")}`;
      const events = ["constructor of the host: starts", "other: of the host", "constructor of the host: 5"];
      await expectBoth(constructors, [], expected(events), { env: { [variable]: command } });
    });
});

test("SIGCHLD tells of a child's end", () =>
  expectBoth(children, ["SIGCHLD"], ["told by Child exited of the child: exited, 11", "the child ended with 11"]));

test("fork handlers of both sides run, in the order of their registration", async () => {
  const library = (path: string, name: string): Output => ({
    path,
    sources: ["library.c"],
    flags: [`-DFUNCTION=${name}_later`, `-DWHO="${name}"`],
  });
  const runtime = `${RUNTIME}/libruntime.so.1`;
  const host = `${HOST}/libhost.so.1`;
  const handlers = await pair("process/fork-handlers-of-both-sides-run-in-order", [
    library(host, "host"),
    library(runtime, "runtime"),
    library(`${RUNTIME}/libplugin.so.1`, "plugin"),
    { path: "program", sources: ["program.c"], needs: [runtime, host] },
  ]);
  const late = ["runtime: registered later, before fork", "host: registered later, before fork"];
  const all = ["host", "runtime", "program", "plugin"];
  const without = (gone: string, names: string[]) => names.filter((who) => who !== gone);
  const expected: [string, string[]][] = [
    [
      "before fork",
      [all, without("plugin", all)].flatMap((names) => [
        ...(names === all ? ["plugin: before fork", ...late] : late),
        ...without("plugin", names)
          .toReversed()
          .map((who) => `${who}: before fork`),
      ]),
    ],
    ["in the parent", [all, without("plugin", all)].flatMap((names) => names.map((who) => `${who}: in the parent`))],
    ["in the child", [all, without("plugin", all)].flatMap((names) => names.map((who) => `${who}: in the child`))],
  ];
  // Parent and child write at the same time, so each is looked at by itself.
  for (const outcome of [await handlers.native(), await handlers.capsule()]) {
    expect(outcome).toMatchObject({ stderr: "", exitCode: 0 });
    for (const [when, events] of expected)
      expect(lines(outcome.stdout).filter((line) => line.endsWith(when))).toEqual(events);
  }
});

/** A process that says that it waits. It does not outlive the test, whose program it has outlived. */
class Waiting implements Disposable {
  readonly pid: number;

  constructor(line: string) {
    this.pid = Number(line.split(" ")[1]);
  }

  [Symbol.dispose](): void {
    if (isRunning(this.pid)) process.kill(this.pid, "SIGKILL");
  }
}

/** The directory of a program that has ended, when the server has put its own name there. */
async function taken(place: ServingPlace): Promise<ServingPlace["serving"]> {
  const [directory = ""] = place.directories;
  await appears(directory, () => existsSync(join(directory, MARK)));
  return place.serving;
}

/** Has a process a descriptor of another one (pidfd_open(2))? */
function watches(pid: number, other: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/fdinfo`).some((name) =>
      readFileSync(`/proc/${pid}/fdinfo/${name}`, "latin1").includes(`Pid:\t${other}\n`),
    );
  } catch {
    // it has just ended
    return false;
  }
}
