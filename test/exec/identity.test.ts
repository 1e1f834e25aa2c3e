// Who a program is and what it was told: by /proc, by the kernel, by its parent. A hosted program was started as
// another one, so all of this is Bun's until it is put right.

import { beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expectBoth } from "../support/both.ts";
import { expectSame, withoutShims } from "../support/expect.ts";
import { lines } from "../support/lines.ts";
import { notYetInProcess } from "../support/mode.ts";
import { HOST, type Pair, pair, RUNTIME } from "../support/pair.ts";
import { capsuleCommand, type Outcome, run } from "../support/run.ts";

describe("a program finds its own file behind /proc/self/exe", () => {
  let self: Pair;

  beforeAll(async () => {
    const library = (path: string, name: string) => ({
      path,
      sources: ["library.c"],
      flags: [`-DFUNCTION=${name}_ask`, `-DWHO="${name}"`],
    });
    const runtime = `${RUNTIME}/libruntime.so.1`;
    const host = `${HOST}/libhost.so.1`;
    self = await pair("process/a-program-finds-its-own-file-behind-proc-self-exe", [
      library(runtime, "runtime"),
      library(host, "host"),
      { path: "program", sources: ["program.c"], needs: [runtime, host] },
      { path: "fortified", sources: ["program.c"], needs: [runtime, host], flags: ["-D_FORTIFY_SOURCE=2", "-O2"] },
      { path: "others", sources: ["others.c"], needs: [host] },
      { path: "again", sources: ["again.c"] },
    ]);
  });

  function shown(who: string, path: string): string[] {
    const own = (link: string) => [
      `readlink ${link}: ${path}`,
      `readlinkat ${link}: ${path}`,
      `readlink of 5 bytes ${link}: ${path.slice(0, 5)}`,
      `realpath ${link}: ${path}`,
      `realpath, allocated ${link}: ${path}`,
      `canonicalize_file_name ${link}: ${path}`,
      ...["open", "open64", "openat", "openat64", "fopen", "fopen64", "freopen", "stat", "stat64", "fstatat"].map(
        (call) => `${call} ${link}: own file`,
      ),
      `lstat ${link}: a link`,
      `statx ${link}: own file`,
      `access ${link}: readable`,
      `faccessat ${link}: readable`,
      `open for writing ${link}: Text file busy`,
    ];
    return [
      ...own("/proc/self/exe"),
      ...own("/proc/thread-self/exe"),
      `readlink by process id: ${path}`,
      "open by process id: own file",
      `realpath by process id: ${path}`,
    ].map((line) => `${who}, ${line}`);
  }

  for (const who of ["program", "runtime", "host", "thread", "child"])
    test(`whoever asks: ${who}`, () => expectBoth(self, [who], shown(who, self.program())));

  test("by calls that a compiler has fortified", () =>
    expectBoth(self, ["program"], shown("program", self.program("fortified")), {}, "fortified"));

  // Not yet: the path that is asked for does not say where it begins.
  notYetInProcess("by a descriptor of /proc/self, and from there", () => {
    const path = self.program();
    return expectBoth(self, ["directory"], [`readlinkat: ${path}`, "openat: own file", `readlink: ${path}`]);
  });

  // Not yet: a link of somebody else's that leads there.
  notYetInProcess("and links that lead elsewhere are as they were", async () => {
    const directory = mkdtempSync(join(tmpdir(), "capsule-test-"));
    const outcomes = [
      await self.native([join(directory, "native")], { cwd: directory }, "others"),
      await self.capsule([join(directory, "capsule")], { cwd: directory }, "others"),
    ];
    rmSync(directory, { recursive: true });
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ stderr: "", exitCode: 0 });
      const [cwd, root, , link, child] = lines(outcome.stdout);
      expect([cwd, root, link, child]).toEqual([
        `/proc/self/cwd: ${directory}`,
        "/proc/self/root: /",
        `a link to it: ${self.program("others")}`,
        "a child's: cat",
      ]);
    }
    expectSame(outcomes[1] as Outcome, outcomes[0] as Outcome);
  });

  for (const way of ["execv", "execve", "execvp", "execl", "fexecve"])
    test(`and can start itself by it: ${way}`, async () => {
      const model = await self.native([way], {}, "again");
      expect(lines(model.stdout)).toEqual([`first: ${way}`, `again: ${self.program("again")} ${way}`]);
      expect(model.exitCode).toBe(7);
      const outcome = await self.capsule([way], {}, "again");
      expect(outcome.stdout).toBe(model.stdout);
      expect(outcome.exitCode).toBe(7);
    });

  for (const way of ["posix_spawn", "posix_spawnp"])
    test(`and can start itself by it: ${way}`, async () => {
      const model = await self.native([way], {}, "again");
      expect(lines(model.stdout)).toEqual([
        `first: ${way}`,
        `again: ${self.program("again")} ${way}`,
        "the child's exit code: 7",
      ]);
      const outcome = await self.capsule([way], {}, "again");
      expect(outcome.stdout).toBe(model.stdout);
      expect(outcome.exitCode).toBe(7);
    });
});

