// Signals are the program's: whoever runs it sees the one that it died of, its own handlers get the others, and
// threads that are not its own take none of them.

import { beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expectBoth } from "../support/both.ts";
import { HOST, hostAndProgram, type Pair, pair, RUNTIME } from "../support/pair.ts";
import { capsuleCommand, run, start } from "../support/run.ts";

let signals: Pair;

beforeAll(async () => {
  signals = await pair("process/a-program-handles-signals-as-it-likes", [
    { path: `${RUNTIME}/libplugin.so.1`, sources: ["plugin.c"] },
    { path: `${HOST}/libdriver.so.1`, sources: ["plugin.c"] },
    ...hostAndProgram(),
  ]);
});

describe("the program's own handler", () => {
  test("gets what happens in a host library, and may jump out of it", () => {
    const shown = (way: string, signal: string, code: number, address = "address 0") => [
      `${way}: caught ${signal}, code ${code}, at ${address}`,
      `${way}: the host goes on: 5`,
    ];
    return expectBoth(
      signals,
      ["faults"],
      [
        ...shown("segv", "Segmentation fault", 1),
        ...shown("fpe", "Floating point exception", 1, "another address"),
        ...shown("bus", "Bus error", 2, "another address"),
        ...shown("ill", "Illegal instruction", 2, "another address"),
        ...shown("abort", "Aborted", -6, "another address"),
        ...shown("call", "Segmentation fault", 1),
        ...shown("raise", "User defined signal 1", -6, "another address"),
        ...shown("segv", "Segmentation fault", 1),
      ],
    );
  });

  test("gets a stack overflow in a host library, on a stack of its own", () =>
    expectBoth(signals, ["overflow"], Array(3).fill("caught Segmentation fault on its own stack: yes")));

  test("may be set by a host library", async () => {
    for (const outcome of [await signals.native(["of the host"]), await signals.capsule(["of the host"])])
      expect(outcome).toMatchObject({
        stdout: "handler of the host's for Segmentation fault\n",
        stderr: "",
        exitCode: 4,
      });
  });

  test("may open libraries", () =>
    expectBoth(
      signals,
      ["open in a handler"],
      ["libraries opened in a handler: yes", "and on a stack of its own: yes"],
    ));
});

describe("the program finds", () => {
  test("every signal at its default, and what it has set itself", () =>
    expectBoth(signals, ["dispositions"], ["alternate stack: none"]));

  test("every signal that it blocks and waits for", () =>
    expectBoth(signals, ["blocked"], ["blocked and waited for: 17 of 17", "read from a signalfd: Terminated"]));

  test("also signals of faults, when somebody sends them", () =>
    expectBoth(signals, ["blocked faults"], ["blocked and waited for: 7 of 7", "read from a signalfd: Terminated"]));

  test("every signal handled by its own threads", () =>
    expectBoth(signals, ["receiver"], ["handled at once, by the only thread: 1000"]));

  test("signals to its threads", () =>
    expectBoth(
      signals,
      ["threads"],
      [
        "waited for in a thread: User defined signal 2",
        "sent to a thread, handled by it: yes",
        "queued with a value: 77",
      ],
    ));

  test("its timers", () =>
    expectBoth(
      signals,
      ["timers"],
      [
        ...[0, 1, 2].map((which) => `timer ${which}: expired once, in the only thread: yes`),
        "pause: interrupted by the alarm",
        "timer_create with a signal: expired",
        "timer_create with a thread: expired",
      ],
    ));

  test("libraries between one signal and the next", () =>
    expectBoth(signals, ["interrupted"], ["libraries opened between signals: 400"]));
});

describe("whoever runs the program sees that it died of", () => {
  for (const [how, signal] of [
    ["segv", "SIGSEGV"],
    ["fpe", "SIGFPE"],
    ["bus", "SIGBUS"],
    ["ill", "SIGILL"],
    ["abort", "SIGABRT"],
    ["call", "SIGSEGV"],
    ["overflow", "SIGSEGV"],
    ["term", "SIGTERM"],
    ["raise", "SIGUSR1"],
  ] as const)
    test(`${signal} in a host library (${how})`, async () => {
      const model = await signals.native(["die", how]);
      expect(model).toMatchObject({ stdout: "before\n", signal, exitCode: null });
      expect(await signals.capsule(["die", how])).toMatchObject({ stdout: "before\n", signal, exitCode: null });
    });

  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGALRM"] as const)
    test(`${signal} from somebody else`, async () => {
      await using program = start(capsuleCommand(signals.flags(), signals.program(), ["wait"]), {
        env: { LD_LIBRARY_PATH: signals.runtime },
      });
      await program.line((line) => line === "ready");
      process.kill(program.pid, signal);
      expect(await program.end()).toMatchObject({ stdout: "ready\n", stderr: "", signal, exitCode: null });
    });
});

