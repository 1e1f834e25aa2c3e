// A program that runs inside the Bun process must not be able to tell, and neither must who started it.

import { beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expectLines, expectSame, withoutShims } from "../support/expect.ts";
import { lines } from "../support/lines.ts";
import { leftIn } from "../support/mode.ts";
import { type Notgl, notgl } from "../support/notgl.ts";
import { HOST, hostAndProgram, type Pair, pair, RUNTIME } from "../support/pair.ts";
import { capsule, native, type RunOptions } from "../support/run.ts";

/** A host tree for programs that need nothing of it. */
let family: Notgl;
let flags: string[];

beforeAll(async () => {
  family = await notgl();
  flags = ["--host", family.red, "--isolate", "libnotgl.so.0"];
});

describe("a program finds", () => {
  let identity: Pair;

  beforeAll(async () => {
    const library = `${RUNTIME}/libaware.so.1`;
    identity = await pair("hosting/a-program-finds-its-own-arguments-environment-and-name", [
      { path: library, sources: ["library.c"] },
      { path: "program", sources: ["program.c"], needs: [library] },
      { path: "a program, with a name longer than comm", sources: ["program.c"], needs: [library] },
      { path: "copy-input", sources: ["copy-input.c"] },
    ]);
  });

  async function expectNative(program: string, args: string[] = [], options: RunOptions = {}): Promise<string[]> {
    const env = { LD_LIBRARY_PATH: identity.runtime, ...options.env };
    const model = await native(program, args, { ...options, env });
    const outcome = await capsule(flags, program, args, { ...options, env });
    expectSame(withoutShims(outcome), model);
    return lines(model.stdout);
  }

  test("its own arguments, environment and name, in constructors, too", async () => {
    const program = identity.program();
    const env = { EMPTY: "", EQUALS: "a=b=c", "A.B": "odd name", UNICODE: "żółć" };
    const shown = await expectNative(program, ["one", "", "two words", "żółć", "line\nbreak"], { env });
    for (const who of ["library's constructor", "constructor", "main"]) {
      expect(shown).toContain(`${who}: argc 6`);
      expect(shown).toContain(`${who}: argv[0] "${program}"`);
      expect(shown).toContain(`${who}: argv[2] ""`);
      expect(shown).toContain(`${who}: UNICODE=żółć`);
    }
    expect(shown).toContain("comm: program");
    expect(shown).toContain(`program_invocation_name: ${program}`);
  });

  test("arguments that look like capsule's own", async () => {
    await expectNative(identity.program(), ["--help", "--", "--host", "/nowhere", "-h", "--version", "--", "-"]);
  });

  test("its arguments when there is no -- before the program", async () => {
    const program = identity.program();
    const env = { LD_LIBRARY_PATH: identity.runtime };
    const { stdout } = await capsule([...flags, program, "--help"], "-x", [], { env });
    expect(lines(stdout)).toContain('main: argv[1] "--help"');
    expect(lines(stdout)).toContain('main: argv[2] "--"');
    expect(lines(stdout)).toContain('main: argv[3] "-x"');
  });

  test("its name, cut as the kernel would, when that is long", async () => {
    const shown = await expectNative(identity.program("a program, with a name longer than comm"));
    expect(shown).toContain("comm: a program, with");
  });

  test("the name of the link that it was started by", async () => {
    const link = join(mkdtempSync(join(tmpdir(), "capsule-test-")), "link");
    symlinkSync(identity.program(), link);
    const shown = await expectNative(link);
    rmSync(dirname(link), { recursive: true });
    expect(shown).toContain("comm: link");
  });

  test("the name by which it was found on PATH", async () => {
    const shown = await expectNative("program", [], { env: { PATH: `${identity.out}:/usr/bin:/bin` } });
    expect(shown).toContain('main: argv[0] "program"');
  });

  test("a relative path as it was given", async () => {
    const shown = await expectNative("./program", ["x"], { cwd: identity.out });
    expect(shown).toContain('main: argv[0] "./program"');
  });

  test("its input, to the last byte", async () => {
    const stdin = Array.from({ length: 20_000 }, (_, i) => `line ${i}\n`).join("");
    const outcome = await capsule(flags, identity.program("copy-input"), [], { stdin });
    expect(outcome.stderr).toBe("");
    expect(outcome.stdout).toBe(stdin);
    expect(outcome.exitCode).toBe(0);
  });

  test("an input that is at its end", async () => {
    expectLines(await capsule(flags, identity.program("copy-input")), []);
  });
});

