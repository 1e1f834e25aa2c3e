// What a program starts: copies of itself, and other programs, which run natively.

import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { expectBoth } from "../support/both.ts";
import { expectSame } from "../support/expect.ts";
import type { Output } from "../support/fixtures.ts";
import { lines } from "../support/lines.ts";
import { isAttached, notYetInProcess } from "../support/mode.ts";
import { HOST, hostAndProgram, type Pair, pair, RUNTIME } from "../support/pair.ts";

setDefaultTimeout(60_000);

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

describe("another program runs natively", () => {
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

describe("a program that runs outside of the capsule is told of", () => {
  let outside: Pair;

  beforeAll(async () => {
    const library = (path: string, place: string): Output => ({
      path,
      sources: ["library.c"],
      flags: [`-DPLACE="of the ${place}"`],
    });
    const host = `${HOST}/libhost.so.1`;
    const between = `${RUNTIME}/libbetween.so.1`;
    outside = await pair("process/a-program-that-runs-outside-of-the-capsule-is-told-of", [
      library(host, "host"),
      library(`${RUNTIME}/libhost.so.1`, "runtime"),
      { path: between, sources: ["between.c"], needs: [host] },
      { path: "program", sources: ["program.c"], needs: [host] },
      { path: "linked", sources: ["other.c"], needs: [host], flags: ["-DUSED=library_place"] },
      { path: "through", sources: ["other.c"], needs: [between], flags: ["-DUSED=between"] },
      { path: "unlinked", sources: ["other.c"] },
    ]);
  });

  // Attached, it runs inside.
  const told = (path: string) =>
    isAttached ? "" : `capsule: "${path}" runs outside of the capsule: it gets the runtime's own libhost.so.1\n`;
  const shown = ["program: of the host", `other: of the ${isAttached ? "host" : "runtime"}`];

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
    test(`when it is started by ${way}`, async () => {
      const path = outside.program("linked");
      const outcome = await outside.capsule([way, path]);
      expect(lines(outcome.stdout)).toEqual(shown);
      expect(outcome.stderr).toBe(told(path));
      expect(outcome.exitCode).toBe(0);
    });

  test("when PATH has it", async () => {
    const { PATH } = process.env;
    const outcome = await outside.capsule(["posix_spawnp", "linked"], { env: { PATH: `${outside.out}:${PATH}` } });
    expect(lines(outcome.stdout)).toEqual(shown);
    expect(outcome.stderr).toBe(told(outside.program("linked")));
  });

  test("when only a library of its own needs the isolated one", async () => {
    const path = outside.program("through");
    const outcome = await outside.capsule(["posix_spawn", path]);
    expect(lines(outcome.stdout)).toEqual(shown);
    expect(outcome.stderr).toBe(told(path));
  });

  test("unless it needs nothing that is isolated", () =>
    expectBoth(
      outside,
      ["posix_spawn", outside.program("unlinked")],
      ["program: of the host", "other: needs nothing"],
    ));
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
