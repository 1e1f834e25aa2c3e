// An attached program is a process like any other: what it has from its parent, how it ends, its terminal. And what
// stays behind of us goes when nobody needs it any more.

import { afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expectLines, expectSame } from "../support/expect.ts";
import { build } from "../support/fixtures.ts";
import { glibc } from "../support/glibc.ts";
import { lines } from "../support/lines.ts";
import { capsuleCommand, type Outcome, type RunOptions, run, start } from "../support/run.ts";
import { isRunning, ServingPlace } from "../support/serving.ts";

const LIBRARIES = "host/usr/lib/x86_64-linux-gnu";
let left: string;
let ends: string;
let terminal: string;
let place: ServingPlace;

beforeAll(async () => {
  left = await build("attached/a-program-finds-what-its-parent-has-left", [
    { path: `${LIBRARIES}/libhost.so.1`, sources: ["host.c"] },
    { path: "program", sources: ["program.c"] },
  ]);
  ends = await build("attached/the-end-of-a-program-is-its-own", [{ path: "parent", sources: ["parent.c"] }]);
  terminal = await build("attached/a-terminal-is-the-programs-own", [
    { path: "program", sources: ["program.c"] },
    { path: "driver", sources: ["driver.c"] },
  ]);
});
beforeEach(() => {
  place = new ServingPlace();
});
afterEach(() => place[Symbol.dispose]());

const FLAGS = () => ["--mode", "attached", "--host", join(left, "host"), "--isolate", "libhost.so.1"];
const command = (program: string, args: string[] = [], env: Record<string, string> = {}) =>
  capsuleCommand(FLAGS(), program, args, env);

/** The same command natively and attached, both run by `around`. */
async function both(program: string, args: string[], around: string[] = [], options: RunOptions = {}) {
  const env = { TMPDIR: place.path, ...options.env };
  const native = await run([...around, program, ...args], { ...options, env });
  const attached = await run([...around, ...command(program, args, env)], { ...options, env });
  await place.emptied();
  return { native, attached };
}

describe("an attached program finds what its parent has left:", () => {
  const ours = /^variable: LD_LIBRARY_PATH=/;
  const room = /^variable: GLIBC_TUNABLES=glibc\.rtld\.optional_static_tls=\d+$|:glibc\.rtld\.optional_static_tls=\d+$/;
  const auditor = /^variable: LD_AUDIT=.*\/capsule-\w{6}\/lib\/audit\/libcapsule-audit-\$PLATFORM\.so$/;
  const facts = ({ stdout }: Outcome) =>
    lines(stdout)
      .filter((line) => !ours.test(line) && !auditor.test(line))
      .map((line) => line.replace(room, ""))
      .filter(Boolean);
  const program = () => join(left, "program");

  async function expectSameFacts(around: string[], args: string[] = [], env: Record<string, string> = {}) {
    const { native, attached } = await both(program(), args, around, { env });
    expect([native.stderr, native.exitCode]).toEqual(["", 0]);
    expect([attached.stderr, attached.exitCode]).toEqual(["", 0]);
    expect(facts(attached)).toEqual(facts(native));
    return lines(attached.stdout);
  }
  const shell = (before: string, redirections = "") => ["sh", "-c", `${before} "$@" ${redirections}`, "sh"];

  test("nothing special", async () => {
    const shown = await expectSameFacts([], ["one", "", "two words", "--", "--help"]);
    expect(shown).toContain("argument: --help");
    expect(shown.find((line) => ours.test(line))).toMatch(
      /=\/.*\/capsule-\w{6}\/lib:\/[^:]*\/host(?::\/[^:]*\/trees\/[^:]*)?$/,
    );
    expect(shown.filter((line) => auditor.test(line))).toHaveLength(glibc < 35 ? 0 : 1);
  });

  test("arguments and variables that are no UTF-8", async () => {
    const shown = await expectSameFacts(shell('ODD=$(printf "\\351"); export ODD; exec', '"$ODD"'), ["x"], {
      LD_LIBRARY_PATH: "/nowhere:/not/here",
    });
    expect(shown).toContain("argument: \\xe9");
    expect(shown).toContain("variable: ODD=\\xe9");
    expect(shown.find((line) => ours.test(line))).toMatch(
      /\/lib:\/nowhere:\/not\/here:\/[^:]*\/host(?::\/[^:]*\/trees\/[^:]*)?$/,
    );
  });

  test("descriptors, and no others", () => expectSameFacts(shell("exec", "3</dev/null 5</ 7>&1 </dev/null")));

  test("descriptors in the middle of ours", () => expectSameFacts(shell("exec", "11</dev/null 20</ 4>/dev/null")));

  test("signals that are ignored", async () => {
    const shown = await expectSameFacts(shell('trap "" HUP INT QUIT TERM USR1 TSTP 40; exec'));
    const ignored = shown.filter((line) => line.endsWith(": ignored"));
    expect(ignored).toEqual([1, 2, 3, 10, 15, 20, 40].map((signal) => `signal ${signal}: ignored`));
  });

  // Bun ignores it itself as it begins, and nobody remembers what was before.
  test.todo("that SIGPIPE is ignored", async () => {
    const shown = await expectSameFacts(shell('trap "" PIPE; exec'));
    expect(shown).toContain("signal 13: ignored");
  });

  test("limits, its mask, its niceness", () =>
    expectSameFacts(shell("ulimit -S -n 200; ulimit -c 0; ulimit -S -s 4096; umask 027; cd /; nice -n 3"), []));

  test("a mask that forbids everything", () => expectSameFacts(shell("umask 0777; exec")));

  test("an empty library path", () => expectSameFacts([], [], { LD_LIBRARY_PATH: "" }));

  test("what the user sets for ld.so", () =>
    expectSameFacts([], [], { LD_BIND_NOW: "1", GLIBC_TUNABLES: "glibc.malloc.tcache_count=3" }));

  test("no variable of a package runner's", async () => {
    // Of one that runs the tests, too.
    const PATH = "/usr/bin:/bin";
    const bare = await run([program()], { env: { PATH } });
    const outcome = await run([...command(program())], {
      env: {
        TMPDIR: place.path,
        npm_execpath: "/x",
        npm_config_y: "z",
        PATH: `/a/node_modules/.bin:${PATH}`,
      },
    });
    const variables = (of: Outcome) => facts(of).filter((line) => line.startsWith("variable: "));
    expect(variables(outcome).filter((line) => !line.startsWith("variable: TMPDIR="))).toEqual(variables(bare));
    await place.emptied();
  });

  test("its own process: number, parent and standard streams", async () => {
    const script = "echo $$ $PPID; readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2; exit 5";
    await using child = start(command("/bin/sh", ["-c", script]), { env: { TMPDIR: place.path } });
    const streams = [0, 1, 2].map((fd) => readlinkSync(`/proc/${child.pid}/fd/${fd}`));
    expect(await child.end()).toMatchObject({
      stdout: [`${child.pid} ${process.pid}`, ...streams, ""].join("\n"),
      stderr: "",
      exitCode: 5,
    });
    await place.emptied();
  });
});

