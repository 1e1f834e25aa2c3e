// Start scripts and wrappers set the library path for themselves, and forget ours. What they start has the isolated
// libraries all the same: by the launch's auditor, whatever else ld.so is told.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { expectLines } from "../support/expect.ts";
import { glibc } from "../support/glibc.ts";
import { copyOwnGlibc } from "../support/own-glibc.ts";
import { HOST, type Pair, pair, RUNTIME } from "../support/pair.ts";
import { runs32 } from "../support/programs-of-32-bits.ts";
import { COMMAND, capsule, native, type Outcome, run } from "../support/run.ts";
import { script } from "../support/script.ts";

const SONAME = "libhost.so.1";
const LOADER = "/lib64/ld-linux-x86-64.so.2";

let fixture: Pair;
/** A directory with links to what is in the fixture, and with what is no library. */
let links: string;

beforeAll(async () => {
  const answering = (answer: number) => ({ sources: ["host.c"], flags: [`-DANSWER=${answer}`] });
  const library = (path: string, answer: number) => ({ path, ...answering(answer) });
  const runtime = `${RUNTIME}/${SONAME}`;
  const linked = { sources: ["program.c"], flags: ["-DLINKED"], needs: [runtime] };
  fixture = await pair("process/isolated-libraries-are-found-however-a-program-is-started", [
    library(`${HOST}/${SONAME}`, 42),
    { path: `${runtime}.0.0`, ...answering(1), soname: SONAME },
    library(`own/${SONAME}`, 2),
    library("own/libhost.so.2", 3),
    // What is linked to these needs a library by a path.
    {
      path: "stubs/own.so",
      sources: ["host.c"],
      soname: null,
      flags: [`-Wl,-soname,{out}/own/${SONAME}`, "-DANSWER=0"],
    },
    {
      path: "stubs/real.so",
      sources: ["host.c"],
      soname: null,
      flags: [`-Wl,-soname,{out}/${runtime}.0.0`, "-DANSWER=0"],
    },
    {
      path: "plugins/libplugin.so.1",
      sources: ["thread-local.c"],
      flags: ["-DSIZE=8"],
      needs: ["stubs/own.so"],
    },
    { path: "program", ...linked, runpath: "{out}/runtime" },
    { path: "own/program", ...linked, rpath: "{out}/own" },
    { path: "by-path", ...linked, needs: ["stubs/own.so"] },
    { path: "by-real-path", ...linked, needs: ["stubs/real.so"] },
    { path: "opening", sources: ["program.c"], runpath: "{out}/runtime" },
    { path: "wrapper", sources: ["wrapper.c"] },
    { path: `${RUNTIME}/libstatic.so.1`, sources: ["thread-local.c"], flags: ["-DSIZE=2632"] },
    { path: `${RUNTIME}/liblarge.so.1`, sources: ["thread-local.c"], flags: ["-DSIZE=800000"] },
    {
      path: "wants-more",
      sources: ["wants.c"],
      needs: [runtime, `${RUNTIME}/liblarge.so.1`],
      runpath: "{out}/runtime",
    },
    { path: "wants", sources: ["wants.c"], needs: [runtime, `${RUNTIME}/libstatic.so.1`], runpath: "{out}/runtime" },
  ]);
  links = mkdtempSync(join(tmpdir(), "capsule-test-links-"));
  for (const [name, target] of [
    ["libhost.so", join(fixture.runtime, SONAME)],
    ["plugin.so", "libhost.so"],
    ["other.so", join(fixture.out, "own", "libhost.so.2")],
    ["lost.so", "nowhere.so"],
  ] as const)
    symlinkSync(target, join(links, name));
  for (const directory of ["text", "empty", `directory/${SONAME}`])
    mkdirSync(join(links, directory), { recursive: true });
  writeFileSync(join(links, "text", SONAME), "/* GNU ld script */ GROUP ( libhost.so.1 )\n".repeat(30));
  writeFileSync(join(links, "empty", SONAME), "");
});

afterAll(() => rmSync(links, { recursive: true }));

