// The directory of one run, and what a killed run leaves behind.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Libc } from "../../lib/loader/libc.ts";
import { pointerAt, stringAt } from "../../lib/memory/live.ts";
import { add } from "../../lib/memory/numbers.ts";
import { MARK, PrivateDirectory, removeStale } from "../../src/private-directory.ts";
import { ScriptedServer } from "./agent/scripted-server.ts";

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

  test("lists what is removed at exit: the socket, and all that is written", () => {
    const directory = PrivateDirectory.make(libc);
    expect(listed(directory)).toEqual([directory.socket]);
    const path = directory.write("libżółć.so.1", Uint8Array.of(1, 2, 3));
    expect([...new Uint8Array(statSync(path).size)]).toHaveLength(3);
    expect(listed(directory)).toEqual([directory.socket, path]);
    expect(readdirSync(directory.path)).toEqual(["libżółć.so.1"]);
  });

  test("has a file written again as another file: who has mapped the first one keeps it", () => {
    const directory = PrivateDirectory.make(libc);
    const first = statSync(directory.write("library", Uint8Array.of(1))).ino;
    expect(statSync(directory.write("library", Uint8Array.of(2))).ino).not.toBe(first);
  });

  test("can be removed with everything in it, and again", () => {
    const directory = PrivateDirectory.make(libc);
    directory.write("library", Uint8Array.of(1));
    directory.remove();
    expect(existsSync(directory.path)).toBe(false);
    directory.remove();
  });

  test("whose socket's path would be too long is refused, and leaves nothing", () => {
    const long = join(temporary, "l".repeat(107 - temporary.length));
    mkdirSync(long);
    process.env.TMPDIR = long;
    expect(() => PrivateDirectory.make(libc)).toThrow(`Cannot make a socket in "${long}": the path is too long`);
    expect(readdirSync(long)).toEqual([]);
  });
});

describe("removeStale()", () => {
  const MINUTES = 60;

  /** One that has not been touched for that many seconds. */
  function left(seconds: number): PrivateDirectory {
    const directory = PrivateDirectory.make(libc);
    for (const name of ["program", MARK]) directory.write(name, Uint8Array.of(1));
    const then = Date.now() / 1000 - seconds;
    utimesSync(directory.path, then, then);
    return directory;
  }

  test("removes what a killed run has left behind, with a dead socket or none", async () => {
    const [without, dead] = [left(5 * MINUTES), left(5 * MINUTES)];
    writeFileSync(dead.socket, "");
    utimesSync(dead.path, 0, 0);
    await removeStale(temporary);
    expect([without, dead].map(({ path }) => existsSync(path))).toEqual([false, false]);
  });

  test("leaves a run that is alive, however old it is", async () => {
    const alive = left(24 * 60 * MINUTES);
    using _ = new ScriptedServer(alive.socket, async () => {});
    utimesSync(alive.path, 0, 0);
    await removeStale(temporary);
    expect(existsSync(join(alive.path, "program"))).toBe(true);
  });

  test("leaves a run that has just begun and does not listen yet", async () => {
    const young = left(30);
    await removeStale(temporary);
    expect(existsSync(young.path)).toBe(true);
  });

  test("leaves whatever else is called so, and what is called otherwise", async () => {
    const names = [basename(left(5 * MINUTES).path).replace(/.{6}$/, "others"), "capsule-of-my-own", "mine"];
    for (const name of names) mkdirSync(join(temporary, name));
    const own = writeIn(names[0] ?? "", "thesis.tex");
    const marked = names.slice(1).map((name) => writeIn(name, MARK));
    const file = join(temporary, "capsule-abcdef");
    writeFileSync(file, "");
    for (const path of [...names.map((name) => join(temporary, name)), file]) utimesSync(path, 0, 0);
    await removeStale(temporary);
    for (const path of [own, ...marked, file]) expect(existsSync(path)).toBe(true);
  });

  function writeIn(directory: string, name: string): string {
    const path = join(temporary, directory, name);
    writeFileSync(path, "");
    return path;
  }

  const isRoot = process.getuid?.() === 0;
  test.skipIf(!isRoot)(`leaves another user's${isRoot ? "" : " (we cannot make one)"}`, async () => {
    const { path } = left(5 * MINUTES);
    chownSync(path, 4711, 4711);
    await removeStale(temporary);
    expect(existsSync(path)).toBe(true);
  });
});