describe("a program ends", () => {
  let ending: Pair;

  beforeAll(async () => {
    const library = `${RUNTIME}/libordered.so.1`;
    const host = `${HOST}/libhost.so.1`;
    ending = await pair("hosting/exit-handlers-and-destructors-run-in-order", [
      { path: library, sources: ["library.c"] },
      { path: host, sources: ["host.c"] },
      { path: "program", sources: ["program.c"], needs: [library, host] },
    ]);
  });

  const ways: [string, string][] = [
    ["by returning from main", "return"],
    ["by exit", "exit"],
    ["by exit in another thread", "thread"],
    ["by _exit", "_exit"],
    ["by quick_exit", "quick_exit"],
  ];
  const events = (text: string, isWanted: (line: string) => boolean) => text.split("\n").filter(isWanted);

  for (const [words, way] of ways) {
    test(`${words}, with its exit code, its handlers and all destructors in order`, async () => {
      const model = await ending.native([way, "7"]);
      const outcome = await ending.capsule([way, "7"]);
      expect(outcome.stderr).toBe("");
      expect(model.exitCode).toBe(7);
      expect(outcome.exitCode).toBe(7);
      const isWanted = (line: string) => !line.includes("host:") && line !== "library: exit handler";
      expect(events(outcome.stdout, isWanted)).toEqual(events(model.stdout, isWanted));
    });

    test(`${words}, and what host libraries do then is done once, as natively`, async () => {
      const model = await ending.native([way, "0"]);
      const outcome = await ending.capsule([way, "0"]);
      const isWanted = (line: string) => line.includes("host:");
      expect(events(model.stdout, isWanted)).toContain("host: constructor");
      expect(events(outcome.stdout, isWanted).sort()).toEqual(events(model.stdout, isWanted).sort());
    });
  }

  test("after its destructors, a handler that a library's constructor has registered runs", async () => {
    const model = await ending.native(["return", "0"]);
    const outcome = await ending.capsule(["return", "0"]);
    const expected = ["program: destructor", "library: destructor", "library: exit handler"];
    expect(events(model.stdout, (line) => expected.includes(line))).toEqual(expected);
    expect(events(outcome.stdout, (line) => expected.includes(line))).toEqual(expected);
  });

  test("before the destructors of the host libraries that it uses run", async () => {
    const model = await ending.native(["return", "0"]);
    const outcome = await ending.capsule(["return", "0"]);
    const expected = ["program: destructor", "host: destructor"];
    expect(events(model.stdout, (line) => expected.includes(line))).toEqual(expected);
    expect(events(outcome.stdout, (line) => expected.includes(line))).toEqual(expected);
  });

  for (const [words, way] of ways.slice(0, 3)) {
    test(`${words}, and leaves nothing in the temporary directory`, async () => {
      const TMPDIR = mkdtempSync(join(tmpdir(), "capsule-test-"));
      const outcome = await ending.capsule([way, "0"], { env: { TMPDIR } });
      expect(outcome.exitCode).toBe(0);
      expect(await leftIn(TMPDIR)).toEqual([]);
      rmSync(TMPDIR, { recursive: true });
    });
  }

  test("with an exit code of which 8 bits are left", async () => {
    expect((await ending.capsule(["return", "258"])).exitCode).toBe(2);
  });
});

test("a library sees the program's own symbol first", async () => {
  const library = `${RUNTIME}/libcolour.so.1`;
  const plugin = `${RUNTIME}/libplugin.so.1`;
  const scope = await pair("hosting/a-library-sees-the-programs-own-symbol-first", [
    { path: library, sources: ["library.c"] },
    { path: plugin, sources: ["plugin.c"] },
    { path: "program", sources: ["program.c"], needs: [library], flags: ["-rdynamic"] },
  ]);
  const env = { LD_LIBRARY_PATH: scope.runtime };
  const args = [join(scope.out, plugin)];
  const expected = [
    "colour: the program's",
    "level: 2",
    "dlsym(RTLD_DEFAULT): the program's",
    "dlsym(dlopen(NULL)): the program's hook",
    "dlsym(RTLD_NEXT): the library's",
    "plug-in: the program's hook",
  ];
  expectLines(await native(scope.program(), args, { env }), expected);
  expectLines(await capsule(flags, scope.program(), args, { env }), expected);
});

