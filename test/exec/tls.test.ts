// Thread-local data of host libraries: in all models, for all threads, and as much as they need.

import { beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ElfBytes } from "../support/elf-bytes.ts";
import { expectLines, expectSame } from "../support/expect.ts";
import { lines } from "../support/lines.ts";
import { inProcessOnly, isAttached, leftIn, notYetAttached } from "../support/mode.ts";
import { HOST, type Pair, pair, RUNTIME } from "../support/pair.ts";
import { capsule, capsuleCommand, native } from "../support/run.ts";
import { ServingPlace } from "../support/serving.ts";

describe("a host library has its own data in every thread", () => {
  for (const [words, flags, others] of [
    ["initial-exec", ["-ftls-model=initial-exec"]],
    ["general-dynamic", ["-ftls-model=global-dynamic"]],
    // A model for a library's own data only.
    ["local-dynamic", ["-ftls-model=local-dynamic"], []],
    ["descriptors", ["-mtls-dialect=gnu2"]],
  ] as [string, string[], string[]?][]) {
    test(`by ${words}`, async () => {
      const dependency = `${HOST}/libdependency.so.1`;
      const user = `${HOST}/libuser.so.1`;
      const host = `${HOST}/libhost.so.1`;
      const models = await pair(
        "tls/every-tls-model-works-in-a-host-library",
        [
          { path: dependency, sources: ["dependency.c"], flags },
          { path: user, sources: ["user.c"], needs: [dependency], flags: others ?? flags },
          { path: host, sources: ["host.c"], needs: [dependency], flags },
          { path: "program", sources: ["program.c"], needs: [host, user] },
        ],
        ["libhost.so.1", "libuser.so.1"],
      );
      const shown = (who: string, first: number, second: number, level: number) =>
        `${who}: counts ${first} ${second}, level ${level}, aligned: yes, one level: yes`;
      const thread = [shown("thread", 49, 51, 6), "thread: an address of its own: yes"];
      const expected = [
        shown("constructor", 49, 51, 6),
        shown("main", 53, 55, 7),
        ...thread,
        ...thread,
        shown("main", 57, 59, 8),
      ];
      expectLines(await models.native(), expected);
      expectLines(await models.capsule(), expected);
    });
  }
});

describe("a thread-local variable that an isolated library exports is one for both sides", () => {
  const host = `${HOST}/libhost.so.1`;
  const library = (name: string, flags: string[]) => ({
    path: `${RUNTIME}/lib${name}.so.1`,
    sources: ["library.c"],
    needs: [host],
    flags: [`-DNAME=${name}`, ...flags],
  });
  const general = library("general", []);
  const descriptor = library("descriptor", ["-mtls-dialect=gnu2"]);
  const initial = library("initial", ["-ftls-model=initial-exec"]);
  const shown = (names: string[], who: string, values: string) => [
    ...names.map((name) => `${who}: one variable for the host and the ${name}: yes`),
    `${who}: by dlsym: yes`,
    `${who}: values ${values}`,
  ];
  const all = (names: string[]) => [
    ...shown(names, "constructor", "2 21 1"),
    ...shown(names, "main", "3 22 2"),
    ...shown(names, "thread", "2 3 1"),
  ];
  const FIXTURE = "tls/an-exported-thread-local-variable-is-one-for-both-sides";

  for (const [words, flags] of [
    ["general-dynamic", []],
    ["initial-exec", ["-ftls-model=initial-exec"]],
    ["descriptors", ["-mtls-dialect=gnu2"]],
  ] as [string, string[]][]) {
    notYetAttached(`and the program uses it itself; the library reaches it by ${words}`, async () => {
      const exported = await pair(FIXTURE, [
        { path: host, sources: ["host.c"], flags },
        general,
        descriptor,
        initial,
        {
          path: "program",
          sources: ["program.c"],
          needs: [host, general.path, descriptor.path, initial.path],
          flags: ["-DPROGRAM_USES"],
        },
      ]);
      const expected = all(["program", "initial", "general", "descriptor"]);
      expectLines(await exported.native(), expected);
      expectLines(await exported.capsule(), expected);
    });

    notYetAttached(`and nobody but the program uses it; the library reaches it by ${words}`, async () => {
      const exported = await pair(FIXTURE, [
        { path: host, sources: ["host.c"], flags },
        { path: "program", sources: ["program.c"], needs: [host], flags: ["-DPROGRAM_USES", "-DALONE"] },
      ]);
      const expected = all(["program"]);
      expectLines(await exported.native(), expected);
      expectLines(await exported.capsule(), expected);
    });

    notYetAttached(`and only runtime libraries use it, dynamically; the library reaches it by ${words}`, async () => {
      const exported = await pair(FIXTURE, [
        { path: host, sources: ["host.c"], flags },
        general,
        descriptor,
        { path: "program", sources: ["program.c"], needs: [host, general.path, descriptor.path] },
      ]);
      const expected = all(["general", "descriptor"]);
      expectLines(await exported.native(), expected);
      expectLines(await exported.capsule(), expected);
    });
  }
});