/** A line of shell, in the fixture's directory. */
const natively = (script: string): Promise<Outcome> =>
  native("/bin/sh", ["-c", script], { cwd: fixture.out, env: { links } });

const inCapsule = (script: string, flags: string[] = []): Promise<Outcome> =>
  capsule([...fixture.flags(), ...flags], "/bin/sh", ["-c", script], { cwd: fixture.out, env: { links } });

describe.skipIf(glibc < 35)("a program has the isolated library (takes glibc 2.35)", () => {
  const starts: [words: string, script: string, natively: number][] = [
    ["where the library path is set anew", "LD_LIBRARY_PATH=./own ./program", 2],
    ["where that is done for all that follows", 'export LD_LIBRARY_PATH="$PWD/own"; ./program; exit $?', 2],
    ["where there is no library path any more", "unset LD_LIBRARY_PATH; exec ./program", 1],
    ["where a directory is put in front of it", "LD_LIBRARY_PATH=./own:$LD_LIBRARY_PATH exec ./program", 2],
    ["that has DT_RPATH to a copy of its own", "own/program", 2],
    ["that is started by an ld.so's name", `${LOADER} --library-path ./own ./program`, 2],
    ["that needs a copy of its own by a path", "./by-path", 2],
    ["that needs the runtime's by a path", "./by-real-path", 1],
    ["that preloads the runtime's by a path", `LD_PRELOAD="$PWD/runtime/${SONAME}.0.0" own/program`, 1],
    ["that a wrapper starts", "./wrapper ./program", 1],
    ["that a wrapper starts of which the path is set anew", "LD_LIBRARY_PATH=./own ./wrapper ./wrapper ./program", 1],
  ];
  for (const [words, script, answer] of starts)
    test(words, async () => {
      expectLines(await natively(script), [`linked: ${answer}`]);
      expectLines(await inCapsule(script), ["linked: 42"]);
    });

  const openings: [words: string, script: string, natively: number][] = [
    ["by its soname", `LD_LIBRARY_PATH=./own ./opening ${SONAME}`, 2],
    ["by the path of the runtime's copy", `./opening "$PWD/runtime/${SONAME}"`, 1],
    ["by a path that begins in its directory", `./opening ./own/${SONAME}`, 2],
    ["by a path with two slashes", `./opening "/$PWD/runtime/${SONAME}"`, 1],
    ["by the path of the file that its name leads to", `./opening ./runtime/${SONAME}.0.0`, 1],
    ["by the path of a link to it", "./opening $links/libhost.so", 1],
    ["by the path of a link to a link to it, of another name", "./opening $links/plugin.so", 1],
  ];
  for (const [words, script, answer] of openings)
    test(`when it opens it ${words}`, async () => {
      expectLines(await natively(script), [`opened: ${answer}`]);
      expectLines(await inCapsule(script), ["opened: 42"]);
    });

  test("by a path, when it has another one by its name already", async () => {
    const script = `LD_LIBRARY_PATH=./own ./opening ${SONAME} "$PWD/runtime/${SONAME}" ${SONAME}`;
    expectLines(await natively(script), ["opened: 2", "opened: 1", "opened: 2"]);
    expectLines(await inCapsule(script), ["opened: 42", "opened: 42", "opened: 42"]);
  });

  // ld.so asks an auditor before it knows whether there is such a file.
  const others: [words: string, path: string, natively: string][] = [
    ["nothing", `"$links/nowhere/${SONAME}"`, "cannot open shared object file: No such file or directory"],
    ["nothing, below a file", `./opening/${SONAME}`, "cannot open shared object file: Not a directory"],
    ["nothing, by a link", "$links/lost.so", "cannot open shared object file: No such file or directory"],
    ["a directory", `"$links/directory/${SONAME}"`, "cannot read file data: Is a directory"],
    ["a text", `"$links/text/${SONAME}"`, "invalid ELF header"],
    ["an empty file", `"$links/empty/${SONAME}"`, "file too short"],
    ["another version of it", "$links/other.so", "opened: 3"],
  ];
  for (const [words, path, answer] of others)
    test(`and none by a path to ${words}`, async () => {
      const script = `./opening ${path} && ./opening ${SONAME} ${path}`;
      const natives = await natively(`LD_LIBRARY_PATH=./runtime; export LD_LIBRARY_PATH; ${script}`);
      expect(natives.stdout).toContain(answer);
      const outcome = await inCapsule(script);
      expectLines(outcome, natives.stdout.trimEnd().replace("opened: 1", "opened: 42").split("\n"));
    });

  for (const [words, program, args, lines] of [
    ["a copy of its own", "by-path", [], ["linked: 2"]],
    ["the runtime's", "by-real-path", [], ["linked: 1"]],
    ["a copy of its own, by a plug-in", "opening", ["./plugins/libplugin.so.1"], ["opened: 2"]],
  ] as const)
    test(`when the launch's own program needs ${words} by a path`, async () => {
      const options = { cwd: fixture.out };
      expectLines(await native(fixture.program(program), [...args], options), [...lines]);
      const isolated = lines.map((line) => line.replace(/\d$/, "42"));
      expectLines(await capsule(fixture.flags(), fixture.program(program), [...args], options), isolated);
    });

  test("beside an auditor of the user's", async () => {
    const script = "LD_AUDIT=./nothing.so:$LD_AUDIT LD_LIBRARY_PATH=./own ./program";
    const outcome = await inCapsule(script);
    expect(outcome).toMatchObject({ stdout: "linked: 42\n", exitCode: 0 });
    expect(outcome.stderr).toContain("./nothing.so");
  });
});

