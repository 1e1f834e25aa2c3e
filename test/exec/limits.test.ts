// A program may give up privileges, go elsewhere and lower its limits: what capsule needs afterwards must be enough.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expectBoth } from "../support/both.ts";
import { expectLines } from "../support/expect.ts";
import type { Output } from "../support/fixtures.ts";
import { leftIn, notYetAttached, notYetInProcess } from "../support/mode.ts";
import { HOST, hostAndProgram, Pair, pair, RUNTIME } from "../support/pair.ts";
import { COMMAND, capsuleCommand, run } from "../support/run.ts";

const plugin = (path: string, number: number): Output => ({
  path,
  sources: ["plugin.c"],
  flags: [`-DNUMBER=${number}`],
});

const libraries = [
  plugin(`${RUNTIME}/libplugin.so.1`, 1),
  plugin(`${HOST}/liblate.so.1`, 2),
  plugin(`${HOST}/libdriver.so.1`, 3),
  ...hostAndProgram(),
];
const isolated = ["libhost.so.1", "liblate.so.1"];

const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot)("a program that drops its privileges can open libraries (takes root)", () => {
  let place: string;
  let dropping: Pair;

  beforeAll(async () => {
    const built = await pair("process/a-program-that-drops-its-privileges-can-open-libraries", libraries, isolated);
    // where everybody can read it
    place = mkdtempSync(join(tmpdir(), "capsule-test-"));
    chmodSync(place, 0o755);
    cpSync(built.out, place, { recursive: true });
    mkdirSync(join(place, "tmp"));
    chmodSync(join(place, "tmp"), 0o1777);
    dropping = new Pair(place, isolated);
  });
  afterAll(() => rmSync(place, { recursive: true }));

  const shown = (who: string, user: string, group: string, groups: number) => [
    `${who}: user ${user}, group ${group}, ${groups} more groups`,
    `${who}: libraries 1 2 3, the host's user 65534`,
    `${who}: a file that only root may read: Permission denied`,
  ];

  // Not yet: the private directory is still that of the real user.
  // Not yet: the shims are still those of the user that it was, who alone may read them.
  for (const [way, ids, groups, end] of [
    ["setuid", "65534 65534 65534", 1, "Operation not permitted"],
    ["setresuid", "65534 65534 65534", 0, "Operation not permitted"],
    ["seteuid", "0 65534 0", undefined, "Operation not permitted"],
  ] as const)
    notYetAttached(`by ${way}`, async () => {
      const count = groups ?? process.getgroups?.().length ?? 0;
      const expected = [
        ...["main", "a thread of before", "a thread of after"].flatMap((who) => shown(who, ids, ids, count)),
        `back to root: ${way === "seteuid" ? "yes" : end}`,
      ];
      await expectBoth(dropping, [way], expected, { env: { TMPDIR: join(place, "tmp") } });
    });

  notYetInProcess("and leaves nothing in the temporary directory", async () => {
    const TMPDIR = mkdtempSync(join(place, "own-"));
    await dropping.capsule(["setuid"], { env: { TMPDIR } });
    expect(await leftIn(TMPDIR)).toEqual([]);
  });
});

test("a program changes its directory and opens relative paths", async () => {
  const moving = await pair("process/a-program-changes-its-directory-and-opens-relative-paths", [
    plugin("work/libplugin.so.1", 1),
    plugin("work/inner/libplugin.so.1", 2),
    plugin("work/inner/libdriver.so.1", 3),
    plugin("work/relative/libfound.so.1", 4),
    plugin("work/inner/relative/libfound.so.1", 5),
    plugin(`${RUNTIME}/libinstalled.so.1`, 6),
    plugin(`${HOST}/libinstalled.so.1`, 7),
    ...hostAndProgram(),
  ]);
  const args = [join(moving.out, "work")];
  const expected = (found: string, installed: string) => [
    "./libplugin.so.1: 1",
    "inner/libplugin.so.1: 2",
    "by LD_LIBRARY_PATH: 4",
    "of the host: 3",
    "a directory further, ./libplugin.so.1: 2",
    "../libplugin.so.1: 1",
    `by LD_LIBRARY_PATH: ${found}`,
    "of the host: 3",
    "in a thread that is elsewhere: 1",
    `in a directory that is gone: ${installed}`,
    "back again: 2",
  ];
  const path = `relative:${moving.runtime}`;
  const model = await moving.native(args, { env: { LD_LIBRARY_PATH: `${path}:${join(moving.out, HOST)}` } });
  expectLines(model, expected("5", "6, 6"));
  expectLines(await moving.capsule(args, { env: { LD_LIBRARY_PATH: path } }), expected("5", "6, 7"));
});

describe("a program has its memory to itself:", () => {
  let memory: Pair;

  beforeAll(async () => {
    memory = await pair("process/a-program-has-its-memory-to-itself", libraries, isolated);
  });

  const opened = "libraries: 1 2 3";

  test("below 2 GiB", () => expectBoth(memory, ["low"], ["of 64 MiB below 2 GiB there are 64", opened]));

  test("at addresses that it names", () =>
    expectBoth(
      memory,
      ["hints"],
      [
        "256 MiB at 2 GiB: there",
        "512 MiB at 3 GiB: there",
        "1 GiB at 64 GiB: there",
        "64 KiB at 64 KiB: there",
        opened,
      ],
    ));

  // Bun is linked to a fixed address, and its break begins within 1 GiB of its end.
  notYetInProcess("at low addresses that it names", () =>
    expectBoth(memory, ["first"], ["1 GiB at 128 MiB: there", opened]),
  );

  test("behind its break", () => expectBoth(memory, ["break"], ["the break moves: yes", opened]));

  // Not yet: a shim is a file that has to be written.
  for (const name of ["RLIMIT_FSIZE", "RLIMIT_NPROC", "RLIMIT_CPU"])
    (name === "RLIMIT_FSIZE" ? notYetInProcess : test)(`and can lower ${name}`, () =>
      expectBoth(memory, [name], [opened]),
    );

  test("and its files have the mode that it wants", () => expectBoth(memory, ["umask"], [opened]));

  test("and can lower RLIMIT_DATA", () => expectBoth(memory, ["RLIMIT_DATA"], ["128 MiB: yes, 1 GiB: no", opened]));

  test("and can lower RLIMIT_AS", () => expectBoth(memory, ["RLIMIT_AS"], ["128 MiB: yes, 3 GiB: no", opened]));

  test("and can lock it (takes root)", () => expectBoth(memory, ["mlockall"], ["mlockall: locked", opened]));
});

describe("a limit that is too low for a run is named, with what helps:", () => {
  let program: Pair;

  beforeAll(async () => {
    program = await pair("process/a-program-and-its-child-are-killed", hostAndProgram());
  });

  const within = (limit: string, argv = capsuleCommand(program.flags(), program.program())) =>
    run(["sh", "-c", `${limit}; exec "$@"`, "sh", ...argv]);

  test("open files", async () => {
    const { stdout, stderr } = await within("ulimit -n 12");
    expect(stdout).toBe("");
    expect(stderr).toContain("Cannot start a server: open files are limited to 12, and it needs 16 (ulimit -n 1024)\n");
  });

  test("address space", async () => {
    // Without the command's own first line, Bun needs more.
    const { stderr, exitCode } = await within("ulimit -v 1000000", [...COMMAND, "exec", program.program()]);
    expect(stderr).toMatch(
      /^capsule: [^\n]*: the address space is limited to 976 MiB, [^\n]*\(ulimit -v unlimited\)\n$/,
    );
    expect(exitCode).toBe(125);
  });
});
