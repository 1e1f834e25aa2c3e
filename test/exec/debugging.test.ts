// Whoever looks at the process, from within or by a debugger, sees the program and both sides' libraries by the names
// of their own files.

import { beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { expectBoth } from "../support/both.ts";
import { expectLines } from "../support/expect.ts";
import { glibc } from "../support/glibc.ts";
import { lines } from "../support/lines.ts";
import { isAttached, notYetInProcess } from "../support/mode.ts";
import { HOST, type Pair, pair, RUNTIME } from "../support/pair.ts";
import { capsule, capsuleCommand, type Outcome, run, start } from "../support/run.ts";

describe("the program sees", () => {
  let seen: Pair;
  let program: string;
  let runtime: string;
  let host: string;

  beforeAll(async () => {
    const library = (path: string, name: string) => ({
      path,
      sources: ["library.c"],
      flags: [`-DFUNCTION=${name}_look`, `-DWHO="${name}"`],
    });
    const [runtimeAt, hostAt] = [`${RUNTIME}/libruntime.so.1`, `${HOST}/libhost.so.1`];
    seen = await pair("debugging/a-program-sees-its-objects-as-natively", [
      library(runtimeAt, "runtime"),
      library(hostAt, "host"),
      { path: "program", sources: ["program.c"], needs: [runtimeAt, hostAt], flags: ["-rdynamic"] },
    ]);
    program = seen.program();
    runtime = join(seen.out, runtimeAt);
    host = join(seen.out, hostAt);
  });

  const address = (who: string, what: string, symbol: string, file: string) => [
    `${who}, ${what}: ${symbol} of ${file}`,
    `${who}, ${what}: at its start: yes`,
    `${who}, ${what}: link map "${file}"`,
    `${who}, ${what}: symbol of 1 bytes or more`,
  ];

  /**
   * glibc itself names the program "" in its link map, and puts argv[0] where it shows it. What it loads has its path
   * there.
   */
  async function expectBothButName(args: string[], expected: string[]): Promise<void> {
    const named = `link map "${program}"`;
    const natively = expected.map((line) => line.replace(named, 'link map ""'));
    expectLines(await seen.native(args), natively);
    expectLines(await seen.capsule(args), isAttached ? natively : expected);
  }

  const objects = (who: string) => [
    `${who}, the first object: ""`,
    ...[runtime, host].map((path) => `${who}, object: ${path}`),
  ];

  test("all objects by dl_iterate_phdr, and itself first", async () => {
    for (const outcome of [await seen.native(["objects"]), await seen.capsule(["objects"])])
      expect(lines(outcome.stdout)).toEqual(objects("program"));
  });

  test("by dladdr whose a function is", () =>
    expectBothButName(
      ["address"],
      [
        ...address("program", "its own function", "program_function", program),
        ...address("program", "the runtime's function", "runtime_look", runtime),
        ...address("program", "the host's function", "host_look", host),
        "program, nothing: nowhere",
      ],
    ));

  for (const who of ["runtime", "host"] as const)
    test(`the same as a library of the ${who}'s does`, async () => {
      const own = who === "runtime" ? runtime : host;
      const expected = [
        ...objects(who),
        ...address(who, "its own function", `${who}_look`, own),
        ...address(who, "the program's function", "program_function", program),
      ];
      await expectBothButName([who], expected);
    });

  test("itself and its libraries by dlinfo", () =>
    expectBothButName(
      ["handles"],
      [
        `itself: link map "${program}"`,
        "itself: namespace 0",
        `the runtime's library: origin ${seen.runtime}`,
        `the runtime's library: link map "${runtime}"`,
        "the runtime's library: namespace 0",
      ],
    ));

  test("where it is searched", async () => {
    const env = { LD_LIBRARY_PATH: `${seen.runtime}:${join(seen.out, HOST)}` };
    const model = await seen.native(["search path"], { env });
    expect(model.stdout).toStartWith(`searched: ${seen.runtime}\n`);
    const outcome = await seen.capsule(["search path"], { env });
    // The shims' directory in front, and the host tree behind.
    const ours = new RegExp(`^searched: (.*/capsule-\\w{6}/lib|${seen.host})\n`, "gm");
    expectLines(isAttached ? { ...outcome, stdout: outcome.stdout.replace(ours, "") } : outcome, lines(model.stdout));
  });

  // Not yet: Bun's is in front of it.
  notYetInProcess("itself as the first in the list of link maps", () =>
    expectBoth(seen, ["list"], ["the first in the list: this program"]),
  );

  // It leads to the list; Bun's is in front there.
  notYetInProcess("the debugger's list by its DT_DEBUG", () =>
    expectBoth(seen, ["debug"], ["DT_DEBUG: this program first"]),
  );

  test("its own path in a backtrace", () =>
    expectBoth(seen, ["backtrace"], [`frame 0: ${program}`, `frame 1: ${program}`]));
});

// Before glibc 2.35 (r_debug_extended) a debugger hears of the first namespace alone.

describe.skipIf(glibc < 35)("a debugger (takes glibc 2.35)", () => {
  let debugged: Pair;

  beforeAll(async () => {
    const [host, library] = [`${HOST}/libhost.so.1`, `${RUNTIME}/liblibrary.so.1`];
    const flags = ["-O0", "-g"];
    debugged = await pair("debugging/a-debugger-sees-both-sides", [
      { path: host, sources: ["host.c"], flags },
      { path: library, sources: ["library.c"], needs: [host], flags },
      { path: "program", sources: ["program.c"], needs: [library, host], flags },
    ]);
  });

  const gdb = (...commands: string[]) => [
    "gdb",
    "-nx",
    "-batch",
    "-iex",
    "set debuginfod enabled off",
    ...[
      "set pagination off",
      "set width 0",
      "set confirm off",
      "handle SIGPWR SIGSYS nostop noprint",
      ...commands,
    ].flatMap((command) => ["-ex", command]),
  ];

  /** Function and source of each frame that has one. */
  const frames = (text: string) =>
    [...text.matchAll(/^#\d+ .*?\b(\w+) \(.*\) at .*?\b((?:program|library|host)\.c):\d+$/gm)].map(
      ([, name, file]) => `${name} ${file}`,
    );

  const expected = ["wait_in_callback program.c", "host_call host.c", "library_call library.c", "main program.c"];

  /**
   * What gdb says of a program that waits in a callback, natively and in the capsule; and the program goes on
   * afterwards.
   */
  async function attached(...commands: string[]): Promise<[Outcome, Outcome]> {
    const paths = [`${join(debugged.out, HOST)}:${debugged.runtime}`, debugged.runtime];
    const said: Outcome[] = [];
    for (const [i, argv] of [
      [debugged.program()],
      capsuleCommand(debugged.flags(), debugged.program(), [], { LD_LIBRARY_PATH: debugged.runtime }),
    ].entries()) {
      await using program = start(argv, { env: { LD_LIBRARY_PATH: paths[i] ?? "" } });
      await program.line((line) => line === "ready");
      said.push(await run(gdb(`attach ${program.pid}`, ...commands, "detach"), { timeout: 60_000 }));
      process.kill(program.pid, "SIGUSR1");
      expect(await program.end()).toMatchObject({ stdout: "ready\n83 12\n", stderr: "", exitCode: 0 });
    }
    const [model, outcome] = said;
    if (!model || !outcome) throw new Error("there are two");
    return [model, outcome];
  }

  test("that attaches shows a backtrace through both sides", async () => {
    for (const { stdout } of await attached("backtrace")) expect(frames(stdout)).toEqual(expected);
  });

  test("that attaches shows what is in the frames and the data of both sides", async () => {
    const commands = ["print program_counter", "print host_counter", "frame function host_call", "print inner"];
    for (const { stdout } of await attached(...commands))
      expect(stdout.match(/^\$\d+ = .*$/gm)).toEqual(["$1 = 5", "$2 = 7", "$3 = 41"]);
  });

  test("that attaches lists the libraries of both sides", async () => {
    for (const { stdout } of await attached("info sharedlibrary"))
      for (const path of [join(debugged.out, HOST, "libhost.so.1"), join(debugged.runtime, "liblibrary.so.1")])
        expect(stdout).toMatch(new RegExp(`^0x\\w+ +0x\\w+ +Yes +${path}$`, "m"));
  });

  // Not yet: gdb does not look at the program again after it has got its own name.
  notYetInProcess("that starts the program stops in a function of a host library", async () => {
    const commands = ["set breakpoint pending on", "break host_breakpoint", "run", "backtrace", "continue"];
    const model = await run([...gdb(...commands), "--args", debugged.program(), "step"], {
      env: { LD_LIBRARY_PATH: `${join(debugged.out, HOST)}:${debugged.runtime}` },
      timeout: 60_000,
    });
    const outcome = await run(
      [...gdb(...commands), "--args", ...capsuleCommand(debugged.flags(), debugged.program(), ["step"])],
      { env: { LD_LIBRARY_PATH: debugged.runtime }, timeout: 60_000 },
    );
    for (const { stdout } of [model, outcome]) {
      expect(frames(stdout)).toEqual(["host_breakpoint host.c", "main program.c"]);
      expect(lines(stdout)).toContain("42");
      expect(stdout).toContain("exited normally");
    }
  });
});

describe("--trace request tells", () => {
  let traced: Pair;

  beforeAll(async () => {
    const plugin = (path: string, name: string) => ({
      path,
      sources: ["plugin.c"],
      flags: [`-DNAME=${name}`, '-DPLACE="somewhere"'],
    });
    const [host, library] = [`${HOST}/libhost.so.1`, `${RUNTIME}/liblibrary.so.1`];
    traced = await pair(
      "debugging/a-request-is-told-of-with-its-reason",
      [
        plugin(`${RUNTIME}/libplugin.so.1`, "plugin"),
        plugin(`${HOST}/liblate.so.1`, "late"),
        plugin(`${HOST}/libdependency.so.1`, "dependency"),
        { ...plugin(`${HOST}/libdriver.so.1`, "driver"), needs: [`${HOST}/libdependency.so.1`] },
        { path: host, sources: ["asker.c"], flags: ["-DFUNCTION=host_ask"] },
        { path: library, sources: ["asker.c"], flags: ["-DFUNCTION=library_ask"] },
        { path: "program", sources: ["program.c"], needs: [library, host] },
      ],
      ["libhost.so.1", "liblate.so.1"],
    );
  });

  /** What is told of one request. */
  async function told(who: string, name: string): Promise<string> {
    const env = { LD_LIBRARY_PATH: traced.runtime };
    const flags = ["--trace", "request", ...traced.flags()];
    const { stderr, stdout, exitCode } = await capsule(flags, traced.program(), [who, name], { env });
    expect(stdout).toBe("asked\n");
    expect(exitCode).toBe(0);
    for (const line of lines(stderr)) expect(line).toStartWith("capsule: request: ");
    return stderr;
  }

  const file = (path: string) => join(traced.out, path);

  test("what was asked for, by which process and thread", async () => {
    const text = await told("program", "libplugin.so.1");
    expect(text).toMatch(/dlopen "libplugin\.so\.1"/);
    expect(text).toMatch(/\d+, thread \d+\)/);
  });

  for (const [who, path] of [
    ["program", "program"],
    ["library", `${RUNTIME}/liblibrary.so.1`],
    ["host", `${HOST}/libhost.so.1`],
  ] as const)
    test(`which object has asked: ${who}`, async () => {
      expect(await told(who, "libm.so.6")).toContain(file(path));
    });

  test("where the host's library was found", async () => {
    expect(await told("host", "liblate.so.1")).toContain(file(`${HOST}/liblate.so.1`));
  });

  test("where the host's library was found, when it needs others", async () => {
    expect(await told("host", "libdriver.so.1")).toContain(file(`${HOST}/libdriver.so.1`));
  });

  test("where the host's library was looked for in vain", async () => {
    const text = await told("host", "libnowhere.so.1");
    expect(text).toContain(`not in ${traced.host}`);
    expect(text).toContain(`${file(HOST)}/libnowhere.so.1: no such file`);
  });

  for (const [who, name, why] of [
    ["program", "libplugin.so.1", "not isolated"],
    ["program", "liblate.so.1", "the shim of"],
    ["program", "libm.so.6", "left to glibc, as the whole process has one copy of it"],
    ["host", "libm.so.6", "both sides have one copy of it"],
  ] as const)
    test(`why ${name} was left alone, or not, for the ${who}`, async () => {
      expect(await told(who, name)).toContain(why);
    });
});