// Nothing of ours is in what has no environment; without a glibc of its own the launch has no mount namespace.
describe("where the environment is emptied a program runs natively, and one line says so", () => {
  test("beforehand, where a script's text shows it", async () => {
    using file = script(`#!/bin/sh\n# env -i is for later\ncd '${fixture.out}'\nexec env -i ./program\n`);
    const outcome = await capsule(fixture.flags(), file.path);
    expect(outcome).toMatchObject({ stdout: "linked: 1\n", exitCode: 0 });
    expect(outcome.stderr).toBe(
      `capsule: "${file.path}" empties the environment (line 4, exec env -i ./program): what is started so has no isolated libraries\n`,
    );
    const plan = await run([...COMMAND, "plan", ...fixture.flags(), file.path]);
    expect(plan.stdout).toContain("empties the environment (line 4");
    const doctor = await run([...COMMAND, "doctor", ...fixture.flags(), file.path]);
    expect(doctor.stdout).toContain("empties the environment (line 4");
  });

  test("at the end, where nobody could have known", async () => {
    using file = script("#!/bin/sh\nsleep 0.5\ne=env\n$e -i ./program\n");
    const outcome = await capsule(fixture.flags(), file.path, [], { cwd: fixture.out });
    expect(outcome).toMatchObject({ stdout: "linked: 1\n", exitCode: 0 });
    expect(outcome.stderr).toBe(
      `capsule: nothing has been linked, and "${fixture.program()}" was opened: what ran so had no isolated libraries, as if started without LD_AUDIT and LD_LIBRARY_PATH (env -i)\n`,
    );
  });

  test("and not where something was linked", async () => {
    using file = script("#!/bin/sh\nsleep 0.5\n./program\ne=env\n$e -i ./program\n");
    const outcome = await capsule(fixture.flags(), file.path, [], { cwd: fixture.out });
    expectLines(outcome, ["linked: 42", "linked: 1"]);
  });

  describe.skipIf(!existsSync("/usr/bin/python3"))("what is the machine's", () => {
    /** A program of the machine's that opens one of its libraries, and stays for a while. */
    const opens = `/usr/bin/python3 -c 'import ctypes, time; ctypes.CDLL("libz.so.1"); time.sleep(1)'`;
    const host = (): string => {
      const tree = mkdtempSync(join(tmpdir(), "capsule-test-libz-"));
      mkdirSync(join(tree, HOST.slice("host/".length)), { recursive: true });
      copyFileSync("/lib/x86_64-linux-gnu/libz.so.1", join(tree, HOST.slice("host/".length), "libz.so.1"));
      return tree;
    };

    test("counts if the launch opens it", async () => {
      const tree = host();
      using file = script(`#!/bin/sh\nsleep 1.5\ne=env\n$e -i ${opens}\n`);
      const outcome = await capsule(["--isolate", `libz.so.1=${tree}`], file.path);
      rmSync(tree, { recursive: true });
      expect(outcome.stderr).toStartWith('capsule: nothing has been linked, and "libz.so.1" was opened: ');
    });

    test("counts also if it is mapped a while after it was opened, as where the machine is busy", async () => {
      const tree = host();
      const late = `import mmap, os, time; fd = os.open("/lib/x86_64-linux-gnu/libz.so.1", 0); time.sleep(0.1); at = mmap.mmap(fd, 0, prot=1); time.sleep(1)`;
      using file = script(`#!/bin/sh\nsleep 0.5\ne=env\n$e -i /usr/bin/python3 -S -c '${late}'\n`);
      const outcome = await capsule(["--isolate", `libz.so.1=${tree}`], file.path);
      rmSync(tree, { recursive: true });
      expect(outcome.stderr).toStartWith('capsule: nothing has been linked, and "libz.so.1" was opened: ');
    });

    test("and not if others do", async () => {
      const tree = host();
      const outcome = capsule(["--isolate", `libz.so.1=${tree}`], "/bin/sleep", ["1.5"]);
      await Bun.sleep(1000);
      expectLines(await native("/bin/sh", ["-c", opens]), []);
      expectLines(await outcome, []);
      rmSync(tree, { recursive: true });
    });
  });

  test("or where a program is only read", async () => {
    const args = ["-c", "sleep 0.5; sha256sum ./program; sleep 0.1"];
    const outcome = await capsule(fixture.flags(), "/bin/sh", args, { cwd: fixture.out });
    expect(outcome.stderr).toBe("");
  });

  test("or where none was needed", async () => {
    using file = script("#!/bin/sh\nsleep 0.5\nls >/dev/null\n./wrapper /bin/true\n");
    expectLines(await capsule(fixture.flags(), file.path, [], { cwd: fixture.out }), []);
  });
});

