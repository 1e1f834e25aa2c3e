// Which programs are attached, which scripts run, and what is refused in every mode.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { ElfBytes } from "../support/elf-bytes.ts";
import { expectLines } from "../support/expect.ts";
import { build } from "../support/fixtures.ts";
import { lines } from "../support/lines.ts";
import { LIBRARIES } from "../support/notgl.ts";
import { capsule, capsuleCommand, native, type Outcome, repository, run } from "../support/run.ts";
import { ServingPlace } from "../support/serving.ts";
import { FAILED, NOT_FOUND, NOT_RUNNABLE, SONAME, USAGE, Workshop } from "../support/workshop.ts";

let workshop: Workshop;
let place: ServingPlace;
beforeAll(async () => {
  workshop = await Workshop.open({});
});
afterAll(() => workshop[Symbol.dispose]());
beforeEach(() => {
  place = new ServingPlace();
});
afterEach(() => place[Symbol.dispose]());

const isRoot = process.getuid?.() === 0;

/** In whatever mode is asked for; nothing is isolated that the program would use. */
function start(program: string, args: string[] = [], flags: string[] = [], env: Record<string, string> = {}) {
  const tree = ["--host", workshop.family.red, "--isolate", SONAME];
  return capsule([...flags, ...tree], program, args, { env: { TMPDIR: place.path, ...env } });
}

