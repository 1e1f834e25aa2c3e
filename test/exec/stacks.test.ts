// Frames of both sides lie on one stack, and whoever leaves them, or brings a stack of another kind, need not know.

import { beforeAll, describe, expect, test } from "bun:test";
import { expectBoth } from "../support/both.ts";
import type { Output } from "../support/fixtures.ts";
import { notYetInProcess } from "../support/mode.ts";
import { HOST, hostAndProgram, type Pair, pair, RUNTIME } from "../support/pair.ts";
import { capsuleCommand, run } from "../support/run.ts";

describe("frames of both sides are left", () => {
  let ending: Pair;

  beforeAll(async () => {
    const host = `${HOST}/libhost.so.1`;
    ending = await pair("process/threads-end-across-the-border", [
      { path: `${HOST}/libstdc++.so.6`, copyOf: "libstdc++.so.6" },
      { path: host, sources: ["host.cc"] },
      { path: "program", sources: ["program.c"], needs: [host], flags: ["-fexceptions"] },
      {
        path: "fortified",
        sources: ["program.c"],
        needs: [host],
        flags: ["-fexceptions", "-O2", "-D_FORTIFY_SOURCE=2"],
      },
    ]);
  });

  const jumped = [
    ...Array(3).fill("jumped over a frame of the host: 3"),
    "jumped over many: 3",
    "the host jumped over the program's: 3",
  ];

  test("by longjmp", () => expectBoth(ending, ["longjmp"], jumped));

  test("by longjmp that a compiler has fortified", () => expectBoth(ending, ["longjmp"], jumped, {}, "fortified"));

  test("by pthread_exit in the program's callback", () =>
    expectBoth(
      ending,
      ["pthread_exit in a callback"],
      [
        "the host's in this thread: thread-local",
        "the host's cleanup handler: around the call",
        "the host's destructor: around the call",
        "the program's cleanup handler: of the thread",
        "the host's destructor: thread-local",
        "the thread: left in a callback",
      ],
    ));

  test("by pthread_exit in a host library", () =>
    expectBoth(
      ending,
      ["pthread_exit in a host library"],
      [
        "the host's destructor: of who ends the thread",
        "the program's cleanup handler: of the thread",
        "the thread: left in the host",
      ],
    ));

  test("by pthread_cancel", () =>
    expectBoth(
      ending,
      ["pthread_cancel"],
      [
        "the host's destructor: of who waits",
        "the host's cleanup handler: around the call",
        "the host's destructor: around the call",
        "the program's cleanup handler: of the thread",
        "the thread: cancelled",
      ],
    ));

  test("by an asynchronous pthread_cancel", () =>
    expectBoth(
      ending,
      ["asynchronous pthread_cancel"],
      ["the program's cleanup handler: of the thread", "the thread: cancelled"],
    ));

  test("by a pthread_cancel that waits while a library is opened", () =>
    expectBoth(
      ending,
      ["pthread_cancel before dlopen"],
      ["dlopen while a cancellation waits: opened", "the thread: cancelled"],
    ));

  test("by pthread_exit in main, while a thread goes on", () =>
    expectBoth(
      ending,
      ["pthread_exit in main"],
      ["main ended: yes", "the last thread calls the host", "and opens a library: yes", "exit handler"],
    ));

  test("by pthread_exit in main, the only thread", () =>
    expectBoth(
      ending,
      ["pthread_exit in main alone"],
      ["the host's destructor: of who ends the thread", "exit handler"],
    ));
});