// Where a process is audited, ld.so sets it aside before it knows of them.
describe("a program's libraries have their static thread-local data", () => {
  test("as much as jemalloc has", async () => {
    const script = "LD_LIBRARY_PATH=./runtime ./wants";
    expectLines(await natively(script), ["1, and thread-local: 2632"]);
    expectLines(await inCapsule(`${script}; LD_LIBRARY_PATH=$LD_LIBRARY_PATH ./wants`), [
      `${glibc < 35 ? 1 : 42}, and thread-local: 2632`,
      "42, and thread-local: 2632",
    ]);
  });

  const starts: [words: string, script: string, lines: string[]][] = [
    ["as much as ThreadSanitizer's runtime has", "./wants-more", []],
    ["where a script clears the room for it", "unset GLIBC_TUNABLES; ./wants", []],
    ["and the script's tunables", "GLIBC_TUNABLES=glibc.malloc.arena_max=1 ./wants-more", []],
    ["and the arguments", `./wants-more "" 'a b' ""`, ["wants-more: <>", "wants-more: <a b>", "wants-more: <>"]],
    ["by an ld.so's name", `${LOADER} --argv0 other ./wants-more x`, [`${basename(LOADER).slice(0, 15)}: <x>`]],
  ];
  for (const [words, script, lines] of starts)
    test.skipIf(words.startsWith("by an") && glibc < 33)(words, async () => {
      const size = script.includes("-more") ? 800_000 : 2632;
      expectLines(await natively(script), [`1, and thread-local: ${size}`, ...lines]);
      expectLines(await inCapsule(script), [`42, and thread-local: ${size}`, ...lines]);
    });

  test("and what comes by dlopen has no more than natively", async () => {
    const script = "./opening ./runtime/liblarge.so.1";
    const natives = await natively(script);
    expect(natives.stdout).toContain("static TLS block");
    expectLines(await inCapsule(script), natives.stdout.trimEnd().split("\n"));
  });
});