function script(text: string, mode = 0o755): string {
  const path = workshop.fresh("script");
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

/** The last, since a program may turn out not to be hostable. */
const modeIn = ({ stderr }: Outcome) => [...stderr.matchAll(/^capsule: plan: mode: (.*)$/gm)].at(-1)?.[1];

describe("--mode", () => {
  const folder = "bad-input/programs-that-cannot-be-hosted";
  const programOf = async (source: string, flags: string[]) =>
    join(await build(folder, [{ path: "program", sources: [source], flags }]), "program");

  const OWN_START = ["-nostartfiles", "-Wl,-e,own_start"];

  test("auto runs in this process what can be there", async () => {
    const outcome = await start("/bin/true", [], ["--trace", "plan"]);
    expect([outcome.exitCode, modeIn(outcome)]).toEqual([0, "in-process, if nothing forbids it"]);
  });

  const reasons: [string, () => Promise<string>, string][] = [
    [
      "is at a fixed address",
      () => programOf("plain.c", ["-fno-pie", "-no-pie"]),
      "it is linked to run at a fixed address (ET_EXEC)",
    ],
    ["has thread-local data", () => programOf("thread-local.c", []), "it has thread-local data of its own (PT_TLS)"],
    [
      "begins in a way of its own",
      () => programOf("own-start.c", OWN_START),
      "it begins in a way of its own, and not by libc's (__libc_start_main)",
    ],
    [
      "is a library, too",
      () => programOf("own-start.c", [...OWN_START, "-shared", "-fPIC", "-Wl,-soname,libboth.so.1"]),
      "it begins in a way of its own, and not by libc's (__libc_start_main)",
    ],
    ["is a script", async () => script("#!/bin/sh\nexit 0\n"), "it is a script"],
  ];
  for (const [words, make, why] of reasons)
    test(`auto attaches what ${words}, and says why`, async () => {
      const program = await make();
      const outcome = await start(program, [], ["--trace", "plan"]);
      expect([outcome.exitCode, modeIn(outcome)]).toEqual([0, `attached, as ${why}`]);
      expect(await start(program)).toMatchObject({ exitCode: 0, stderr: "" });
      await place.emptied();
    });

  test("auto attaches what brings its own malloc, and in-process refuses it", async () => {
    const out = await build("attached/a-malloc-of-its-own", [
      { path: "runtime/libmalloc.so.1", sources: ["malloc.c"] },
      { path: "program", sources: ["program.c"], needs: ["runtime/libmalloc.so.1"] },
      { path: "has-its-own", sources: ["program.c", "malloc.c"], flags: ["-rdynamic"] },
    ]);
    const env = { LD_LIBRARY_PATH: join(out, "runtime") };
    for (const [name, owner] of [
      ["program", join(out, "runtime/libmalloc.so.1")],
      ["has-its-own", join(out, "has-its-own")],
    ] as const) {
      const program = join(out, name);
      const expected = ["its own malloc: yes"];
      expectLines(await native(program, [], { env }), expected);
      expectLines(await start(program, [], [], env), expected);
      const { stderr } = await start(program, [], ["--trace", "plan"], env);
      expect(stderr).toContain(`mode: attached, as "${owner}" brings a malloc of its own`);
      workshop.expectRefusal(
        await start(program, [], ["--mode", "in-process"], env),
        NOT_RUNNABLE,
        owner,
        "a malloc of its own",
      );
    }
    await place.emptied();
  });

  test.skipIf(!isRoot)("auto attaches what may be run, and not read (takes root)", async () => {
    const directory = workshop.fresh("closed");
    mkdirSync(directory);
    chmodSync(workshop.directory, 0o755);
    const program = join(directory, "true");
    cpSync("/bin/true", program);
    chmodSync(program, 0o711);
    const NOBODY = 65534;
    chownSync(place.path, NOBODY, NOBODY);
    const argv = capsuleCommand(["--host", workshop.redTree(), "--isolate", SONAME, "--trace", "plan"], program);
    const asUser = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
    const env = { TMPDIR: place.path, HOME: place.path, XDG_CACHE_HOME: join(place.path, "none") };
    // Whether they reach Bun and capsule is a matter of the machine.
    if ((await run([...asUser, "test", "-r", join(repository, "src/main.ts")])).exitCode !== 0) return;
    const outcome = await run([...asUser, ...argv], { env });
    expect([outcome.exitCode, modeIn(outcome)]).toEqual([0, "attached, as it cannot be read"]);
  });

  test("is CAPSULE_MODE's, where there is no flag", async () => {
    const shown = async (flags: string[], mode: string) =>
      modeIn(await start("/bin/true", [], ["--trace", "plan", ...flags], { CAPSULE_MODE: mode }));
    expect(await shown([], "attached")).toBe("attached, as was asked for");
    expect(await shown([], "in-process")).toBe("in-process, as was asked for");
    expect(await shown(["--mode", "attached"], "in-process")).toBe("attached, as was asked for");
    expect(await shown([], "")).toBe("in-process, if nothing forbids it");
    await place.emptied();
  });

  test("of a word that there is not is a usage error, which tells the nearest one, or lists those that there are", async () => {
    const list = "choose of auto, in-process, attached";
    const near = 'did you mean "in-process"?';
    workshop.expectRefusal(await start("/bin/true", [], ["--mode", "inprocess"]), USAGE, '"inprocess"', near);
    workshop.expectRefusal(await start("/bin/true", [], ["--mode", "toString"]), USAGE, '"toString"', list);
    const env = { CAPSULE_MODE: "outside" };
    workshop.expectRefusal(await start("/bin/true", [], [], env), USAGE, '"outside", as CAPSULE_MODE says', list);
  });
});

test("a script without an interpreter of its own is run by /bin/sh, as execvp does", async () => {
  const program = script('echo "$0 $1"; exit 3\n');
  expect(await start(program, ["one"], [])).toMatchObject({ stdout: `${program} one\n`, stderr: "", exitCode: 3 });
});

describe("a script runs as natively:", () => {
  const shebangs: [string, string][] = [
    ["by a shell", "#!/bin/sh"],
    ["with blanks around the interpreter", "#!  /bin/sh  "],
    ["with an argument", "#!/bin/sh -e"],
    ["by what env finds", "#!/usr/bin/env sh"],
    ["by what env finds, with a variable", "#!/usr/bin/env -S VARIABLE=1 sh -e"],
    ["by what env finds, with options", "#!/usr/bin/env -S -u VARIABLE sh"],
  ];
  for (const [words, first] of shebangs)
    test(words, async () => {
      const path = script(`${first}\necho "$0" "$#" "$1" $-\nexit 3\n`);
      const expected = await native(path, ["one two", "three"]);
      expect(expected.exitCode).toBe(3);
      const { stdout, stderr, exitCode } = await start(path, ["one two", "three"]);
      expect({ stdout, stderr, exitCode }).toMatchObject({
        stdout: expected.stdout,
        stderr: expected.stderr,
        exitCode: 3,
      });
      await place.emptied();
    });

  test("by another script", async () => {
    const inner = script('#!/bin/sh\necho inner "$@"\n');
    const outer = script(`#!${inner} argument\n`);
    const expected = await native(outer, ["x"]);
    expectLines(expected, [`inner argument ${outer} x`]);
    expectLines(await start(outer, ["x"]), lines(expected.stdout));
    await place.emptied();
  });

  test("one that execs another, and that another", async () => {
    const last = script('#!/bin/sh\necho $$ "$0"\n');
    const first = script(`#!/bin/sh\necho $$ "$0"\nexec ${script(`#!/bin/sh\nexec ${last}\n`)}\n`);
    const { stdout, exitCode, stderr } = await start(first);
    const [[one, name] = [], [two, other] = []] = lines(stdout).map((line) => line.split(" "));
    expect([name, other, exitCode, stderr]).toEqual([first, last, 0, ""]);
    expect(two).toBe(one as string);
    await place.emptied();
  });

  test("one that is found in PATH", async () => {
    const path = script('#!/bin/sh\necho "$0"\n');
    const name = path.split("/").at(-1) ?? "";
    const env = { PATH: `${workshop.directory}:${process.env.PATH}` };
    expectLines(await native("/usr/bin/env", [name], { env }), [path]);
    expectLines(await start(name, [], [], env), [path]);
    await place.emptied();
  });

  test("its children inherit the library path", async () => {
    const outcome = await start(script("#!/bin/sh\nsh -c 'echo \"$LD_LIBRARY_PATH\"'\n"));
    expect(outcome.stdout).toMatch(/\/capsule-\w{6}\/lib:\/[^:]*\n$/);
    await place.emptied();
  });
});

describe("refused in every mode, with nothing run and nothing left:", () => {
  const touched = () => join(workshop.directory, "it-ran");
  async function expectRefused(program: string, exitCode: number, ...mentions: string[]): Promise<void> {
    for (const mode of ["auto", "attached", "in-process"])
      workshop.expectRefusal(await start(program, [], ["--mode", mode]), exitCode, ...mentions);
    expectNothing();
  }
  function expectNothing(): void {
    expect(existsSync(touched())).toBe(false);
    expect(readdirSync(place.path)).toEqual([]);
  }
  const copyOfTrue = (name: string) => {
    const path = workshop.fresh(name);
    cpSync("/bin/true", path, { dereference: true });
    return path;
  };

  for (const [words, bits] of [
    ["setuid", 0o4755],
    ["setgid", 0o2755],
  ] as const)
    test(`a ${words} program`, async () => {
      const program = copyOfTrue(words);
      chmodSync(program, bits);
      await expectRefused(program, NOT_RUNNABLE, program, words);
      const outcome = await start(program, [], ["--mode", "attached"]);
      expect(outcome.stderr).toContain("ld.so passes over LD_LIBRARY_PATH");
    });

  const canGive = isRoot && Bun.which("setcap") !== null;
  test.skipIf(!canGive)("a program whose file gives it capabilities (takes root and setcap)", async () => {
    const program = copyOfTrue("capable");
    expect((await run(["setcap", "cap_net_raw+ep", program])).exitCode).toBe(0);
    await expectRefused(program, NOT_RUNNABLE, program, "capabilities", "ld.so passes over LD_LIBRARY_PATH");
  });

  const foreign: [string, (elf: ElfBytes) => void, string][] = [
    ["a 32-bit one", (elf) => elf.setHeader("ei_class", 1), "32-bit"],
    ["one of another machine", (elf) => elf.setHeader("e_machine", 183), "machine"],
  ];
  for (const [words, damage, why] of foreign)
    test(words, () => expectRefused(workshop.damagedProgram(damage), NOT_RUNNABLE, why));

  test("what is neither ELF nor script", () =>
    expectRefused(script(`\0touch ${touched()}\n`), NOT_RUNNABLE, "neither an ELF program nor a script"));

  test("what is empty", () => expectRefused(script(""), NOT_RUNNABLE, "neither an ELF program nor a script"));

  test("what is not executable", () =>
    expectRefused(script(`#!/bin/sh\ntouch ${touched()}\n`, 0o644), NOT_RUNNABLE, "permission denied"));

  test("what is not there", () => expectRefused(join(workshop.directory, "nobody"), NOT_FOUND, "nobody"));

  test("a library", async () => {
    const library = join(workshop.family.red, LIBRARIES, "libnotgl.so.0");
    const copy = workshop.fresh("library");
    cpSync(library, copy, { dereference: true });
    chmodSync(copy, 0o755);
    await expectRefused(copy, NOT_RUNNABLE, "it has no program interpreter");
  });

  const scripts: [string, (directory: string) => string, number, string[]][] = [
    ["no interpreter", () => "#!", NOT_RUNNABLE, ["names no interpreter"]],
    ["an interpreter that is not there", () => "#!/no/such/shell -x", NOT_FOUND, ['"/no/such/shell"', "no such file"]],
    ["one that is a directory", () => "#!/usr", NOT_RUNNABLE, ['"/usr"', "directory"]],
    ["one that env will not find", () => "#!/usr/bin/env no-such-shell", NOT_FOUND, ['"no-such-shell"', "PATH"]],
    ["the same with -S", () => "#!/usr/bin/env -S A=1 no-such-shell -x", NOT_FOUND, ['"no-such-shell"', "PATH"]],
    ["one that may not be run", (path) => `#!${path}/plain`, NOT_RUNNABLE, ["permission denied"]],
  ];
  for (const [words, first, exitCode, mentions] of scripts)
    test(`a script with ${words}`, async () => {
      writeFileSync(join(workshop.directory, "plain"), "#!/bin/sh\n", { mode: 0o644 });
      const program = script(`${first(workshop.directory)}\ntouch ${touched()}\n`);
      for (const mode of ["auto", "attached"])
        workshop.expectRefusal(await start(program, [], ["--mode", mode]), exitCode, program, ...mentions);
      expectNothing();
    });

  test("scripts that are each other's interpreters", async () => {
    const [one, other] = [workshop.fresh("one"), workshop.fresh("other")];
    writeFileSync(one, `#!${other}\n`, { mode: 0o755 });
    writeFileSync(other, `#!${one}\n`, { mode: 0o755 });
    workshop.expectRefusal(await start(one), NOT_RUNNABLE, one, "too many");
    expectNothing();
  });
});

describe("an attached program is not run, and nothing is left, with", () => {
  async function expectFailure(flags: string[], exitCode: number, ...mentions: string[]): Promise<void> {
    const program = script(`#!/bin/sh\ntouch ${workshop.directory}/it-ran\n`);
    const outcome = await capsule(["--mode", "attached", ...flags], program, [], { env: { TMPDIR: place.path } });
    workshop.expectRefusal(outcome, exitCode, ...mentions);
    expect(existsSync(join(workshop.directory, "it-ran"))).toBe(false);
    expect(readdirSync(place.path)).toEqual([]);
  }

  test("a host tree that is missing", () =>
    expectFailure(["--host", "/no/such/tree"], FAILED, "/no/such/tree", "no such directory"));

  test("a host tree that has nothing of it", async () => {
    const tree = workshop.fresh("empty");
    mkdirSync(tree);
    await expectFailure(["--host", tree], FAILED, tree, "libGL.so.1");
  });

  test("a library that the tree does not have", () =>
    expectFailure(["--host", workshop.family.red, "--isolate", "libabsent.so.7"], FAILED, "libabsent.so.7", LIBRARIES));

  test("libc", () => expectFailure(["--isolate", "libc.so.6"], USAGE, "the whole process has one copy"));

  test("a profile that there is not", () => expectFailure(["--profile", "none"], USAGE, "choose of gl"));

  test("a link in the tree that loops", async () => {
    const tree = workshop.redTree();
    const link = join(tree, LIBRARIES, SONAME);
    rmSync(link);
    symlinkSync(SONAME, link);
    await expectFailure(["--host", tree, "--isolate", SONAME], FAILED, link);
  });

  test("a loader that is not there", async () => {
    const folder = "bad-input/programs-that-cannot-be-hosted";
    const flags = ["-Wl,--dynamic-linker=/no/such/ld.so"];
    const program = join(await build(folder, [{ path: "program", sources: ["plain.c"], flags }]), "program");
    workshop.expectRefusal(await start(program, [], ["--mode", "attached"]), NOT_FOUND, program, "interpreter");
    expect(readdirSync(place.path)).toEqual([]);
  });

  test("a program that somebody is writing to", async () => {
    const program = workshop.fresh("busy");
    cpSync("/bin/true", program, { dereference: true });
    const descriptor = openSync(program, "r+");
    try {
      const outcome = await start(program, [], ["--mode", "attached"]);
      workshop.expectRefusal(outcome, NOT_RUNNABLE, program, "somebody is writing to it");
    } finally {
      closeSync(descriptor);
    }
    expect(readdirSync(place.path)).toEqual([]);
  });

  test.skipIf(!isRoot)("a full disk (takes root)", async () => {
    const small = workshop.fresh("small");
    mkdirSync(small);
    for (const size of ["4k", "64k", "1m"]) {
      expect((await run(["mount", "-t", "tmpfs", "-o", `mode=0700,size=${size}`, "none", small])).exitCode).toBe(0);
      try {
        const program = script(`#!/bin/sh\ntouch ${workshop.directory}/it-ran\n`);
        const outcome = await start(program, [], ["--mode", "attached"], { TMPDIR: small });
        workshop.expectRefusal(outcome, FAILED, small, "its disk is full", "TMPDIR");
        expect(readdirSync(small)).toEqual([]);
      } finally {
        expect((await run(["umount", small])).exitCode).toBe(0);
      }
    }
    expect(existsSync(join(workshop.directory, "it-ran"))).toBe(false);
  });

  test.skipIf(!isRoot)("a directory for temporary files from which ld.so can load nothing (takes root)", async () => {
    const small = workshop.fresh("noexec");
    mkdirSync(small);
    expect((await run(["mount", "-t", "tmpfs", "-o", "mode=0700,noexec", "none", small])).exitCode).toBe(0);
    try {
      for (const mode of ["attached", "in-process"]) {
        const outcome = await start("/bin/true", [], ["--mode", mode], { TMPDIR: small });
        workshop.expectRefusal(outcome, FAILED, small, "noexec", "TMPDIR");
        expect(readdirSync(small)).toEqual([]);
      }
    } finally {
      expect((await run(["umount", small])).exitCode).toBe(0);
    }
  });

  test("a directory for temporary files that is missing", async () => {
    const directory = join(workshop.directory, "no-such-directory");
    const outcome = await start("/bin/true", [], ["--mode", "attached"], { TMPDIR: directory });
    workshop.expectRefusal(outcome, FAILED, directory, "TMPDIR");
  });

  test("a directory for temporary files that LD_LIBRARY_PATH cannot name", async () => {
    const directory = workshop.fresh("a:b");
    mkdirSync(directory);
    const outcome = await start("/bin/true", [], ["--mode", "attached"], { TMPDIR: directory });
    workshop.expectRefusal(outcome, FAILED, directory, "colon", "TMPDIR");
    expect(readdirSync(directory)).toEqual([]);
  });
});

describe("an attached program is run", () => {
  const shown = ["it ran"];
  const program = () => script("#!/bin/sh\necho it ran\n");

  test("without a home", async () => {
    const [shell, ...argv] = ["sh", "-c", 'unset HOME XDG_CACHE_HOME; exec "$@"', "sh"];
    const command = capsuleCommand(
      ["--mode", "attached", "--host", workshop.family.red, "--isolate", SONAME],
      program(),
    );
    expectLines(await run([shell ?? "", ...argv, ...command], { env: { TMPDIR: place.path } }), shown);
    await place.emptied();
  });

  test("where nothing can be kept", async () => {
    const file = workshop.fresh("file");
    writeFileSync(file, "");
    for (const XDG_CACHE_HOME of [file, "/proc/nowhere"])
      expectLines(await start(program(), [], ["--mode", "attached"], { XDG_CACHE_HOME }), shown);
    await place.emptied();
  });

  test("with a path of temporary files that is longer than a socket's", async () => {
    const directory = join(place.path, "l".repeat(200), "m".repeat(200));
    mkdirSync(directory, { recursive: true });
    expectLines(await start(program(), [], ["--mode", "attached"], { TMPDIR: directory }), shown);
  });
});