describe("objects that the program has copied from libraries", () => {
  for (const [words, linker] of [
    ["bound at start", "-Wl,-z,now"],
    ["bound lazily", "-Wl,-z,lazy"],
  ] as const) {
    test(`are ready before constructors and one with the libraries' own, ${words}`, async () => {
      const host = `${HOST}/libhost.so.1`;
      const runtime = `${RUNTIME}/libruntime.so.1`;
      const copied = await pair("hosting/copied-objects-are-ready-before-constructors", [
        { path: host, sources: ["library.c"], flags: ["-DSIDE=host", linker] },
        { path: runtime, sources: ["library.c"], flags: ["-DSIDE=runtime", linker] },
        { path: "program", sources: ["program.c"], needs: [host, runtime], flags: [linker] },
      ]);
      const { stdout: relocations } = await native("readelf", ["-rW", copied.program()]);
      for (const name of [
        "host_number",
        "host_array",
        "host_record",
        "runtime_number",
        "stdout",
        "__environ",
        "optarg",
      ]) {
        expect(relocations).toMatch(new RegExp(`R_X86_64_COPY .* ${name}\\b`));
      }
      const args = ["-a", "value", "-b", "rest"];
      const model = await copied.native(args);
      const side = (name: string) => [
        `${name} reads what the program wrote: 3`,
        `the program reads what ${name} wrote: 4`,
        `${name} sums its array: 1145`,
        "one address: yes",
        "its record points there, too: yes",
      ];
      const shown = (when: string, name: string) =>
        `${when}, ${name}: number 2 array 10 20 30 40 55 record "a record of the ${name}" 2 "described by the ${name}" 9`;
      const expected = [
        shown("constructor", "host"),
        shown("constructor", "runtime"),
        "constructor: stdout works, environ works",
        shown("main", "host"),
        shown("main", "runtime"),
        ...side("host"),
        ...side("runtime"),
        "one stdout: yes",
        "one environ: yes",
        'caught: "written to another stdout"',
        'optarg "value" optind 4',
      ];
      expectLines(model, expected);
      expectLines(await copied.capsule(args), expected);
    });
  }
});

describe("$ORIGIN is the directory of the real program", () => {
  let origin: Pair;
  let elsewhere: string;

  beforeAll(async () => {
    const at = (directory: string): [string, string] => [`${directory}/libinner.so.1`, `${directory}/libplugin.so.1`];
    const inner = (directory: string) =>
      at(directory).map((path) => ({ path, sources: ["inner.c"], flags: [`-DPLACE="${directory}"`] }));
    const outer = "app/lib/libouter.so.1";
    const program = { sources: ["program.c"], needs: [outer] };
    origin = await pair("hosting/origin-is-the-directory-of-the-real-program", [
      ...inner("app/lib"),
      ...inner(RUNTIME),
      { path: outer, sources: ["outer.c"], needs: ["app/lib/libinner.so.1"] },
      {
        path: "app/lib/own/libouter.so.1",
        sources: ["outer.c"],
        needs: ["app/lib/libinner.so.1"],
        runpath: "$ORIGIN/..",
      },
      { path: "app/bin/by-rpath", ...program, rpath: "$ORIGIN/../lib" },
      { path: "app/bin/by-runpath", ...program, runpath: "$ORIGIN/../lib/own:$ORIGIN/../lib" },
      { path: "app/bin/by-relative-rpath", ...program, rpath: "app/lib" },
      { path: "app/bin/by-relative-runpath", ...program, runpath: "./app/lib/own:app/lib" },
    ]);
    elsewhere = mkdtempSync(join(tmpdir(), "capsule-test-"));
    mkdirSync(join(elsewhere, "bin"));
    for (const name of ["by-rpath", "by-runpath"])
      symlinkSync(origin.program(`app/bin/${name}`), join(elsewhere, "bin", name));
    return () => rmSync(elsewhere, { recursive: true });
  });

  for (const name of ["by-rpath", "by-runpath"]) {
    const expected = ["inner: app/lib", "plug-in: app/lib"];

    test(`in its libraries' path, ${name}`, async () => {
      expectLines(await native(origin.program(`app/bin/${name}`)), expected);
      expectLines(await capsule(flags, origin.program(`app/bin/${name}`)), expected);
    });

    test(`when it is started through a symbolic link, ${name}`, async () => {
      expectLines(await native(join(elsewhere, "bin", name)), expected);
      expectLines(await capsule(flags, join(elsewhere, "bin", name)), expected);
    });

    test(`with the rank that LD_LIBRARY_PATH has beside it, ${name}`, async () => {
      const env = { LD_LIBRARY_PATH: origin.runtime };
      const model = await native(origin.program(`app/bin/${name}`), [], { env });
      const place = name === "by-rpath" ? "app/lib" : RUNTIME;
      expectLines(model, [`inner: ${place}`, `plug-in: ${place}`]);
      expectSame(await capsule(flags, origin.program(`app/bin/${name}`), [], { env }), model);
    });
  }

  for (const name of ["by-relative-rpath", "by-relative-runpath"])
    test(`and what is relative begins at the current directory, ${name}`, async () => {
      const program = origin.program(`app/bin/${name}`);
      const there = { cwd: join(program, "../../..") };
      const model = await native(program, [], there);
      expectLines(model, ["inner: app/lib", "plug-in: app/lib"]);
      expectSame(await capsule(flags, program, [], there), model);
      const lost = await capsule(flags, program, [], { cwd: elsewhere });
      expect((await native(program, [], { cwd: elsewhere })).exitCode).toBe(127);
      expect([lost.stdout, lost.exitCode]).toEqual(["", 127]);
      expect(lost.stderr).toContain("libouter.so.1");
    });
});