test("a script that puts its own behind what it finds has it on every glibc", async () => {
  const script = 'LD_LIBRARY_PATH="$LD_LIBRARY_PATH:$PWD/own" ./program';
  expectLines(await natively(script), ["linked: 2"]);
  expectLines(await inCapsule(script), ["linked: 42"]);
});

test.skipIf(!runs32 || !existsSync("/lib/ld-linux.so.2"))(
  "32-bit programs run, and their ld.so complains of nothing (takes libc6-i386, and a kernel that runs them)",
  async () => {
    const out = join(fixture.out, "small");
    const source = join("fixtures", "process", "isolated-libraries-are-found-however-a-program-is-started", "small.c");
    const flags = ["-m32", "-nostdlib", "-pie", "-Wl,-dynamic-linker,/lib/ld-linux.so.2"];
    expectLines(await run(["cc", ...flags, source, "-o", out]), []);
    expectLines(await natively("./small && ./small"), []);
    expectLines(await inCapsule("./small && ./small"), []);
  },
);

// As WebKitGTK and others make them for parts of themselves.
describe.skipIf(Bun.which("bwrap") === null)("in a sandbox that shows the library path's directories read-only", () => {
  const inside = (command: string) => `#!/bin/sh
    IFS=:
    for directory in $LD_LIBRARY_PATH; do set -- "$@" --ro-bind "$directory" "$directory"; done
    exec bwrap --unshare-pid --unshare-ipc --ro-bind / / --proc /proc --dev /dev --tmpfs /tmp --tmpfs "$XDG_CACHE_HOME" \\
      --ro-bind '${fixture.out}' '${fixture.out}' --tmpfs '${fixture.host}' "$@" --chdir '${fixture.out}' ${command}\n`;

  const started: [words: string, command: string, shown: string][] = [
    ["a program that is linked to it", "./program", "linked: 42"],
    ["one that opens it, and opens more", `./opening ${SONAME} ./runtime/${SONAME}`, "opened: 42"],
    ["a script", "sh -c './program; ./program'", "linked: 42"],
  ];
  let another: string;
  beforeAll(() => {
    another = copyOwnGlibc(join(mkdtempSync(join(tmpdir(), "capsule-test-")), "tree"));
  });
  afterAll(() => rmSync(dirname(another), { recursive: true }));

  const ways: [way: string, flags: () => string[]][] = [
    ["on the machine's glibc", () => []],
    ["on another one, by its ld.so's name", () => ["--glibc", another, "--mount-namespace", "never"]],
  ];
  for (const [way, flags] of ways)
    for (const [words, command, shown] of started)
      test(`${words} has the isolated library ${way}`, async () => {
        using file = script(inside(command));
        const outcome = await capsule([...fixture.flags(), ...flags()], file.path);
        expect(outcome.stderr).toBe("");
        expect(new Set(outcome.stdout.split("\n").slice(0, -1))).toEqual(new Set([shown]));
      });
});

test("a capsule in a capsule has its own libraries, and those of the one outside", async () => {
  const command = [process.execPath, "src/main.ts", "exec", ...fixture.flags()].join(" ");
  const inner = `cd '${process.cwd()}' && for mode in in-process attached; do ${command} --mode $mode ${fixture.program()}; done`;
  expectLines(await inCapsule(inner), ["linked: 42", "linked: 42"]);
});

test("a launcher's own way to a program: by a shell, through helpers, with an overlay preloaded that this machine lacks", async () => {
  // As Steam's: drops its own words up to "--", and runs the rest.
  using helper = script('#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done; shift; exec "$@"\n');
  const game = `'${helper.path}' -- '${helper.path}' SteamLaunch AppId=1 -- '${join(fixture.out, "program")}'`;
  const line = [...COMMAND, "exec", "--host", fixture.host, "--isolate", SONAME, "%command%"].join(" ");
  const env = { SteamAppId: "1", LD_PRELOAD: ":/nowhere/ubuntu12_32/overlay.so:/nowhere/ubuntu12_64/overlay.so" };
  const { stdout, exitCode } = await run(["sh", "-c", line.replace("%command%", () => game)], { env });
  expect([stdout, exitCode]).toEqual(["linked: 42\n", 0]);
});
