// `capsule tree`: what is drawn of small trees, on both sides, and what becomes of bad ones.

import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LinkedTrees } from "../../support/linked-trees.ts";
import { COMMAND, command, type Outcome, repository, run } from "../../support/run.ts";

const trees = new LinkedTrees();
afterAll(() => trees[Symbol.dispose]());

const host = trees.path("host");
const runtime = trees.path("runtime");
const SIDES = ["--host", host, "--runtime", runtime, "--isolate", "libdoor.so.1"];

trees.library("runtime/usr/lib/libown.so.1.0.0", { needs: ["libdoor.so.1", "libboth.so.1"] });
trees.library("runtime/usr/lib/libboth.so.1.1.0", { needs: ["libc.so.6"] });
trees.library("runtime/usr/lib/libdoor.so.1.0.9");
trees.library("private/libhidden.so.1");
trees.library("host/usr/lib/libdoor.so.1.2.0", { needs: ["libboth.so.1", "libloop.so.1", "libc.so.6"] });
trees.library("host/usr/lib/libboth.so.1.3.0");
trees.library("host/usr/lib/libloop.so.1", { needs: ["libdoor.so.1", "libboth.so.1"] });
trees.library("host/usr/lib/libspare.so.1", { needs: ["libboth.so.1"] });
const game = trees.program("bin/game", {
  needs: ["libown.so.1", "libhidden.so.1", "libdoor.so.1"],
  runpath: "$ORIGIN/../private",
});

/** A libc to be linked to. */
const STUB = ["-shared", "-nostdlib", "-Wl,-soname,libc.so.6"];

const tree = (args: string[], env: Record<string, string> = {}): Promise<Outcome> =>
  command(["tree", ...args], { env });

/** What it draws, up to the clashes. */
async function drawn(args: string[]): Promise<string[]> {
  const { stdout, stderr } = await tree(args);
  expect(stderr).toBe("");
  const lines = stdout.split("\n");
  return lines.slice(0, lines.findIndex((line) => /^No clashes|^\d+ clash/.test(line)) - 1);
}