describe("a crash is the program's own:", () => {
  let crash: string;

  beforeAll(async () => {
    const outputs = [{ path: "program", sources: ["program.c"] }];
    crash = (await pair("hosting/a-crash-is-the-programs-own", outputs)).program();
  });

  for (const [how, signal] of [
    ["segv", "SIGSEGV"],
    ["abort", "SIGABRT"],
    ["fpe", "SIGFPE"],
    ["ill", "SIGILL"],
    ["trap", "SIGTRAP"],
    ["kill", "SIGKILL"],
    ["term", "SIGTERM"],
    ["overflow", "SIGSEGV"],
    ["thread", "SIGSEGV"],
    ["pipe", "SIGPIPE"],
  ] as const) {
    test(`it dies by ${signal} (${how}) and nobody adds a word`, async () => {
      const model = await native(crash, [how]);
      expect(model).toMatchObject({ signal, stdout: "before\n", stderr: "" });
      expectSame(await capsule(flags, crash, [how]), model);
    });
  }

  test("its own handler for it runs", async () => {
    const model = await native(crash, ["handled"]);
    expect(model).toMatchObject({ exitCode: 3, stdout: "before\nrecovered by the program's own handler\n" });
    expectSame(await capsule(flags, crash, ["handled"]), model);
  });
});

test("signals are as whoever started capsule left them", async () => {
  const outputs = [{ path: "program", sources: ["program.c"] }];
  const signals = (await pair("hosting/signals-are-as-they-were-before-capsule", outputs)).program();
  const model = await native(signals);
  expect(lines(model.stdout)).toContain("alternate stack: none");
  expectSame(await capsule(flags, signals), model);
});

describe("a slot holds the capsule's address", () => {
  for (const [words, linker] of [
    ["bound at start", "-Wl,-z,now"],
    ["bound lazily", "-Wl,-z,lazy"],
  ] as const) {
    test(`and nothing stands between the program and the host library, ${words}`, async () => {
      const [host, program] = hostAndProgram();
      if (host === undefined || program === undefined) throw new Error("hostAndProgram() lists two");
      const slots = await pair("hosting/a-slot-holds-the-capsules-address", [host, { ...program, flags: [linker] }]);
      const file = join(slots.out, HOST, "libhost.so.1");
      const expected = [
        "called pointed listed",
        `host_called R_X86_64_JUMP_SLOT: is what dlsym returns, in ${file}`,
        `host_listed R_X86_64_64: is what dlsym returns, in ${file}`,
        `host_pointed R_X86_64_GLOB_DAT: is what dlsym returns, in ${file}`,
      ];
      const sorted = (text: string) => lines(text).sort();
      const model = await slots.native();
      expect(sorted(model.stdout)).toEqual(expected);
      const outcome = await slots.capsule();
      expect(outcome.stderr).toBe("");
      expect(sorted(outcome.stdout)).toEqual(expected);
    });
  }
});

test("a constructor is not misled by what is behind its arguments", async () => {
  const folder = "hosting/a-constructor-is-not-misled-by-what-is-behind-its-arguments";
  const built = await pair(folder, hostAndProgram());
  for (const args of [["one"], ["one", "two", "three"]]) {
    const said = `${args.length + 1} arguments, the last is ${args.at(-1)}`;
    const expected = [said, "environment: there", "page size: right", said.replace(/(\d) arguments,/, "main has $1,")];
    expectLines(await built.native(args, { env: { COLOUR: "red" } }), expected);
    expectLines(await built.capsule(args, { env: { COLOUR: "red" } }), expected);
  }
});