describe("whoever runs an attached program sees how it ends:", () => {
  const expected = (end: string) => ["ended: the child", end, "no other child"];

  for (const code of [0, 1, 77, 125, 126, 127, 255])
    test(`with ${code}`, async () => {
      const { native, attached } = await both("/bin/sh", ["-c", `exit ${code}`], [join(ends, "parent")]);
      for (const outcome of [native, attached]) expectLines(outcome, expected(`exit code ${code}`));
    });

  for (const signal of [1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 24, 25, 26, 27, 29, 30, 31, 34, 64])
    test(`of signal ${signal}, with a core where natively there is one`, async () => {
      const around = ["sh", "-c", 'ulimit -c 0; exec "$@"', "sh", join(ends, "parent")];
      const { native, attached } = await both("/bin/sh", ["-c", `kill -${signal} $$`], around);
      expect(lines(native.stdout)[1]).toStartWith(`signal ${signal}, `);
      expectSame(attached, native);
    });

  for (const signal of [6, 11])
    test(`of signal ${signal}, with a core where the limit allows one`, async () => {
      const cores = [];
      for (const argv of [["/bin/sh"], command("/bin/sh")]) {
        const cwd = join(place.path, "..", `${place.path.split("/").at(-1)}-core-${cores.length}`);
        mkdirSync(cwd);
        const around = ["sh", "-c", 'ulimit -c unlimited; exec "$@"', "sh", join(ends, "parent")];
        const outcome = await run([...around, ...argv, "-c", `kill -${signal} $$`], {
          env: { TMPDIR: place.path },
          cwd,
        });
        cores.push([outcome.stdout, readdirSync(cwd).map((name) => name.replace(/\d+/, "N"))]);
        rmSync(cwd, { recursive: true });
      }
      expect(cores[1]).toEqual(cores[0]);
      await place.emptied();
    });

  test("of a signal that is sent to it", async () => {
    const script = "echo ready; exec sleep 1000";
    await using child = start(command("/bin/sh", ["-c", script]), { env: { TMPDIR: place.path } });
    await child.line((line) => line === "ready");
    process.kill(child.pid, "SIGTERM");
    expect(await child.end()).toMatchObject({ signal: "SIGTERM", stdout: "ready\n", stderr: "" });
    await place.emptied();
  });
});

