// Programs that a script starts: they run in processes of their own, so that this one can be a test's.

import { beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type CapsuleEvent,
  ElfError,
  exec,
  LinkError,
  ProgramError,
  type Running,
  spawn,
  UsageError,
} from "../../../src/index.ts";
import { build } from "../../support/fixtures.ts";
import { LIBRARIES, type Notgl, notgl } from "../../support/notgl.ts";

let family: Notgl;
let hook: string;

beforeAll(async () => {
  family = await notgl();
  const out = await build("library/a-hook-stands-in-front-of-a-hosts-function", [
    { path: "libhook.so", sources: ["hook.c"] },
  ]);
  hook = join(out, "libhook.so");
});

const SONAME = "libnotgl.so.0";
const choices = () => ({
  host: family.red,
  isolate: [SONAME],
  settings: false as const,
  env: { PATH: process.env.PATH, LD_LIBRARY_PATH: family.reference },
});

const failure = async (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

describe("exec tells how a program has ended:", () => {
  const ended = (script: string, more = {}) => exec("sh", ["-c", script], { ...choices(), ...more });

  test("its exit code", async () => {
    expect(await ended("exit 3")).toEqual({ exitCode: 3, signal: null, stoppedBy: null });
  });

  test("the signal that has ended it", async () => {
    expect(await ended("kill -SEGV $$")).toEqual({ exitCode: null, signal: "SIGSEGV", stoppedBy: null });
  });

  test("at once, whatever it has left behind", async () => {
    const before = performance.now();
    expect(await ended("sleep 20 & echo $!", { stdout: "ignore" })).toEqual({
      exitCode: 0,
      signal: null,
      stoppedBy: null,
    });
    expect(performance.now() - before).toBeLessThan(15_000);
  });

  test("when it was to take no longer, or was not wanted any more", async () => {
    expect(await ended("exec sleep 20", { timeout: 200 })).toEqual({
      exitCode: null,
      signal: "SIGTERM",
      stoppedBy: "timeout",
    });
    const controller = new AbortController();
    const running = ended("exec sleep 20", {
      signal: controller.signal,
      killSignal: "SIGINT",
      onEvent: ({ event }: CapsuleEvent) => event === "start" && controller.abort(),
    });
    expect(await running).toEqual({ exitCode: null, signal: "SIGINT", stoppedBy: "abort" });
  });

  test("before it has started, too", async () => {
    const running = spawn("sleep", ["20"], choices());
    running.kill();
    expect(await failure(running.started)).toBeInstanceOf(ProgramError);
    expect(await running.exited).toEqual({ exitCode: null, signal: "SIGTERM", stoppedBy: null });
    const wanted = new AbortController();
    wanted.abort(new RangeError("mine"));
    expect(await failure(ended("true", { signal: wanted.signal }))).toEqual(new RangeError("mine"));
  });

  test("and no descriptor stays open", async () => {
    const open = () => readdirSync("/proc/self/fd").length;
    await ended("true");
    const before = open();
    for (let i = 0; i < 4; i++) await ended("true");
    await failure(exec("/nowhere", [], choices()));
    // Bun closes what it has read by a moment later.
    for (const end = performance.now() + 10_000; open() > before && performance.now() < end; ) await Bun.sleep(1);
    expect(open()).toBeLessThanOrEqual(before);
  });
});

describe("spawn gives a program that runs", () => {
  const lines = async (running: Running<Bun.Spawn.Writable, "pipe">) =>
    (await running.stdout.text()).trim().split("\n");

  test("with standard input, output and error as bun has them", async () => {
    const running = spawn("sh", ["-c", "cat; echo done >&2"], {
      ...choices(),
      ...{ stdin: "pipe", stdout: "pipe", stderr: "pipe" },
    });
    running.stdin.write("from the script\n");
    running.stdin.end();
    expect(await running.stdout.text()).toBe("from the script\n");
    expect(await running.stderr.text()).toBe("done\n");
    expect(await running.exited).toEqual({ exitCode: 0, signal: null, stoppedBy: null });
  });

  test("in the directory, the environment and the process that the script knows", async () => {
    const running = spawn("sh", ["-c", 'pwd; echo "$COLOUR"; echo $$; ls /proc/self/fd | wc -l'], {
      ...choices(),
      cwd: "/usr",
      env: { ...choices().env, COLOUR: "red" },
      stdout: "pipe",
    });
    // ls has 0, 1, 2 and the directory that it reads
    expect(await lines(running)).toEqual(["/usr", "red", `${running.pid}`, "4"]);
  });

  test("with what is meant for its own Bun", async () => {
    const env = { ...choices().env, BUN_OPTIONS: "--preload=/nowhere.js", BUN_INSPECT: "ws://localhost:1/?wait=1" };
    const running = spawn("sh", ["-c", 'echo "$BUN_OPTIONS"; env | grep -c KEPT'], {
      ...choices(),
      env,
      stdout: "pipe",
    });
    expect(await lines(running)).toEqual(["--preload=/nowhere.js", "0"]);
  });

  test("that can be ended", async () => {
    const running = spawn("sleep", ["20"], choices());
    await running.started;
    running.kill("SIGKILL");
    expect(await running.exited).toEqual({ exitCode: null, signal: "SIGKILL", stoppedBy: null });
  });

  test("on the host's libraries, with hooks in front of them", async () => {
    const running = spawn(family.programs.linkedToOne, [], {
      ...choices(),
      stdout: "pipe",
      hooks: {
        [SONAME]: {
          notgl_get_implementation: { file: hook },
          notgl_use_helper: { file: hook, function: "other_helper" },
        },
      },
    });
    expect((await lines(running)).slice(0, 2)).toEqual([
      "notgl_get_implementation: red, hooked, call 1",
      "notgl_use_helper: host (red), by another name",
    ]);
  });
});

describe("what happens is told while it happens:", () => {
  const told = async (program: string, list: string[] = [], more = {}): Promise<CapsuleEvent[]> => {
    const events: CapsuleEvent[] = [];
    const ended = await exec(program, list, {
      ...choices(),
      ...{ stdout: "ignore", bindings: true, onEvent: (event) => events.push(event) },
      ...more,
    });
    expect(ended).toEqual({ exitCode: 0, signal: null, stoppedBy: null });
    return events;
  };
  const names = (events: CapsuleEvent[]) => events.map(({ event }) => event);

  test("the start, the libraries that are opened and linked, the end", async () => {
    const program = family.programs.linkedToOne;
    const events = await told(program);
    expect(names(events)).toEqual(["start", "opened", "linked", "ended"]);
    const [start, opened, linked, ended] = events;
    expect(start).toEqual({ event: "start", pid: expect.any(Number), program });
    const { pid } = start as { pid: number };
    const library = `${family.red}/${LIBRARIES}/libnotgl.so.0.123.456`;
    const helper = `${family.red}${family.reference}/libhelper.so.0`;
    expect(opened).toEqual({ event: "opened", pid, host: family.red, paths: [library, helper] });
    const bound = { object: program, path: library, isLazy: false };
    expect(linked).toEqual({
      ...{ event: "linked", pid, program, duration: expect.any(Number) },
      libraries: [{ soname: SONAME, path: library, host: family.red }],
      bindings: expect.arrayContaining([
        { ...bound, symbol: "notgl_get_implementation" },
        { ...bound, symbol: "notgl_use_helper" },
      ]),
    });
    expect(ended).toEqual({ event: "ended", pid });
  });

  test("each process that is started, and what is asked for", async () => {
    const events = await told("sh", ["-c", `'${family.programs.linkedToOne}'; '${family.programs.linkedToNone}'`]);
    const linked = events.filter(({ event }) => event === "linked");
    expect(linked.map((event) => "program" in event && event.program)).toEqual([
      family.programs.linkedToOne,
      family.programs.linkedToNone,
    ]);
    expect(new Set(linked.map((event) => "pid" in event && event.pid)).size).toBe(2);
  });

  test("an error of the listener's is not lost", async () => {
    const error = await failure(
      exec("true", [], {
        ...choices(),
        onEvent() {
          throw new RangeError("mine");
        },
      }),
    );
    expect(error).toEqual(new RangeError("mine"));
  });
});

describe("what cannot be run is an error that says what is at fault:", () => {
  test("no such program", async () => {
    const error = await failure(exec("no-such-program", [], choices()));
    expect(error).toBeInstanceOf(ProgramError);
    expect(error).toMatchObject({
      exitCode: 127,
      message: 'Cannot run "no-such-program": no directory in PATH has it',
    });
  });

  test("no such directory to run it in", async () => {
    const error = await failure(exec("true", [], { ...choices(), cwd: "/nowhere" }));
    expect(error).toBeInstanceOf(ProgramError);
    expect((error as Error).message).toBe('Cannot run "true" in "/nowhere": there is no such directory');
  });

  test("no such library, with where it was looked for", async () => {
    const error = await failure(exec("true", [], { ...choices(), isolate: ["libnone.so.1"] }));
    expect(error).toBeInstanceOf(LinkError);
    const { details } = error as LinkError;
    expect(details.object).toBe("libnone.so.1");
    expect(details.tried?.length).toBeGreaterThan(2);
  });

  test("a directory that cannot be written to", async () => {
    const error = await failure(exec("true", [], { ...choices(), env: { ...choices().env, TMPDIR: "/nowhere" } }));
    expect(error).toBeInstanceOf(LinkError);
    expect((error as Error).message).toContain("TMPDIR says which directory to use");
  });

  test("a word that says nothing", async () => {
    const error = await failure(exec("true", [], { ...choices(), glibc: "newest" }));
    expect(error).toBeInstanceOf(UsageError);
    const { started } = spawn("true", [], { ...choices(), profiles: ["none"] });
    expect(await failure(started)).toBeInstanceOf(UsageError);
  });

  test("two trees for libraries that belong together", async () => {
    const isolate = [`libGL.so.1=${family.red}`, `libEGL.so.1=${family.green}`];
    const error = await failure(exec("true", [], { ...choices(), isolate }));
    expect(error).toBeInstanceOf(UsageError);
    expect((error as Error).message).toContain("libGLdispatch.so.0");
  });

  test("a library that is unsound, when the program needs it", async () => {
    const tree = mkdtempSync(join(tmpdir(), "capsule-test-"));
    await Bun.write(
      join(tree, LIBRARIES, SONAME),
      readFileSync(`${family.red}/${LIBRARIES}/${SONAME}`).subarray(0, 300),
    );
    const error = await failure(exec(family.programs.linkedToOne, [], { ...choices(), host: tree }));
    expect(error).toBeInstanceOf(ElfError);
    expect((error as ElfError).path).toBe(join(tree, LIBRARIES, SONAME));
    rmSync(tree, { recursive: true });
  });
});
