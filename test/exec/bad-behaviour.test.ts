// What goes wrong beside the program: it goes on where it can, and somebody says why where it cannot.

import { beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expectSame } from "../support/expect.ts";
import type { Output } from "../support/fixtures.ts";
import { lines } from "../support/lines.ts";
import { inProcessOnly, isAttached, leftIn } from "../support/mode.ts";
import { HOST, hostAndProgram, type Pair, pair, RUNTIME } from "../support/pair.ts";
import { capsuleCommand, type Outcome, type Running, run, start } from "../support/run.ts";
import { FAILED } from "../support/workshop.ts";

const isRoot = process.getuid?.() === 0;

let survivor: Pair;

beforeAll(async () => {
  const plugin = (path: string, name: string, place: string): Output => ({
    path,
    sources: ["plugin.c"],
    flags: [`-DNAME=${name}`, `-DPLACE="of the ${place}"`],
  });
  survivor = await pair(
    "bad-behaviour/what-goes-wrong-is-survived",
    [
      plugin(`${RUNTIME}/libplugin.so.1`, "plugin", "runtime"),
      plugin(`${HOST}/liblate.so.1`, "late", "host"),
      plugin(`${HOST}/libdriver.so.1`, "driver", "host"),
      { path: "tamper", sources: ["tamper.c"] },
      ...hostAndProgram(),
    ],
    ["libhost.so.1", "liblate.so.1"],
  );
});

const survivorCommand = () =>
  capsuleCommand(survivor.flags(), survivor.program(), [], { LD_LIBRARY_PATH: survivor.runtime });

const answered = (who: string) => [
  `${who}, the host's plug-in: of the host`,
  `${who}, an isolated library: of the host`,
  `${who}, the runtime's plug-in: of the runtime`,
];
const survived = ["ready", "asking", ...answered("main"), ...answered("thread"), "goes on"];

/** Has a command read from a pipe of that name in a directory, into which the test writes. */
const waiting = (pipe: string, argv: string[]) => [
  ...["sh", "-c", `mkfifo "${pipe}" && exec "$@" <>"${pipe}"`, "sh"],
  ...argv,
];

