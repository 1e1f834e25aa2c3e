// The directory of one run.

import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { pointerAt, stringAt } from "../../../lib/memory/live.ts";
import { add } from "../../../lib/memory/numbers.ts";
import { Libc } from "../../../lib/process/libc.ts";
import { hinting, PrivateDirectory } from "../../../src/directories/private-directory.ts";
import { ownTmpdir } from "../../support/own-tmpdir.ts";

const libc = new Libc();
const temporary = ownTmpdir();

/** The paths that native code removes at exit. */
function listed({ files }: PrivateDirectory): string[] {
  const paths: string[] = [];
  for (let at = files.at; pointerAt(at) !== 0; at = add(at, 8)) paths.push(stringAt(pointerAt(at)));
  return paths;
}

describe("a private directory", () => {
  test("is nobody else's, below the directory for temporary files", () => {
    const { path } = PrivateDirectory.make(libc);
    expect(path.startsWith(`${temporary()}/`)).toBe(true);
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
    const own = mkdtempSync(join(temporary(), "capsule-"));
    const directory = new PrivateDirectory(own, { add() {}, sizeLimit: 10 });
    expect(readFileSync(directory.write("small", new Uint8Array(10)))).toHaveLength(10);
    expect(() => directory.write("large", new Uint8Array(11))).toThrow(/^Cannot write to ".*": .* \(ulimit -f\)$/);
    expect(readdirSync(own)).toEqual(["small"]);
  });

  test.each(["/proc", "/sys"])("is not said to be missing where nothing can be made: %s", (place) => {
    const fail = () => hinting(place, () => mkdtempSync(join(place, "capsule-")));
    expect(fail).toThrow(`Cannot write to "${place}": nothing can be made there (TMPDIR says which directory to use)`);
    const missing = join(place, "none");
    expect(() => hinting(missing, () => mkdtempSync(join(missing, "capsule-")))).toThrow(
      `"${missing}": it is not there`,
    );
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
    let path = temporary();
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
