// The directory of one run, and what a killed run leaves behind.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { pointerAt, stringAt } from "../../../lib/memory/live.ts";
import { add } from "../../../lib/memory/numbers.ts";
import { Libc } from "../../../lib/process/libc.ts";
import { claim, MARK, PrivateDirectory, removeStale } from "../../../src/directories/private-directory.ts";

const libc = new Libc();
const before = process.env.TMPDIR;
let temporary: string;
beforeEach(() => {
  temporary = mkdtempSync(join(tmpdir(), "test-private-"));
  process.env.TMPDIR = temporary;
});
afterEach(() => {
  if (before === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = before;
  rmSync(temporary, { recursive: true });
});

/** The paths that native code removes at exit. */
function listed({ files }: PrivateDirectory): string[] {
  const paths: string[] = [];
  for (let at = files.at; pointerAt(at) !== 0; at = add(at, 8)) paths.push(stringAt(pointerAt(at)));
  return paths;
}

describe("a private directory", () => {
  test("is nobody else's, below the directory for temporary files", () => {
    const { path } = PrivateDirectory.make(libc);
    expect(path.startsWith(`${temporary}/`)).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(PrivateDirectory.make(libc).path).not.toBe(path);
  });

  test("lists what is removed at exit: all that is written, its owner's name among it", () => {
    const directory = PrivateDirectory.make(libc);
    const owner = join(directory.path, "owner");
    expect(listed(directory)).toEqual([owner]);
    const path = directory.write("libżółć.so.1", Uint8Array.of(1, 2, 3));
    expect([...readFileSync(path)]).toEqual([1, 2, 3]);
    expect(listed(directory)).toEqual([owner, path]);
    expect(readdirSync(directory.path).sort()).toEqual(["libżółć.so.1", "owner"]);
  });

  test("has a file written again as another file: who has mapped the first one keeps it", () => {
    const directory = PrivateDirectory.make(libc);
    const first = statSync(directory.write("library", Uint8Array.of(1))).ino;
    expect(statSync(directory.write("library", Uint8Array.of(2))).ino).not.toBe(first);
  });

  test("is another process's from when that is known, unless it has ended already", () => {
    const directory = PrivateDirectory.make(libc);
    const owner = () => readFileSync(join(directory.path, "owner"), "utf8");
    const own = owner();
    directory.ownedBy(Bun.spawnSync(["true"]).pid);
    expect(owner()).toBe(own);
    directory.ownedBy(process.ppid);
    expect(owner().split(" ")).toContain(`${process.ppid}`);
  });

  test("can be removed with everything in it, and again", () => {
    const directory = PrivateDirectory.make(libc);
    directory.write("library", Uint8Array.of(1));
    directory.remove();
    expect(existsSync(directory.path)).toBe(false);
    directory.remove();
  });

  test("has no file that is larger than any may be: that would end the program", () => {
    const own = mkdtempSync(join(temporary, "capsule-"));
    const directory = new PrivateDirectory(own, { add() {}, sizeLimit: 10 });
    expect(readFileSync(directory.write("small", new Uint8Array(10)))).toHaveLength(10);
    expect(() => directory.write("large", new Uint8Array(11))).toThrow(/^Cannot write to ".*": .* \(ulimit -f\)$/);
    expect(readdirSync(own)).toEqual(["small"]);
  });

  test("is for this user alone, with what is in it, whatever the umask", () => {
    for (const umask of [0, 0o777]) {
      const before = process.umask(umask);
      const directory = PrivateDirectory.make(libc);
      const file = directory.write("library", Uint8Array.of(1));
      directory.link("links", new Map([["libc.so.6", "/lib/libc.so.6"]]));
      process.umask(before);
      const modes = [directory.path, file, join(directory.path, "links")].map((path) => statSync(path).mode & 0o777);
      expect(modes).toEqual([0o700, 0o600, 0o700]);
    }
  });

  /** A directory whose path has that many bytes. */
  function long(length: number): string {
    let path = temporary;
    while (path.length < length) path += `/${"l".repeat(Math.min(200, length - path.length - 1))}`;
    mkdirSync(path, { recursive: true });
    return path;
  }

  test("may have a long path", () => {
    const parent = long(1000);
    process.env.TMPDIR = parent;
    const { path } = PrivateDirectory.make(libc);
    expect(dirname(path)).toBe(parent);
    expect(readdirSync(path)).toEqual(["owner"]);
  });

  test("that cannot be written to is refused, and leaves nothing", () => {
    // it can be made, but no file in it: PATH_MAX is 4096
    const parent = long(4096 - 1 - "/capsule-abcdef".length);
    process.env.TMPDIR = parent;
    expect(() => PrivateDirectory.make(libc)).toThrow(`Cannot write to "${parent}": `);
    expect(readdirSync(parent)).toEqual([]);
  });
});

describe("removeStale()", () => {
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
    removeStale(temporary);
    expect(existsSync(dead.path)).toBe(false);
  });

  test("removes it also where another process has that number by now", () => {
    const reused = left(5 * MINUTES, ([namespace, pid, start]) => [namespace, pid, `${Number(start) - 1}`]);
    removeStale(temporary);
    expect(existsSync(reused.path)).toBe(false);
  });

  test("removes what nobody has put a name to", () => {
    const nobodys = left(0);
    rmSync(join(nobodys.path, "owner"));
    utimesSync(nobodys.path, 0, 0);
    removeStale(temporary);
    expect(existsSync(nobodys.path)).toBe(false);
  });

  test("leaves a run that is alive, however old it is", () => {
    const alive = left(24 * 60 * MINUTES);
    removeStale(temporary);
    expect(isThere(alive)).toBe(true);
  });

  test("leaves another process's that is alive, whatever that is called", () => {
    const program = join(temporary, "a) Z 1 (b c");
    copyFileSync(Bun.which("sleep") ?? "", program);
    chmodSync(program, 0o755);
    const child = Bun.spawn([program, "1000"]);
    try {
      const stat = readFileSync(`/proc/${child.pid}/stat`, "latin1");
      expect(stat).toContain("(a) Z 1 (b c)");
      const start = stat.split(") ").at(-1)?.split(" ")[19] ?? "";
      const alive = left(5 * MINUTES, ([namespace]) => [namespace, `${child.pid}`, start]);
      const reused = left(5 * MINUTES, ([namespace]) => [namespace, `${child.pid}`, `${Number(start) + 1}`]);
      removeStale(temporary);
      expect([alive, reused].map(isThere)).toEqual([true, false]);
    } finally {
      child.kill();
    }
  });

  test("leaves a run in another PID namespace, where a number means another process", () => {
    const others = left(5 * MINUTES, ([, , start]) => ["pid:[4711]", deadProcess(), start]);
    removeStale(temporary);
    expect(isThere(others)).toBe(true);
  });

  test("leaves one whose owner cannot be made out", () => {
    const odd = left(5 * MINUTES);
    writeFileSync(join(odd.path, "owner"), "");
    utimesSync(odd.path, 0, 0);
    removeStale(temporary);
    expect(isThere(odd)).toBe(true);
  });

  test("leaves a run that has just begun, and not put its name to it yet", () => {
    const young = left(0);
    rmSync(join(young.path, "owner"));
    removeStale(temporary);
    expect(isThere(young)).toBe(true);
  });

  test("removes at once what a killed run has just left behind", () => {
    const dead = left(0, ([namespace, , start]) => [namespace, deadProcess(), start]);
    removeStale(temporary);
    expect(existsSync(dead.path)).toBe(false);
  });

  test("leaves whatever else is called so, and what is called otherwise", () => {
    const names = [basename(left(5 * MINUTES).path).replace(/.{6}$/, "others"), "capsule-of-my-own", "mine"];
    for (const name of names) mkdirSync(join(temporary, name));
    const own = writeIn(names[0] ?? "", "thesis.tex");
    const marked = names.slice(1).map((name) => writeIn(name, MARK));
    const file = join(temporary, "capsule-abcdef");
    writeFileSync(file, "");
    for (const path of [...names.map((name) => join(temporary, name)), file]) utimesSync(path, 0, 0);
    removeStale(temporary);
    for (const path of [own, ...marked, file]) expect(existsSync(path)).toBe(true);
  });

  function writeIn(directory: string, name: string): string {
    const path = join(temporary, directory, name);
    writeFileSync(path, "");
    return path;
  }

  const isRoot = process.getuid?.() === 0;
  test.skipIf(!isRoot)(`leaves another user's${isRoot ? "" : " (we cannot make one)"}`, () => {
    const others = left(5 * MINUTES, ([namespace, , start]) => [namespace, deadProcess(), start]);
    chownSync(others.path, 4711, 4711);
    removeStale(temporary);
    expect(isThere(others)).toBe(true);
  });
});

describe("claim()", () => {
  test("has a directory without owner and mark be this process's", () => {
    const { path } = PrivateDirectory.make(libc);
    const owner = readFileSync(join(path, "owner"), "utf8");
    rmSync(join(path, "owner"));
    claim(path);
    expect(readFileSync(join(path, "owner"), "utf8")).toBe(owner);
    expect(readdirSync(path).sort()).toEqual([MARK, "owner"].sort());
  });

  test("leaves what is there as it is: it may be mapped", () => {
    const directory = PrivateDirectory.make(libc);
    const mark = directory.write(MARK, Uint8Array.of(1));
    claim(directory.path);
    expect([...readFileSync(mark)]).toEqual([1]);
  });

  test("says where it cannot: the directory is gone", () => {
    expect(() => claim(join(temporary, "gone"))).toThrow("ENOENT");
  });
});