describe("both sides are drawn,", () => {
  test("with why each library is there, what has a file on either side, and the clashes in a table", async () => {
    const { stdout, stderr, exitCode } = await tree([...SIDES, game]);
    expect([stderr, exitCode]).toEqual(["", 0]);
    expect(stdout.split("\n").slice(0, -2)).toEqual([
      game,
      "├── libown.so.1 [default directory]",
      "│   ├── libdoor.so.1 [shim]",
      "│   └── libboth.so.1 [default directory] ≠ the capsule's 1.3.0",
      "├── libhidden.so.1 [runpath]",
      "└── libdoor.so.1 [shim]",
      "",
      `capsule of ${host}`,
      "└── libdoor.so.1 [isolated, default directory] ≠ the runtime's 1.0.9",
      "    ├── libboth.so.1 [default directory] ≠ the program's 1.1.0",
      "    └── libloop.so.1 [default directory]",
      "",
      "2 clashes: one soname, different files",
      `                ${[runtime, host].join("  ")}`,
      ...["libboth.so.1  1.1.0 1.3.0 both, kept apart", "libdoor.so.1  1.0.9 1.2.0 the host's instead"].map((row) => {
        const [soname = "", one = "", other = "", ...outcome] = row.split(/ +/);
        return `  ${soname}  ${one.padEnd(runtime.length)}  ${other.padEnd(host.length)}  ${outcome.join(" ")}`;
      }),
      "",
    ]);
  });

  test("with -v the shared set, and that a capsule has mirrors of it", async () => {
    const lines = await drawn([...SIDES, "-v", game]);
    expect(lines).toContain(
      "│       └── libc.so.6 [shared set, glibc 2.36]".replace(/\d+\.\d+/, versionOfGlibc(lines)),
    );
    expect(lines).toContain("    └── libc.so.6 [mirror of the shared set's]");
    expect(lines).not.toContainEqual(expect.stringContaining("ld-linux"));
  });

  test("with -vv what that needs, and with -vvv what was drawn before", async () => {
    const two = await drawn([...SIDES, "-vv", game]);
    expect(two).toContainEqual(expect.stringContaining("ld-linux-x86-64.so.2 [shared set"));
    expect(two).toContain("    ├── libloop.so.1 [default directory]");
    expect(two).toContain("    │   ├── libdoor.so.1 [above]");
    const twice = trees.program("bin/twice", { needs: ["libown.so.1", "libboth.so.1"] });
    const again = "└── libboth.so.1 [above]";
    const below = async (level: string) => {
      const lines = await drawn([...SIDES, level, twice]);
      return lines[lines.indexOf(again) + 1];
    };
    expect(await below("-vv")).toBe("");
    expect(await below("-vvv")).toBe("    └── libc.so.6 [above]");
  });

  test("with --path as paths", async () => {
    const lines = await drawn([...SIDES, "--path", game]);
    expect(lines).toContain(`├── ${trees.path("private/libhidden.so.1")} [runpath]`);
    expect(lines).toContain(`└── ${host}/usr/lib/libdoor.so.1.2.0 [isolated, default directory] ≠ the runtime's 1.0.9`);
  });

  test("with what the program might open named, and drawn by -v", async () => {
    const args = [...SIDES, "--isolate", "libspare.so.1", game];
    const short = await drawn(args);
    expect(short.slice(-2)).toEqual(["└── if the program opens it", "      libspare.so.1"]);
    const long = await drawn(["-v", ...args]);
    expect(long.slice(-2)).toEqual([
      "    └── libspare.so.1 [isolated, default directory]",
      "        └── libboth.so.1 [above]",
    ]);
  });

  test("a capsule for each host tree, which see each other's isolated libraries by mirrors", async () => {
    trees.library("other/usr/lib/libspare.so.1.7.0", { needs: ["libdoor.so.1"] });
    const other = trees.path("other");
    const needy = trees.program("bin/needy", { needs: ["libspare.so.1"] });
    const lines = await drawn([...SIDES, "--isolate", `libspare.so.1=${other}`, needy]);
    expect(lines).toEqual([
      needy,
      "└── libspare.so.1 [shim]",
      "",
      `capsule of ${host}`,
      "└── libdoor.so.1 [isolated, default directory]",
      "    ├── libboth.so.1 [default directory]",
      "    └── libloop.so.1 [default directory]",
      "",
      `capsule of ${other}`,
      "└── libspare.so.1 [isolated, default directory]",
      `    └── libdoor.so.1 [mirror of ${host}'s]`,
    ]);
  });

  test("with whose DT_RPATH it was, where that is another one's", async () => {
    trees.library("private/libinner.so.1");
    trees.library("private/libouter.so.1", { needs: ["libinner.so.1"] });
    const old = trees.program("bin/old", { needs: ["libouter.so.1"], rpath: "$ORIGIN/../private" });
    const lines = await drawn([...SIDES, old]);
    expect(lines.slice(1, 3)).toEqual(["└── libouter.so.1 [rpath]", "    └── libinner.so.1 [rpath of old]"]);
  });
});

/** This machine's, as it is told of. */
const versionOfGlibc = (lines: readonly string[]): string =>
  /\[shared set, glibc (\d+\.\d+)\]/.exec(lines.join("\n"))?.[1] ?? "";