describe("a program finds what the kernel told it:", () => {
  let told: Pair;
  const env = { GREETING: "hello", EMPTY: "", LD_LIBRARY_PATH: "/nowhere" };

  beforeAll(async () => {
    told = await pair("process/a-program-finds-what-the-kernel-told-it", [
      { path: "program", sources: ["program.c"], flags: ["-lm"] },
      { path: "launcher", sources: ["launcher.c"] },
      { path: `${HOST}/libhost.so.1`, sources: ["launcher.c"] },
    ]);
  });

  /** Both as `start` would have them started. */
  async function both(start: string[], args: string[], cwd = "/"): Promise<[Outcome, Outcome]> {
    return [
      await run([...start, told.program(), ...args], { env, cwd }),
      await run([...start, ...capsuleCommand(told.flags(), told.program(), args)], { env, cwd }),
    ];
  }

  async function expectSameOf(start: string[], args: string[]): Promise<string[]> {
    const [model, outcome] = await both(start, args);
    expect(model).toMatchObject({ stderr: "", exitCode: 0 });
    expectSame(withoutShims(outcome), model);
    return lines(model.stdout);
  }

  test("its arguments, in /proc/self/cmdline, too", async () => {
    const args = ["arguments", "one", "", "two words", "--", "żółć"];
    const shown = await expectSameOf([], args);
    expect(shown[0]).toBe(`/proc/self/cmdline: ${[told.program(), ...args].map((text) => `"${text}"`).join(" ")}`);
    expect(shown[1]).toBe('/proc/self/comm: "program');
  });

  test("many arguments", async () => {
    await expectSameOf([], ["arguments", ...Array.from({ length: 300 }, (_, i) => `number ${i}`)]);
  });

  test("its auxiliary vector", async () => {
    const shown = await expectSameOf([], ["auxv"]);
    expect(shown).toContain(`AT_EXECFN: ${told.program()}`);
    expect(shown).toContain("AT_PHDR: own");
    expect(shown).toContain("AT_ENTRY: own");
  });

  // Not yet: the kernel's is Bun's.
  notYetInProcess("the same in /proc/self/auxv", async () => {
    expect((await expectSameOf([], ["proc"]))[0]).toStartWith("in /proc/self/auxv: many");
  });

  test("where its title is, to write another there", async () => {
    const shown = await expectSameOf([], ["title"]);
    expect(shown.slice(0, 2)).toEqual([
      "arguments lie one behind the other: yes",
      "and the environment behind them: yes",
    ]);
    expect(shown[2]).toStartWith('/proc/self/cmdline: "renamed"');
    expect(shown[3]).toBe('/proc/self/comm: "renamed');
  });

  test("its own file in /proc/self/maps", async () => {
    expect(await expectSameOf([], ["maps"])).toEqual(["its file in /proc/self/maps: yes"]);
  });

  // Bun has threads of its own.
  notYetInProcess("that it is its only thread", async () => {
    // Within another root directory the kernel refuses CLONE_NEWUSER.
    expect((await expectSameOf([], ["threads"]))[0]).toBe("threads: 1");
  });

  test("its environment", async () => {
    const [model, outcome] = await both([], ["environment"]);
    expectSame(withoutShims(outcome), model);
    expect(lines(model.stdout)).toContain("GREETING=hello");
  });

  test("its limits", () => expectSameOf([], ["limits"]));

  // Bun raises the limit of descriptors before anybody could see what it was.
  test.todo("limits that its parent has set", async () => {
    const shown = await expectSameOf([told.program("launcher"), "limits"], ["limits"]);
    expect(shown).toContain("RLIMIT_NOFILE: 200 of 300");
    expect(shown).toContain(`RLIMIT_STACK: ${4 << 20} of -1`);
  });

  test("the state of a process that nobody has touched", async () => {
    const shown = await expectSameOf([], ["state"]);
    expect(shown).toContain("locale: C");
    expect(shown).toContain("blocked:");
  });

  test("the state in which its parent has started it", async () => {
    const shown = await expectSameOf([told.program("launcher"), "state"], ["state"]);
    for (const line of ["umask: 027, nice: 5, scheduler: 0", "blocked: 10 35", "timer 0: runs"])
      expect(shown).toContain(line);
  });
});

describe("errno is 0 at the start", () => {
  let start: Pair;

  beforeAll(async () => {
    const library = (path: string, name: string) => ({
      path,
      sources: ["library.c"],
      flags: [`-DFUNCTION=${name}_errno`],
    });
    const [runtime, host] = [`${RUNTIME}/libruntime.so.1`, `${HOST}/libhost.so.1`];
    start = await pair("process/errno-is-0-at-the-start", [
      library(runtime, "runtime"),
      library(host, "host"),
      { path: "program", sources: ["program.c"], needs: [runtime, host] },
    ]);
  });

  test("in main, and in constructors of the program and its runtime", () =>
    expectBoth(
      start,
      [],
      ["in a constructor of the runtime's: 0", "in a constructor of the program's: 0", "in main: 0"],
    ));

  test("in constructors of the host", () => expectBoth(start, ["host"], ["in a constructor of the host's: 0"]));
});