describe("the terminal is an attached program's own:", () => {
  const shown = (end: string) => [
    "terminal: 1 1 1",
    "in the foreground: 1",
    "in its parent's session: 1",
    "window: 24 x 80",
    "ready",
    "window: 24 x 132",
    "stopped by 20",
    "continued, in the foreground: 1",
    "read: hello",
    end,
  ];
  for (const [way, end] of [
    ["line", "ended with 7"],
    ["interrupt", "ended by signal 2"],
    ["quit", "ended by signal 3"],
  ] as const)
    test(`its size, Ctrl-Z, the foreground again, and the end by ${way}`, async () => {
      const driver = [join(terminal, "driver"), way];
      const env = { TMPDIR: place.path };
      const around = (argv: string[]) => run([...driver, ...argv], { env });
      expectLines(await around([join(terminal, "program")]), shown(end));
      expectLines(await around(command(join(terminal, "program"))), shown(end));
      await place.emptied();
    });
});

describe("the server", () => {
  const env = () => ({ TMPDIR: place.path });
  /** A program that says that it runs, and ends when its input does. */
  const waiting = () => [...command("/bin/sh", ["-c", "echo ready; read line <$0; echo over", fifo()], env())];
  const fifo = () => join(place.path, "..", `${place.path.split("/").at(-1)}-fifo`);

  test("is nobody's child, in a session of its own, and has nothing of the program's", async () => {
    await run(["mkfifo", fifo()]);
    await using child = start(waiting(), { env: { ...env(), LD_PRELOAD: join(left, LIBRARIES, "libhost.so.1") } });
    await child.line((line) => line === "ready");
    const { server } = place.serving;
    const status = readFileSync(`/proc/${server}/status`, "latin1");
    const [, parent] = /^PPid:\t(\d+)/m.exec(status) ?? [];
    expect([child.pid, process.pid]).not.toContain(Number(parent));
    const session = (pid: number) => readFileSync(`/proc/${pid}/stat`, "latin1").split(") ").at(-1)?.split(" ")[3];
    expect(session(server)).not.toBe(session(child.pid));
    expect(readlinkSync(`/proc/${server}/cwd`)).toBe("/");
    // Its output is the program's standard error, until something is linked.
    const opened = [0, 2].map((fd) => readlinkSync(`/proc/${server}/fd/${fd}`));
    expect(opened).toEqual(["/dev/null", "/dev/null"]);
    expect(readFileSync(`/proc/${server}/maps`, "latin1")).not.toContain("libhost.so.1");
    expect(readFileSync(`/proc/${child.pid}/maps`, "latin1")).toContain("libhost.so.1");
    writeFileSync(fifo(), "go\n");
    expect(await child.end()).toMatchObject({ stdout: "ready\nover\n", stderr: "", exitCode: 0 });
    await place.emptied();
    await gone(server);
  });

  test("stays for a daemon, whose parent's end everybody sees at once", async () => {
    await run(["mkfifo", fifo()]);
    const script = 'setsid sh -c "read line <\\"$0\\"" >/dev/null 2>&1 </dev/null & echo $!';
    const outcome = await run(command("/bin/sh", ["-c", script, fifo()], env()), { env: env() });
    expect(outcome).toMatchObject({ stderr: "", exitCode: 0 });
    // Two of them may be waiting: for the end of another process, and for that of the daemon.
    const { directory, server } = place.serving;
    await run(command("/bin/true", [], env()), { env: env() });
    expect(isRunning(server)).toBe(true);
    expect(existsSync(join(directory, "lib", "channel"))).toBe(true);
    writeFileSync(fifo(), "go\n");
    await place.emptied();
    await gone(server);
  });

  test("may be killed: the program goes on, and the next start tidies up", async () => {
    await run(["mkfifo", fifo()]);
    await using child = start(waiting(), { env: env() });
    await child.line((line) => line === "ready");
    const { server, directory } = place.serving;
    process.kill(server, "SIGKILL");
    await gone(server);
    expect(existsSync(directory)).toBe(true);
    expect((await run(command("/bin/true", [], env()), { env: env() })).exitCode).toBe(0);
    await place.emptied();
    writeFileSync(fifo(), "go\n");
    expect(await child.end()).toMatchObject({ stdout: "ready\nover\n", stderr: "", exitCode: 0 });
  });

  test("ends when the program could not be run", async () => {
    mkdirSync(join(place.path, "t"));
    const program = join(left, "no-loader");
    const outcome = await run(command(program), { env: { TMPDIR: join(place.path, "t") } });
    expect(outcome.exitCode).toBe(127);
  });

  /** A process whose parent is not ours cannot be waited for, but its directory in /proc goes. */
  async function gone(pid: number): Promise<void> {
    const child = Bun.spawn(["tail", "--pid", `${pid}`, "-s", "0.01", "-f", "/dev/null"]);
    expect(await child.exited).toBe(0);
  }
});
