// What a killed run leaves behind.

import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { Libc } from "../../../lib/process/libc.ts";
import { removeLeftovers } from "../../../src/directories/leftovers.ts";
import { MARK, PrivateDirectory } from "../../../src/directories/private-directory.ts";
import { ownTmpdir } from "../../support/own-tmpdir.ts";

const libc = new Libc();
const temporary = ownTmpdir();

describe("removeLeftovers()", () => {
  const MINUTES = 60;

  /** One that has not been touched for that many seconds, of our own process or of the one that is named. */
  function left(seconds: number, owner: (own: Owner) => Owner = (own) => own): PrivateDirectory {
    const directory = PrivateDirectory.make(libc);
    for (const name of ["program", MARK]) directory.write(name, Uint8Array.of(1));
    const file = join(directory.path, "owner");
    const [namespace = "", pid = "", start = ""] = readFileSync(file, "latin1").trimEnd().split(" ");
    writeFileSync(file, `${owner([namespace, pid, start]).join(" ")}\n`);
    const then = Date.now() / 1000 - seconds;
    utimesSync(directory.path, then, then);
    return directory;
  }
  type Owner = readonly [namespace: string, pid: string, start: string];
  const isThere = ({ path }: PrivateDirectory): boolean => existsSync(join(path, "program"));
  const deadProcess = (): string => `${Bun.spawnSync(["true"]).pid}`;

  test("removes what a killed run has left behind", () => {
    const dead = left(5 * MINUTES, ([namespace, , start]) => [namespace, deadProcess(), start]);
    removeLeftovers(temporary());
    expect(existsSync(dead.path)).toBe(false);
  });

  test("removes it also where another process has that number by now", () => {
    const reused = left(5 * MINUTES, ([namespace, pid, start]) => [namespace, pid, `${Number(start) - 1}`]);
    removeLeftovers(temporary());
    expect(existsSync(reused.path)).toBe(false);
  });

  test("removes what nobody has put a name to", () => {
    const nobodys = left(0);
    rmSync(join(nobodys.path, "owner"));
    utimesSync(nobodys.path, 0, 0);
    removeLeftovers(temporary());
    expect(existsSync(nobodys.path)).toBe(false);
  });

  test("leaves a run that is alive, however old it is", () => {
    const alive = left(24 * 60 * MINUTES);
    removeLeftovers(temporary());
    expect(isThere(alive)).toBe(true);
  });

  test("leaves another process's that is alive, whatever that is called", () => {
    const program = join(temporary(), "a) Z 1 (b c");
    copyFileSync(Bun.which("sleep") ?? "", program);
    chmodSync(program, 0o755);
    const child = Bun.spawn([program, "1000"]);
    try {
      const stat = readFileSync(`/proc/${child.pid}/stat`, "latin1");
      expect(stat).toContain("(a) Z 1 (b c)");
      const start = stat.split(") ").at(-1)?.split(" ")[19] ?? "";
      const alive = left(5 * MINUTES, ([namespace]) => [namespace, `${child.pid}`, start]);
      const reused = left(5 * MINUTES, ([namespace]) => [namespace, `${child.pid}`, `${Number(start) + 1}`]);
      removeLeftovers(temporary());
      expect([alive, reused].map(isThere)).toEqual([true, false]);
    } finally {
      child.kill();
    }
  });

  test("leaves a run in another PID namespace, where a number means another process", () => {
    const others = left(5 * MINUTES, ([, , start]) => ["pid:[4711]", deadProcess(), start]);
    removeLeftovers(temporary(), () => false);
    expect(isThere(others)).toBe(true);
  });

  test("removes it when that namespace is gone", () => {
    const gone = left(0, ([, pid, start]) => ["pid:[4711]", pid, start]);
    removeLeftovers(temporary(), (namespace) => namespace === "pid:[4711]");
    expect(existsSync(gone.path)).toBe(false);
  });

  const isInitial = readlinkSync("/proc/self/ns/pid") === "pid:[4026531836]" && process.getuid?.() === 0;
  test.skipIf(!isInitial)(
    `which is seen from the first one${isInitial ? "" : " (this is another one, or we are not root)"}`,
    async () => {
      const child = Bun.spawn(
        ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", "readlink /proc/self/ns/pid; exec sleep 1000"],
        {
          stdout: "pipe",
        },
      );
      let namespace = "";
      for await (const chunk of child.stdout) {
        namespace = new TextDecoder().decode(chunk).trim();
        break;
      }
      const directory = left(5 * MINUTES, ([, pid, start]) => [namespace, pid, start]);
      removeLeftovers(temporary());
      expect(isThere(directory)).toBe(true);
      process.kill(Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "latin1")), "SIGKILL");
      await child.exited;
      removeLeftovers(temporary());
      expect(existsSync(directory.path)).toBe(false);
    },
  );

  test("removes one that has an owner and no mark yet", () => {
    const dead = left(0, ([namespace, , start]) => [namespace, deadProcess(), start]);
    rmSync(join(dead.path, MARK));
    removeLeftovers(temporary());
    expect(existsSync(dead.path)).toBe(false);
  });

  test("removes directories in which there is no file, once they are old", () => {
    const [empty, nested, young] = ["aaaaaa", "bbbbbb", "cccccc"].map((name) => join(temporary(), `capsule-${name}`));
    if (empty === undefined || nested === undefined || young === undefined) throw new Error("there are three");
    for (const path of [empty, nested, join(nested, "lib"), young]) mkdirSync(path);
    for (const path of [empty, nested]) utimesSync(path, 0, 0);
    removeLeftovers(temporary());
    expect([empty, nested, young].map((path) => existsSync(path))).toEqual([false, false, true]);
  });

  test("leaves one whose owner cannot be made out", () => {
    const odd = left(5 * MINUTES);
    writeFileSync(join(odd.path, "owner"), "somebody\n");
    utimesSync(odd.path, 0, 0);
    removeLeftovers(temporary());
    expect(isThere(odd)).toBe(true);
  });

  test("removes those of `capsule link`, once they are old", () => {
    const [old, young, others] = ["aaaaaa", "bbbbbb", "cccccc"].map((name) =>
      join(temporary(), `capsule-link-${name}`),
    );
    if (old === undefined || young === undefined || others === undefined) throw new Error("there are three");
    for (const path of [old, young, others]) mkdirSync(path);
    for (const path of [old, young]) writeFileSync(join(path, "libhost.so.1"), "");
    mkdirSync(join(others, "chapters"));
    writeFileSync(join(others, "chapters", "one.tex"), "");
    for (const path of [old, others]) utimesSync(path, 0, 0);
    removeLeftovers(temporary());
    expect([old, young, others].map((path) => existsSync(path))).toEqual([false, true, true]);
  });

  test("removes one whose owner had ended before it was named, and what was never finished", () => {
    const nameless = left(0);
    writeFileSync(join(nameless.path, "owner"), "");
    const unfinished = join(temporary(), "capsule-dddddd");
    mkdirSync(unfinished);
    writeFileSync(join(unfinished, ".29728-pghqzhar0c.new"), "");
    // What a thread has made while a signal ended the process.
    const late = join(temporary(), "capsule-eeeeee");
    mkdirSync(join(late, "lib"), { recursive: true });
    writeFileSync(join(late, "lib", "channel"), "");
    const paths = [nameless.path, unfinished, late];
    for (const path of paths) utimesSync(path, 0, 0);
    removeLeftovers(temporary());
    expect(paths.map((path) => existsSync(path))).toEqual([false, false, false]);
  });

  test("leaves a run that has just begun, and not put its name to it yet", () => {
    const young = left(0);
    rmSync(join(young.path, "owner"));
    removeLeftovers(temporary());
    expect(isThere(young)).toBe(true);
  });

  test("removes at once what a killed run has just left behind", () => {
    const dead = left(0, ([namespace, , start]) => [namespace, deadProcess(), start]);
    removeLeftovers(temporary());
    expect(existsSync(dead.path)).toBe(false);
  });

  test("leaves whatever else is called so, and what is called otherwise", () => {
    const names = [basename(left(5 * MINUTES).path).replace(/.{6}$/, "others"), "capsule-of-my-own", "mine"];
    for (const name of names) mkdirSync(join(temporary(), name));
    const own = writeIn(names[0] ?? "", "thesis.tex");
    const marked = names.slice(1).map((name) => writeIn(name, MARK));
    const file = join(temporary(), "capsule-abcdef");
    writeFileSync(file, "");
    for (const path of [...names.map((name) => join(temporary(), name)), file]) utimesSync(path, 0, 0);
    removeLeftovers(temporary());
    for (const path of [own, ...marked, file]) expect(existsSync(path)).toBe(true);
  });

  function writeIn(directory: string, name: string): string {
    const path = join(temporary(), directory, name);
    writeFileSync(path, "");
    return path;
  }

  const isRoot = process.getuid?.() === 0;
  test.skipIf(!isRoot)(`leaves another user's${isRoot ? "" : " (we cannot make one)"}`, () => {
    const others = left(5 * MINUTES, ([namespace, , start]) => [namespace, deadProcess(), start]);
    chownSync(others.path, 4711, 4711);
    removeLeftovers(temporary());
    expect(isThere(others)).toBe(true);
  });
});