describe("nothing is left in TMPDIR by a program that dies of", () => {
  for (const signal of ["SIGTERM", "SIGHUP", "SIGPIPE", "SIGSEGV"] as const)
    test(signal, async () => {
      const TMPDIR = mkdtempSync(join(tmpdir(), "capsule-test-"));
      await using program = start(capsuleCommand(signals.flags(), signals.program(), ["wait"]), {
        env: { LD_LIBRARY_PATH: signals.runtime, TMPDIR },
      });
      await program.line((line) => line === "ready");
      process.kill(program.pid, signal);
      expect(await program.end()).toMatchObject({ stdout: "ready\n", stderr: "", signal, exitCode: null });
      // Attached, its server removes it.
      for (let i = 0; i < 300 && readdirSync(TMPDIR).length > 0; i++) await Bun.sleep(10);
      expect(readdirSync(TMPDIR)).toEqual([]);
      rmSync(TMPDIR, { recursive: true });
    });
});

test("a core is left where the limit allows one", async () => {
  const cores: string[][] = [];
  for (const argv of [
    [signals.program(), "die", "segv"],
    capsuleCommand(signals.flags(), signals.program(), ["die", "segv"]),
  ]) {
    const cwd = mkdtempSync(join(tmpdir(), "capsule-test-"));
    const env = { LD_LIBRARY_PATH: argv.length === 3 ? join(signals.out, HOST) : signals.runtime };
    const { signal } = await run(["sh", "-c", 'ulimit -c unlimited; exec "$@"', "sh", ...argv], { cwd, env });
    expect(signal).toBe("SIGSEGV");
    cores.push(readdirSync(cwd).map((name) => name.replace(/\d+/, "N")));
    rmSync(cwd, { recursive: true });
  }
  expect(cores[1]).toEqual(cores[0]);
});

describe("a death inside the capsule is told of in one line:", () => {
  const told = (signal: string, where: string) =>
    `capsule: ${signal} ${where} of libhost.so.1 ("${join(signals.out, HOST, "libhost.so.1")}"), host tree ${signals.host}\n`;
  const withoutOffset = (text: string) => text.replace(/\b0x[0-9a-f]{2,}/, "N");

  for (const [how, signal, where] of [
    ["segv", "SIGSEGV", "in host_fault+N"],
    ["bus", "SIGBUS", "in host_fault+N"],
    ["fpe", "SIGFPE", "in host_fault+N"],
    ["ill", "SIGILL", "in host_fault+N"],
    ["abort", "SIGABRT", "in libc, called by host_fault+N"],
    ["libc", "SIGSEGV", "in libc, called by host_fault+N"],
    ["call", "SIGSEGV", "at 0x0, where nothing is, called by host_fault+N"],
    ["static", "SIGSEGV", "in N"],
  ] as const)
    test(`by ${signal} (${how})`, async () => {
      const outcome = await signals.capsule(["die", how]);
      expect(outcome).toMatchObject({ stdout: "before\n", signal, exitCode: null });
      expect(withoutOffset(outcome.stderr)).toBe(told(signal, where));
    });

  test("in a thread", async () => {
    const outcome = await signals.capsule(["die in a thread", "segv"]);
    expect(outcome).toMatchObject({ signal: "SIGSEGV", exitCode: null });
    expect(withoutOffset(outcome.stderr)).toBe(told("SIGSEGV", "in host_fault+N"));
  });

  test("in a forked child", async () => {
    const outcome = await signals.capsule(["die in a child", "segv"]);
    expect(outcome).toMatchObject({ stdout: "the child: Segmentation fault\n", exitCode: 0 });
    expect(withoutOffset(outcome.stderr)).toBe(told("SIGSEGV", "in host_fault+N"));
  });

  test("but not one that somebody else has sent", async () => {
    const outcome = await signals.capsule(["die", "term"]);
    expect(outcome).toMatchObject({ stderr: "", signal: "SIGTERM" });
  });
});