describe("what is missing", () => {
  test("on the program's side is told with where it was looked for, and makes it end with 127", async () => {
    const program = trees.program("bin/lacks", { needs: ["libgone.so.1", "libdoor.so.1"], runpath: "/nowhere" });
    const { stdout, stderr, exitCode } = await tree([...SIDES, program]);
    expect([stderr, exitCode]).toEqual(["", 127]);
    expect(stdout.split("\n").slice(0, 4)).toEqual([
      program,
      "├── libgone.so.1 [not found]",
      `│     ┊ ${runtime}/nowhere/libgone.so.1: no such file`,
      `│     ┊ ${runtime}/etc/ld.so.cache: there is none`,
    ]);
  });

  test("in a capsule at the start makes it end with 125, and otherwise with 0", async () => {
    trees.library("poor/usr/lib/libdoor.so.1", { needs: ["libgone.so.1"] });
    const args = ["--host", trees.path("poor"), "--runtime", runtime, "--isolate", "libdoor.so.1"];
    const needed = await tree([...args, game]);
    expect(needed.exitCode).toBe(125);
    expect(needed.stdout).toContain(
      `    └── libgone.so.1 [not found]\n          ┊ ${trees.path("poor")}/etc/ld.so.cache`,
    );
    const spare = trees.program("bin/modest", { needs: ["libboth.so.1"] });
    expect((await tree([...args, spare])).exitCode).toBe(0);
  });

  test("is said of an unsound file, with what is wrong", async () => {
    mkdirSync(trees.path("broken/usr/lib"), { recursive: true });
    writeFileSync(trees.path("broken/usr/lib/libbad.so.1"), "GROUP ( nothing )");
    const program = trees.program("bin/unsound", { needs: ["libbad.so.1"] });
    const { stdout, exitCode } = await tree(["--runtime", trees.path("broken"), program]);
    expect(stdout).toContain("└── libbad.so.1 [unsound: ELF header: ");
    expect(exitCode).toBe(127);
  });
});

test("what needs a newer glibc than all of it runs on is told, and makes it end with 125", async () => {
  // A version that this machine's libc does not have is only there to be needed.
  const stub = trees.write("version.map", "GLIBC_2.98 { global: from_tomorrow; };");
  const libc = trees.compile("libc-stub.so", "void from_tomorrow(void) {}", ...STUB, `-Wl,--version-script=${stub}`);
  const eager = trees.compile(
    "eager",
    "void from_tomorrow(void); void _start(void) { from_tomorrow(); }",
    "-nostdlib",
    libc,
  );
  const { stdout, exitCode } = await tree([...SIDES, eager]);
  expect(stdout).toStartWith(`${eager} needs glibc 2.98\n`);
  expect(exitCode).toBe(125);
});

test("a file that LD_LIBRARY_PATH leads to by another name is the same file", async () => {
  const env = { LD_LIBRARY_PATH: join(host, "usr/lib") };
  const needy = trees.program("bin/outer", { needs: ["libboth.so.1", "libdoor.so.1"] });
  const { stdout } = await tree([...SIDES, needy], env);
  expect(stdout.split("\n").slice(1, 2)).toEqual(["├── libboth.so.1 [LD_LIBRARY_PATH]"]);
  expect(stdout).toContain("No clashes: ");
});

describe("what it is asked about may be", () => {
  test("a script, of which the interpreter is looked at as the kernel and env do it", async () => {
    const script = trees.write("start", `#!/usr/bin/env -S sh -e\n`);
    const outer = trees.write("outer", `#!${script}\n`);
    for (const path of [script, outer]) chmodSync(path, 0o755);
    const { stdout, exitCode } = await tree([...SIDES, outer]);
    expect(exitCode).toBe(0);
    expect(stdout.split("\n").slice(0, 3)).toEqual([
      `${outer} [a script; what it starts is not in here]`,
      `└── ${script} [a script; what it starts is not in here]`,
      `    └── ${realpathSync("/bin/sh")}`,
    ]);
  });

  test("a static program, which loads nothing", async () => {
    for (const flags of [["-static"], ["-static-pie"]]) {
      const program = trees.compile(`fixed${flags}`, "int main(void) { return 0; }", ...flags);
      const { stdout, exitCode } = await tree([program]);
      expect(stdout.split("\n")[0]).toBe(`${program} [statically linked: it loads nothing]`);
      expect(exitCode).toBe(0);
    }
  });

  test("a soname: of the runtime, or of the host tree if it is isolated", async () => {
    expect((await drawn([...SIDES, "libown.so.1"]))[0]).toBe("libown.so.1 [default directory]");
    expect((await drawn([...SIDES, "libdoor.so.1"])).slice(0, 2)).toEqual([
      `capsule of ${host}`,
      "└── libdoor.so.1 [isolated, default directory] ≠ the runtime's 1.0.9",
    ]);
  });

  test("a library's file, which is on the side of its tree", async () => {
    const own = join(runtime, "usr/lib/libown.so.1.0.0");
    expect((await drawn([...SIDES, own])).slice(0, 2)).toEqual([own, "├── libdoor.so.1 [shim]"]);
    const loop = join(host, "usr/lib/libloop.so.1");
    expect((await drawn([...SIDES, loop])).slice(0, 2)).toEqual([`capsule of ${host}`, "└── libloop.so.1 [as asked]"]);
  });
});