describe("libraries can be opened", () => {
  let stacks: Pair;

  beforeAll(async () => {
    const plugin = (path: string, number: number): Output => ({
      path,
      sources: ["plugin.c"],
      flags: [`-DNUMBER=${number}`],
    });
    stacks = await pair(
      "process/any-stack-will-do",
      [
        plugin(`${RUNTIME}/libplugin.so.1`, 1),
        plugin(`${HOST}/liblate.so.1`, 2),
        plugin(`${HOST}/libdriver.so.1`, 3),
        ...hostAndProgram(),
      ],
      ["libhost.so.1", "liblate.so.1"],
    );
  });

  // Bun's thread-local variables, 22 KB, lie on the stack of every thread.
  for (const size of [16, 64])
    test(`in a thread that has asked for ${size} KiB of stack`, () =>
      expectBoth(stacks, ["allocated", `${size << 10}`], ["on a small stack: 1 2 3"]));

  for (const size of [16, 32, 64])
    (size === 16 ? notYetInProcess : test)(`in a thread that has ${size} KiB of stack`, () =>
      expectBoth(stacks, ["threads", `${size << 10}`], ["on a stack of its own: 1 2 3"]),
    );

  test("in a context of its own, between whose switches the host is", () =>
    expectBoth(
      stacks,
      ["contexts", `${64 << 10}`],
      ["in a context of its own: 1 2 3", "back in the first", "in it again: 1 2 3"],
    ));

  test("at the bottom of a stack that has been used up", () =>
    expectBoth(stacks, ["deep"], ["recursion across the border: 5000", "at the bottom of the stack: 1 2 3"]));

  test("at the bottom of a stack whose limit the program has raised", () =>
    expectBoth(stacks, ["deeper"], ["at the bottom of the stack: 1 2 3"]));

  for (const [words, command] of [
    ["as the limit says", ":"],
    ["as a lower limit says", "ulimit -S -s 2048"],
    ["as no limit says", "ulimit -S -s unlimited"],
  ] as const)
    test(`stacks have the size that they have natively, ${words}`, async () => {
      const shell = ["sh", "-c", `${command}; exec "$@"`, "sh"];
      const LD_LIBRARY_PATH = `${stacks.out}/${HOST}`;
      const model = await run([...shell, stacks.program(), "sizes"], { env: { LD_LIBRARY_PATH } });
      const outcome = await run([...shell, ...capsuleCommand(stacks.flags(), stacks.program(), ["sizes"])]);
      expect(model).toMatchObject({ stderr: "", exitCode: 0 });
      expect(outcome).toMatchObject({ stderr: "", exitCode: 0, stdout: model.stdout });
    });
});

describe("handlers of both sides run in order at the end", () => {
  let ending: Pair;

  beforeAll(async () => {
    const [runtime, host] = [`${RUNTIME}/libruntime.so.1`, `${HOST}/libhost.so.1`];
    const library = (path: string, name: string): Output => ({
      path,
      sources: ["library.c"],
      flags: [`-DWHO="${name}"`, `-DREGISTER=${name}_register`, `-DEND=${name}_end`],
    });
    ending = await pair("process/quick-exit-handlers-of-both-sides-run-in-order", [
      library(runtime, "runtime"),
      library(host, "host"),
      { path: "program", sources: ["program.c"], needs: [runtime, host] },
    ]);
  });

  const quick = ["host", "program", "runtime"].map((who) => `${who}: quick_exit handler 0`);
  const orderly = (code: number) => [
    `host: on_exit handler ${code + 100}`,
    `program: on_exit handler ${code + 200}`,
    `runtime: on_exit handler ${code + 100}`,
    "runtime: destructor 0",
    "host: destructor 0",
    "in the buffer",
  ];
  for (const [way, code, expected] of [
    ["quick_exit", 5, quick],
    ["quick_exit of the host", 6, quick],
    ["exit of the host", 7, orderly(7)],
    ["_exit of the host", 8, []],
    ["exit in a callback of a thread", 9, orderly(9)],
    ["exit in a signal handler", 10, orderly(10)],
  ] as const)
    test(way, async () => {
      for (const { stdout, stderr, exitCode } of [await ending.native([way]), await ending.capsule([way])]) {
        expect(stderr).toBe("");
        expect(stdout.split("\n").filter((line) => line !== "")).toEqual([...expected]);
        expect(exitCode).toBe(code);
      }
    });
});