for (const [words, flags] of [
  ["general-dynamic", []],
  ["initial-exec", ["-ftls-model=initial-exec"]],
  ["descriptors", ["-mtls-dialect=gnu2"]],
] as [string, string[]][]) {
  test(`a library opened later has its data in threads from before and after, by ${words}`, async () => {
    const host = `${HOST}/libhost.so.1`;
    const later = await pair(
      "tls/a-library-opened-later-has-its-data-in-every-thread",
      [
        { path: host, sources: ["host.c"], flags },
        { path: `${HOST}/libplugin.so.1`, sources: ["plugin.c"], flags },
        { path: `${HOST}/liblater.so.1`, sources: ["later.c"], flags },
        { path: "program", sources: ["program.c"], needs: [host] },
      ],
      ["libhost.so.1", "liblater.so.1"],
    );
    const args = ["libplugin.so.1", "liblater.so.1"];
    const sum = (start: number) => 10 * start + start + 3 + 4;
    const expected = [
      "opened: plug-in library",
      `threads from before: ${3 * sum(601)}`,
      `threads from after: ${3 * sum(600)}`,
      `main: ${sum(600)}`,
    ];
    expectLines(await later.native(args), expected);
    expectLines(await later.capsule(args), expected);
  });
}

test("a library opened later that wants more static TLS than is left is refused as natively", async () => {
  const host = `${HOST}/libhost.so.1`;
  const large = ["-ftls-model=initial-exec", "-DSIZE=100000"];
  const later = await pair("tls/a-plug-in-may-want-too-much-static-tls", [
    { path: host, sources: ["host.c"] },
    { path: `${HOST}/libsmall.so.1`, sources: ["plugin.c"], flags: ["-ftls-model=initial-exec", "-DSIZE=1000"] },
    { path: `${HOST}/liblarge.so.1`, sources: ["plugin.c"], flags: large },
    { path: "program", sources: ["program.c"], needs: [host] },
  ]);
  const file = join(later.out, HOST, "liblarge.so.1");
  const expected = ["libsmall.so.1: 7", `liblarge.so.1: ${file}: cannot allocate memory in static TLS block`];
  expectLines(await later.native(), expected);
  expectLines(await later.capsule(), expected);
});

test("thread-local destructors run on both sides, in the order that they have natively", async () => {
  const host = `${HOST}/libhost.so.1`;
  const runtime = `${RUNTIME}/libruntime.so.1`;
  const destructors = await pair("tls/thread-local-destructors-run-on-both-sides", [
    { path: `${HOST}/libstdc++.so.6`, copyOf: "libstdc++.so.6" },
    { path: host, sources: ["host.cc"] },
    { path: runtime, sources: ["library.cc"] },
    { path: "program", sources: ["program.cc"], needs: [host, runtime] },
  ]);
  const hosts = (who: string) => [
    `host: thread_local in a function of ${who} destroyed`,
    `host: thread_local of ${who} destroyed`,
  ];
  const expected = [
    "runtime: thread_local of a thread that returns destroyed",
    ...hosts("a thread that returns"),
    "host: key's value a thread that returns destroyed",
    ...hosts("a thread that calls pthread_exit"),
    "runtime: thread_local of a thread that calls pthread_exit destroyed",
    "host: key's value a thread that calls pthread_exit destroyed",
    "runtime: thread_local of main destroyed",
    ...hosts("main"),
    "exit handler",
  ];
  expectLines(await destructors.native(), expected);
  expectLines(await destructors.capsule(), expected);
});