/** Runs the program, does something to it before it asks, and something else while it does. */
async function disturbed(
  before: (pid: number, directory: string) => Promise<void>,
  meanwhile: (program: Running, directory: string) => Promise<void> = async () => {},
): Promise<Omit<Outcome, "duration">> {
  const directory = mkdtempSync(join(tmpdir(), "capsule-test-"));
  mkdirSync(join(directory, "tmp"));
  const env = { LD_LIBRARY_PATH: survivor.runtime, TMPDIR: join(directory, "tmp") };
  try {
    const command = survivorCommand();
    await using program = start(waiting(join(directory, "program"), command), { env });
    await program.line((line) => line === "ready");
    await before(program.pid, directory);
    writeFileSync(join(directory, "program"), "go\n");
    await meanwhile(program, directory);
    return await program.end();
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const isLate = (line: string) => line.includes("an isolated library");

function expectSurvival(outcome: Omit<Outcome, "duration">): void {
  expect(outcome.stderr).toBe("");
  expect(lines(outcome.stdout)).toEqual(survived);
  expect(outcome).toMatchObject({ signal: null, exitCode: 0 });
}

describe("when the thread that answers", () => {
  const tamper = (pid: number, how: string, directory: string) =>
    start(waiting(join(directory, "tamper"), [survivor.program("tamper"), `${pid}`, "Worker", how]));

  const inThread = inProcessOnly("a process of its own answers attached programs");

  inThread("is gone, who asks is told so, and goes on", async () => {
    const outcome = await disturbed(async (pid, directory) => {
      await using helper = tamper(pid, "end", directory);
      await helper.line((line) => line === "done");
    });
    expect(outcome).toMatchObject({ signal: null, exitCode: 0 });
    const shown = lines(outcome.stdout);
    expect(shown.at(-1)).toBe("goes on");
    for (const line of shown.slice(2, -1)) expect(line).toContain("capsule does not answer");
  });

  inThread("is slow, who asks waits for it", async () => {
    let helper: Running | undefined;
    const outcome = await disturbed(
      async (pid, directory) => {
        helper = tamper(pid, "hold", directory);
        await helper.line((line) => line === "done");
      },
      async (program, directory) => {
        await program.line((line) => line === "asking");
        writeFileSync(join(directory, "tamper"), "let go\n");
      },
    );
    await helper?.[Symbol.asyncDispose]();
    expectSurvival(outcome);
  });
});

describe("when the private directory", () => {
  const own = (directory: string) => readdirSync(join(directory, "tmp")).map((name) => join(directory, "tmp", name));

  const end = isAttached ? "whoever opens libraries is told, and goes on" : "libraries can still be opened";
  test(`is gone, ${end}`, async () => {
    const outcome = await disturbed(async (_, directory) => {
      expect(own(directory)).toHaveLength(1);
      for (const path of own(directory)) rmSync(path, { recursive: true });
    });
    if (!isAttached) {
      expectSurvival(outcome);
      return;
    }
    // With it goes the way to the server, which is opened for each request, and the shims on the library path.
    const refused = ": /capsule does not answer: cannot open shared object file: No such file or directory";
    const expected = survived.map((line) => line.replace(/: of the (host|runtime)$/, refused));
    expect(lines(outcome.stdout).filter((line) => !isLate(line))).toEqual(expected.filter((line) => !isLate(line)));
    expect(outcome).toMatchObject({ signal: null, exitCode: 0 });
    expect(outcome.stderr).toMatch(/^capsule: isolated libraries cannot be linked: the server at "[^"\n]+" is .*\n$/);
  });

  const inWay = inProcessOnly("ld.so stops at what is no directory, and it is on the library path");
  inWay("cannot be written any more, libraries can still be opened", async () => {
    const outcome = await disturbed(async (_, directory) => {
      // a directory in the way of every file that could be made there
      for (const path of own(directory)) {
        rmSync(path, { recursive: true });
        writeFileSync(path, "no directory");
      }
    });
    expectSurvival(outcome);
  });

  /** Runs a command with a small file system as TMPDIR, which others do not see. */
  const inSmall = (size: string, place: string, argv: string[]) => [
    ...["unshare", "--mount", "sh", "-c", `mount -t tmpfs -o size=${size} none "${place}" && exec "$@"`, "sh"],
    ...argv,
  ];

  for (const size of ["4k", "64k"])
    test.skipIf(!isRoot)(
      `does not fit into ${size}, nothing is run, and the message names TMPDIR (takes root)`,
      async () => {
        const TMPDIR = mkdtempSync(join(tmpdir(), "capsule-test-"));
        const env = { LD_LIBRARY_PATH: survivor.runtime, TMPDIR };
        const command = survivorCommand();
        const outcome = await run(inSmall(size, TMPDIR, command), { env });
        rmSync(TMPDIR, { recursive: true });
        expect(outcome).toMatchObject({ stdout: "", signal: null, exitCode: FAILED });
        expect(outcome.stderr).toMatch(/^capsule: \S.*disk is full.*\n$/);
        expect(outcome.stderr).toContain(TMPDIR);
        expect(outcome.stderr).toContain("TMPDIR");
      },
    );

  for (const limit of [0, 100_000])
    test(`may have no file of more than ${limit} bytes, nothing is run, and no signal ends it`, async () => {
      const argv = ["prlimit", `--fsize=${limit}`, "--core=0", ...survivorCommand()];
      const outcome = await run(argv, { env: { LD_LIBRARY_PATH: survivor.runtime } });
      expect(outcome).toMatchObject({ stdout: "", signal: null, exitCode: FAILED });
      expect(outcome.stderr).toMatch(/^capsule: Cannot write to "[^"\n]+": [^\n]*\(ulimit -f\)\n$/);
    });

  test("is full, what can be opened is opened, and somebody says why the rest cannot (takes root)", async () => {
    const directory = mkdtempSync(join(tmpdir(), "capsule-test-"));
    const pipe = join(directory, "program");
    const TMPDIR = join(directory, "tmp");
    mkdirSync(TMPDIR);
    const command = survivorCommand();
    const argv = inSmall("8m", TMPDIR, waiting(pipe, command));
    await using program = start(argv, { env: { LD_LIBRARY_PATH: survivor.runtime, TMPDIR } });
    await program.line((line) => line === "ready");
    const fill = ["nsenter", "-t", `${program.pid}`, "-m", "-r", "dd", "if=/dev/zero", `of=${TMPDIR}/filler`];
    expect((await run(fill)).stderr).toContain("No space left on device");
    writeFileSync(pipe, "go\n");
    const outcome = await program.end();
    rmSync(directory, { recursive: true });
    expect(lines(outcome.stdout).filter((line) => !isLate(line))).toEqual(survived.filter((line) => !isLate(line)));
    expect(outcome).toMatchObject({ signal: null, exitCode: 0 });
    expect(outcome.stderr).toMatch(/^capsule: Cannot .*disk is full.*TMPDIR/);
    for (const line of lines(outcome.stderr)) expect(line).toStartWith("capsule: ");
  });

  test("cannot be made, nothing is run, and the message names TMPDIR", async () => {
    const argv = survivorCommand();
    const outcome = await run(argv, { env: { LD_LIBRARY_PATH: survivor.runtime, TMPDIR: "/nowhere/at/all" } });
    expect(outcome).toMatchObject({ stdout: "", signal: null, exitCode: FAILED });
    expect(outcome.stderr).toMatch(/^capsule: \S.*\n$/);
    expect(outcome.stderr).toContain("/nowhere/at/all");
    expect(outcome.stderr).toContain("TMPDIR");
  });
});

describe("a constructor that fails, fails as natively:", () => {
  let failing: Pair;

  beforeAll(async () => {
    const library = (path: string, name: string): Output => ({
      path,
      sources: ["library.cc"],
      flags: [`-DFUNCTION=${name}`, `-DFUNCTION_start=${name}_start`, `-DWHO="${name}"`],
    });
    failing = await pair(
      "bad-behaviour/a-constructor-that-fails-fails-as-natively",
      [
        { path: `${HOST}/libstdc++.so.6`, copyOf: "libstdc++.so.6" },
        library(`${HOST}/libhost.so.1`, "host"),
        library(`${HOST}/liblate.so.1`, "late"),
        library(`${RUNTIME}/libplugin.so.1`, "plugin"),
        { path: "program", sources: ["program.cc"], needs: [`${HOST}/libhost.so.1`] },
      ],
      ["libhost.so.1", "liblate.so.1"],
    );
  });

  /** What is told of a death on standard error, which is capsule's own. */
  const untold = (outcome: Outcome): Outcome => ({
    ...outcome,
    stderr: outcome.stderr.replace(/^capsule: SIG\w+ in .*\n/m, ""),
  });

  for (const [who, words, args] of [
    ["host", "of what the program needs", []],
    ["late", "of an isolated library that it opens", ["liblate.so.1"]],
    ["plugin", "of a library of the runtime", ["libplugin.so.1"]],
  ] as const)
    for (const [how, end] of [
      ["crash", { signal: "SIGSEGV" }],
      ["abort", { signal: "SIGABRT" }],
      ["exit", { exitCode: 3 }],
      ["_exit", { exitCode: 4 }],
      // glibc's own frames are in between, which nobody unwinds
      ["throw", { signal: "SIGABRT" }],
    ] as const)
      test(`${words} (${how})`, async () => {
        const TMPDIR = mkdtempSync(join(tmpdir(), "capsule-test-"));
        const env = { [`${who}_constructor`]: how };
        const model = await failing.native([...args], { env });
        const outcome = await failing.capsule([...args], { env: { ...env, TMPDIR } });
        expect(model).toMatchObject(end);
        expect(model.stdout).toContain(`the constructor of ${who}: ${how}\n`);
        expectSame(untold(outcome), model);
        if (isAttached || (model.signal === null && how !== "_exit")) expect(await leftIn(TMPDIR)).toEqual([]);
        rmSync(TMPDIR, { recursive: true });
      });
});
