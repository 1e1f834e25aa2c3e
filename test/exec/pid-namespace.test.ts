// Where /proc is that of another PID namespace, and where the end of a process cannot be waited for.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { expectLines } from "../support/expect.ts";
import { HOST, type Pair, pair } from "../support/pair.ts";
import { COMMAND, capsuleCommand, type Outcome, run } from "../support/run.ts";
import { flatpakFilter } from "../support/seccomp.ts";
import { FAILED, Workshop } from "../support/workshop.ts";

const BWRAP = ["bwrap", "--dev-bind", "/", "/"];
const canWrap = Bun.which("bwrap") !== null && Bun.spawnSync([...BWRAP, "--unshare-pid", "true"]).success;
const PIDFD_OPEN = 434;

let workshop: Workshop;
let fixture: Pair;
beforeAll(async () => {
  workshop = await Workshop.open({});
  fixture = await pair("attached-linking/who-loads-nothing-starts-what-is-linked", [
    { path: `${HOST}/libhost.so.1`, sources: ["host.c"], flags: ['-DPLACE="host"'] },
    { path: "program", sources: ["program.c"], needs: [`${HOST}/libhost.so.1`] },
  ]);
});
afterAll(() => workshop[Symbol.dispose]());

const MODES = ["in-process", "attached", "auto"];
const word = (mode: string) => ["--mode", mode, ...fixture.flags()];

describe.skipIf(!canWrap)("in a PID namespace with the /proc of the one outside (takes bubblewrap)", () => {
  const inside = (words: string[], more: string[] = []): Promise<Outcome> =>
    run([...BWRAP, "--unshare-pid", ...more, ...words]);

  for (const mode of MODES)
    test(`nothing is run, and a sentence says why, ${mode}`, async () => {
      const outcome = await inside(capsuleCommand(word(mode), "/bin/true"));
      workshop.expectRefusal(outcome, FAILED, "/proc is that of another PID namespace", "--proc /proc");
    });

  test("plan says the same", async () => {
    const outcome = await inside([...COMMAND, "plan", ...fixture.flags(), "/bin/true"]);
    workshop.expectRefusal(outcome, FAILED, "/proc is that of another PID namespace");
  });

  test("doctor says so, and nothing else that would follow from it", async () => {
    const { stdout, stderr, exitCode } = await inside([...COMMAND, "doctor", ...fixture.flags()]);
    expect(stderr).toBe("");
    expect(stdout).toContain("✘ /proc is that of another PID namespace");
    expect(stdout.match(/✘/g)).toHaveLength(1);
    expect(exitCode).toBe(1);
  });

  for (const mode of MODES)
    test(`with its own /proc a program runs, ${mode}`, async () => {
      const command = capsuleCommand(word(mode), "/bin/echo", ["it", "runs"]);
      expectLines(await inside(command, ["--proc", "/proc"]), ["it runs"]);
    });
});

// It asks sooner than the server has booted, of which it knows a number that is another process's there, or nobody's.
for (const mode of ["attached", "auto"])
  test.skipIf(!canWrap)(
    `a first program that makes a PID namespace has linked what it starts there, ${mode}`,
    async () => {
      for (let time = 0; time < 5; time++) {
        const words = [...BWRAP.slice(1), "--unshare-pid", "--proc", "/proc", fixture.program()];
        const outcome = await run(capsuleCommand(word(mode), "bwrap", words));
        expect(outcome).toMatchObject({ stdout: "the library of the host, told nothing\n", stderr: "", exitCode: 3 });
      }
    },
  );

describe.skipIf(!canWrap)("where pidfd_open(2) is refused (takes bubblewrap)", () => {
  const filtered = async (words: string[]): Promise<Outcome> => {
    const filter = join(workshop.directory, "filter");
    await Bun.write(filter, flatpakFilter([PIDFD_OPEN]));
    return run(["sh", "-c", 'exec "$@" 9< "$0"', filter, ...BWRAP, "--seccomp", "9", ...words]);
  };

  test("nothing is run attached, and a sentence says why", async () => {
    const outcome = await filtered(capsuleCommand(word("attached"), "/bin/true"));
    workshop.expectRefusal(outcome, FAILED, "pidfd_open(2) is refused (EPERM)", "seccomp");
  });

  for (const mode of ["in-process", "auto"])
    test(`a program in this process runs, ${mode}`, async () =>
      expectLines(await filtered(capsuleCommand(word(mode), "/bin/echo", ["it", "runs"])), ["it runs"]));

  test("what that starts runs without the host's libraries, and a line says why", async () => {
    const { stdout, stderr, exitCode } = await filtered(
      capsuleCommand(word("in-process"), "/bin/sh", ["-c", "/bin/echo it runs; exit 3"]),
    );
    expect({ stdout, exitCode }).toEqual({ stdout: "it runs\n", exitCode: 3 });
    expect(stderr).toStartWith(
      'capsule: "/bin/echo" runs without the host\'s libraries: Cannot see when a program ends',
    );
    expect(stderr).toContain("pidfd_open(2) is refused (EPERM)");
  });
});