describe("names that would do something to a terminal", () => {
  const soname = "libodd\n\x1b[31m.so.1";
  test("are spelled out, and JSON has them as they are", async () => {
    trees.library("runtime/usr/lib/libodd.so.1", { soname });
    const program = trees.program("bin/odd", { needs: [soname, "libgone\x07.so"] });
    const { stdout } = await tree([...SIDES, program]);
    expect(stdout).toContain("├── libodd\\x0a\\x1b[31m.so.1 [default directory]\n");
    expect(stdout).toContain("└── libgone\\x07.so [not found]\n");
    expect(stdout).not.toContain("\x1b");
    const { libraries } = JSON.parse((await tree([...SIDES, "--json", program])).stdout).program;
    expect(libraries.map((one: { name: string }) => one.name)).toContain(soname);
  });
});

describe("colours", () => {
  test("are for terminals, for who asks for them, and not for who does not want them", async () => {
    const hasColours = async (env: Record<string, string>) =>
      (await tree([...SIDES, game], env)).stdout.includes("\x1b[");
    expect(await hasColours({})).toBe(false);
    expect(await hasColours({ FORCE_COLOR: "1" })).toBe(true);
    expect(await hasColours({ FORCE_COLOR: "0" })).toBe(false);
    const onTerminal = async (env: string) =>
      (
        await run([
          "script",
          "-qec",
          `CI=1 ${env} ${COMMAND.join(" ")} tree ${[...SIDES, game].join(" ")}`,
          "/dev/null",
        ])
      ).stdout;
    expect(await onTerminal("TERM=xterm")).toContain("\x1b[35mlibdoor.so.1");
    expect(await onTerminal("TERM=xterm NO_COLOR=1")).not.toContain("\x1b[");
    expect(await onTerminal("TERM=dumb")).not.toContain("\x1b[");
  });
});