describe("more static TLS than glibc sets aside", () => {
  const FIXTURE = "tls/more-static-tls-than-glibc-sets-aside";
  const host = `${HOST}/libhost.so.1`;
  const runtime = `${RUNTIME}/libruntime.so.1`;
  const sized = (hosts: number, runtimes: number, flags: string[] = []) =>
    pair(FIXTURE, [
      { path: host, sources: ["library.c"], flags: ["-DSIDE=host", `-DSIZE=${hosts}`, ...flags] },
      { path: runtime, sources: ["library.c"], flags: ["-DSIDE=runtime", `-DSIZE=${runtimes}`] },
      { path: "program", sources: ["program.c"], needs: [host, runtime] },
    ]);
  const constructors = ["host: constructor", "runtime: constructor"];
  const facts = [
    // A process of its own has them in the native order.
    ...(isAttached ? constructors.toReversed() : constructors),
    "main: host fresh, runtime fresh",
    "main, again: host whole, runtime whole",
    "thread: host fresh, runtime fresh",
    "thread, again: host whole, runtime whole",
    "main, after the thread: host whole, runtime whole",
    "main, after the thread, again: host whole, runtime whole",
  ];
  const given = ["a", "", "two words", "\u017c\u00f3\u0142\u0107"];
  const stdin = "first\nsecond\n";
  const shown = [...given.map((text) => `argument: ${text}`), "input: first", "input: second"];
  const onceMore = inProcessOnly("an attached program is not started over");
  const overs = (stderr: string) => stderr.split("\n").filter((line) => line.endsWith("starting over")).length;

  /** What it has shown, but for what differs: the order of constructors, and where its libraries are. */
  const comparable = (text: string) =>
    lines(text).filter(
      (line) => !line.endsWith(": constructor") && !/^environment: LD_(AUDIT|LIBRARY_PATH)=/.test(line),
    );

  /** The ld.so of a process with an auditor reads how much to set aside where whoever looks can see it. */
  const withoutOurTunable = (text: string) =>
    text
      .replace(/^environment: LD_AUDIT=.*\n/m, "")
      .replace(/:?glibc\.rtld\.optional_static_tls=\d{4,5}$/gm, "")
      .replace(/^environment: GLIBC_TUNABLES=\n(kernel: GLIBC_TUNABLES\n)?child: GLIBC_TUNABLES=\n/m, "");

  for (const [words, env] of [
    ["nothing in GLIBC_TUNABLES", {}],
    ["settings of one's own in GLIBC_TUNABLES", { GLIBC_TUNABLES: "glibc.malloc.arena_max=2:glibc.malloc.perturb=0" }],
    [
      "a little more set aside by the user",
      { A: "before", GLIBC_TUNABLES: "glibc.rtld.optional_static_tls=700", Z: "behind" },
    ],
  ] as [string, Record<string, string>][]) {
    test(`is there for host and runtime libraries, and nobody sees how, with ${words}`, async () => {
      const large = await sized(5000, 3000);
      const model = await large.native(given, { stdin, env });
      const result = await large.capsule(given, { stdin, env });
      const outcome = { ...result, stdout: withoutOurTunable(result.stdout) };
      expect(outcome.stderr).toBe("");
      const seen = lines(outcome.stdout);
      expect(seen.slice(0, facts.length + shown.length)).toEqual([...facts, ...shown]);
      expect(comparable(outcome.stdout)).toEqual(comparable(model.stdout));
      expectSame({ ...outcome, stdout: "" }, { ...model, stdout: "" });
      const variable = `GLIBC_TUNABLES=${env.GLIBC_TUNABLES}`;
      const about = seen.filter((line) => /GLIBC|CAPSULE/.test(line));
      expect(about).toEqual(
        env.GLIBC_TUNABLES ? [`environment: ${variable}`, "kernel: GLIBC_TUNABLES", `child: ${variable}`] : [],
      );
    });
  }

  test(`is found out beforehand${isAttached ? "" : ", and capsule starts over once"}`, async () => {
    const large = await sized(5000, 3000);
    const { stdout, stderr, exitCode } = await capsule([...large.flags(), "--trace", "plan"], large.program(), [], {
      env: { LD_LIBRARY_PATH: large.runtime },
    });
    if (isAttached) expect(stderr).toContain("static TLS: 5000 bytes may be needed, and may not be free");
    else expect(stderr).toContain("static TLS: 8000 bytes are needed, and are not free: starting over");
    expect(overs(stderr)).toBe(isAttached ? 0 : 1);
    expect(lines(stdout).slice(0, facts.length)).toEqual(facts);
    expect(exitCode).toBe(0);
  });

  test("is there, and descriptors that capsule's parent has passed on are passed on", async () => {
    const large = await sized(5000, 3000);
    const command = (argv: string[]) => [
      "-c",
      'exec 7< "$0"; exec "$@"',
      join(import.meta.dir, "..", "..", "LICENSE"),
      ...argv,
    ];
    const LD_LIBRARY_PATH = `${join(large.out, HOST)}:${large.runtime}`;
    const model = await native("/bin/sh", command([large.program()]), { env: { LD_LIBRARY_PATH } });
    const env = { LD_LIBRARY_PATH: large.runtime };
    const outcome = await native("/bin/sh", command(capsuleCommand(large.flags(), large.program())), { env });
    const descriptors = (text: string) => lines(text).filter((line) => line.startsWith("descriptor"));
    expect(descriptors(model.stdout)).toEqual(["descriptor 7: MIT L"]);
    expect(descriptors(outcome.stdout)).toEqual(["descriptor 7: MIT L"]);
  });

  test("is not looked for where little is needed", async () => {
    const small = await sized(100, 100);
    const env = { LD_LIBRARY_PATH: small.runtime };
    const { stdout, stderr } = await capsule([...small.flags(), "--trace", "plan"], small.program(), [], { env });
    expect(overs(stderr)).toBe(0);
    expect(lines(stdout).slice(0, facts.length)).toEqual(facts);
  });

  describe("and no file says so:", () => {
    let undeclared: Pair;
    let directory: string;
    let flags: string[];
    const DT_FLAGS = 30;
    const DT_DEBUG = 21;

    beforeAll(async () => {
      undeclared = await sized(5000, 100);
      directory = mkdtempSync(join(tmpdir(), "capsule-test-"));
      const tree = join(directory, "host");
      mkdirSync(join(tree, "usr/lib/x86_64-linux-gnu"), { recursive: true });
      const library = new ElfBytes(join(undeclared.out, host));
      library.retagDynamic(DT_FLAGS, DT_DEBUG);
      library.save(join(tree, "usr/lib/x86_64-linux-gnu/libhost.so.1"));
      flags = ["--host", tree, "--isolate", "libhost.so.1"];
      return () => rmSync(directory, { recursive: true });
    });

    onceMore("capsule starts over when glibc refuses, and output comes once", async () => {
      const env = { LD_LIBRARY_PATH: undeclared.runtime };
      const { stdout, stderr } = await capsule([...flags, "--trace", "plan"], undeclared.program(), [], { env });
      expect(stderr).toContain("libhost.so.1 finds no room: starting over");
      expect(overs(stderr)).toBe(1);
      expect(lines(stdout).slice(0, facts.length)).toEqual(facts);
    });
  });

  test("leaves nothing in the temporary directory", async () => {
    const large = await sized(5000, 3000);
    using place = new ServingPlace();
    const outcome = await large.capsule([], { env: { TMPDIR: place.path } });
    expect(outcome.exitCode).toBe(0);
    // It has started something, so another process comes last.
    await place.emptied();
  });

  onceMore("that cannot be had ends with a message that names the library and its size", async () => {
    const large = await sized(5000, 100);
    const TMPDIR = mkdtempSync(join(tmpdir(), "capsule-test-"));
    // As if it had been tried, in vain.
    const env = { CAPSULE_STARTED_OVER: '{"GLIBC_TUNABLES":null}', GLIBC_TUNABLES: "glibc.malloc.check=0", TMPDIR };
    const outcome = await large.capsule([], { env });
    const file = join(large.out, host);
    expect(outcome).toMatchObject({
      stdout: "",
      stderr: `capsule: Cannot open "${file}": its thread-local data, 5000 bytes, has to be in static TLS, of which glibc.malloc.check=0 has not made enough free\n`,
      exitCode: 125,
    });
    expect(await leftIn(TMPDIR)).toEqual([]);
    rmSync(TMPDIR, { recursive: true });
  });

  test("in larger steps than glibc can give ends with a message, too", async () => {
    const aligned = await sized(5000, 100, ["-DALIGNED=1024"]);
    const outcome = await aligned.capsule();
    if (isAttached)
      expect(outcome.stderr).toContain(`"${join(aligned.out, host)}": cannot allocate memory in static TLS`);
    else
      expect(outcome.stderr).toContain("its thread-local data, 5000 bytes, has to be in static TLS, aligned to 1024,");
    expect(outcome.stdout).toBe("");
    expect(outcome.exitCode).toBe(125);
  });
});