describe("natively, there is one side,", () => {
  test("with what the program finds itself, and nothing that could clash", async () => {
    const { stdout, stderr, exitCode } = await tree(["--native", "--runtime", runtime, game]);
    expect([stderr, exitCode]).toEqual(["", 0]);
    expect(stdout.split("\n").slice(0, -2)).toEqual([
      game,
      "├── libown.so.1 [default directory]",
      "│   ├── libdoor.so.1 [default directory]",
      "│   └── libboth.so.1 [default directory]",
      "├── libhidden.so.1 [runpath]",
      "└── libdoor.so.1 [above]",
      "",
    ]);
  });

  test("whatever profiles the user's settings name, but not with options of capsules", async () => {
    const settings = trees.path("capsule.toml");
    writeFileSync(settings, `host = "/nowhere"\nruntime = "${runtime}"\nprofile = []\n`);
    expect((await tree(["--native", "--settings", settings, game])).stderr).toBe("");
    const { stderr, exitCode } = await tree(["--native", ...SIDES, game]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain("option '--native' cannot be used with option '--host <dir>'");
  });

  test("of which --max-depth shows as much as it says, on every side", async () => {
    const native = ["--native", "--runtime", runtime, "--max-depth"];
    expect((await drawn([...SIDES, "--max-depth", "1", game])).filter((line) => /^[│ ]+[├└]/.test(line))).toEqual([]);
    expect((await tree([...native, "0", game])).stdout.split("\n").slice(0, 2)).toEqual([game, ""]);
    const { stdout } = await tree([...native, "1", game]);
    expect(stdout).toContain("├── libown.so.1 [default directory]\n├── libhidden.so.1 [runpath]\n└── libdoor.so.1 [");
    expect(await tree([...native, "deep", game])).toMatchObject({ stdout: "", exitCode: 2 });
  });
});

test("several programs are drawn one after the other, and one that fails keeps no other from it", async () => {
  const native = ["--native", "--runtime", runtime];
  const { stdout, stderr, exitCode } = await tree([
    ...native,
    game,
    "/no/such/game",
    join(runtime, "usr/lib/libown.so.1.0.0"),
  ]);
  expect([stderr, exitCode]).toEqual(['capsule: Cannot find "/no/such/game": no such file\n', 127]);
  expect(stdout).toContain(`\n\n${join(runtime, "usr/lib/libown.so.1.0.0")}\n├── libdoor.so.1 `);
  const all = JSON.parse((await tree([...native, "--json", game, game])).stdout) as { asked: { path: string } }[];
  expect(all.map(({ asked }) => asked.path)).toEqual([game, game]);
});

test("JSON tells of each side's libraries, of doors between them, and of the clashes", async () => {
  const { stdout, exitCode } = await tree([...SIDES, "--json", game]);
  expect(exitCode).toBe(0);
  const report = JSON.parse(stdout);
  expect(report.asked).toEqual({ kind: "program", path: game, scripts: [] });
  const own = report.program.libraries.find((one: { soname: string }) => one.soname === "libown.so.1");
  const door = join(host, "usr/lib/libdoor.so.1.2.0");
  expect(own).toEqual({
    name: "libown.so.1",
    soname: "libown.so.1",
    path: join(runtime, "usr/lib/libown.so.1.0.0"),
    version: "1.0.0",
    role: "runtime",
    when: "start",
    why: "default directory",
    neededBy: game,
    missedGlibc: null,
    needs: [
      { name: "libdoor.so.1", path: door, tree: host, door: "shim" },
      { name: "libboth.so.1", path: join(runtime, "usr/lib/libboth.so.1.1.0"), tree: runtime, door: null },
    ],
  });
  expect(report.capsules.map(({ tree }: { tree: string }) => tree)).toEqual([host]);
  expect(report.clashes).toMatchObject([
    { soname: "libboth.so.1", keptApart: true, when: "start", files: [{ version: "1.1.0" }, { version: "1.3.0" }] },
    {
      soname: "libdoor.so.1",
      keptApart: false,
      files: [
        { isLoaded: false, tree: runtime },
        { isLoaded: true, path: door },
      ],
    },
  ]);
});

describe("a clear error, and nothing on standard output, for", () => {
  const short = trees.write("short", "\x7fELF\x02\x01\x01");
  const mistakes: [string, string[], string, number][] = [
    ["what is no program and no library", ["libnone.so.9"], "no directory in PATH has it, and as a library", 127],
    ["no such file", ["./libnone.so.9"], 'Cannot find "./libnone.so.9": no such file', 127],
    ["a directory", ["/usr/"], "not a regular file", 125],
    ["a text that cannot be run", [join(repository, "package.json")], "not an ELF file", 125],
    ["a file that ends too soon", [short], "ELF header", 125],
    ["a script without an interpreter", [trees.write("nobody", "#!\n")], "names no interpreter", 126],
    [
      "a script that runs itself",
      [trees.write("again", `#!${trees.path("again")}\n`)],
      "each other's interpreters",
      126,
    ],
    ["an empty name", [""], "a program, a file or a soname is needed", 125],
    ["no name", [], "missing required argument 'program'", 2],
    [
      "a host tree that lacks what is named",
      ["--host", host, "--isolate", "libnone.so", "/bin/sh"],
      "Cannot find",
      125,
    ],
  ];
  for (const file of ["nobody", "again"]) chmodSync(trees.path(file), 0o755);
  for (const [what, args, message, code] of mistakes)
    test(what, async () => {
      const { stdout, stderr, exitCode } = await tree(args);
      expect(stdout).toBe("");
      expect(stderr).toContain(message);
      expect(stderr).not.toMatch(/^ +at /m);
      expect(exitCode).toBe(code);
    });

  test("a FIFO, without waiting for it", async () => {
    await run(["mkfifo", trees.path("fifo")]);
    const { stderr, exitCode } = await tree([trees.path("fifo")]);
    expect(stderr).toContain("not a regular file");
    expect(exitCode).toBe(125);
  });
});
