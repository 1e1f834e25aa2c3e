// Where temporary directories are that libraries are loaded from.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { privateParent } from "../../../src/directories/temporary-place.ts";
import { Scratch } from "../../lib/elf/scratch.ts";

const OWN = `capsule-of-${process.geteuid?.()}`;
const isRoot = process.getuid?.() === 0;
let scratch: Scratch;
/** Open to all, and sticky, as /tmp. */
let common: string;
beforeEach(() => {
  scratch = new Scratch();
  common = scratch.path("common");
  mkdirSync(common);
  chmodSync(common, 0o1777);
});
afterEach(() => scratch[Symbol.dispose]());

const modeOf = (path: string): number => statSync(path).mode & 0o7777;

describe("where nobody else can write", () => {
  test("the directory itself is taken", () => {
    expect(privateParent(scratch.directory)).toBe(scratch.directory);
  });

  test("by its own path, if a link led there", () => {
    mkdirSync(scratch.path("real"));
    chmodSync(scratch.path("real"), 0o700);
    symlinkSync("real", scratch.path("link"));
    expect(privateParent(scratch.path("link"))).toBe(scratch.path("real"));
  });
});

describe("where others can make directories", () => {
  test("this user's own is taken, made once", () => {
    const umask = process.umask(0o777);
    const parent = privateParent(common);
    process.umask(umask);
    expect(parent).toBe(join(common, OWN));
    expect(modeOf(parent)).toBe(0o700);
    expect(privateParent(common)).toBe(parent);
  });

  const made = (path: string): string => {
    mkdirSync(path);
    return path;
  };
  const squatters: [string, (path: string) => void, boolean][] = [
    ["a directory that others may write to", (path) => chmodSync(made(path), 0o777), false],
    ["a link", (path) => symlinkSync(scratch.directory, path), false],
    ["a file", (path) => writeFileSync(path, ""), false],
    ["a directory of somebody else's", (path) => chownSync(made(path), 4711, 4711), true],
  ];
  for (const [what, squat, takesRoot] of squatters) {
    test.skipIf(takesRoot && !isRoot)(`${what} of that name blocks nobody${takesRoot ? " (takes root)" : ""}`, () => {
      squat(join(common, OWN));
      const parent = privateParent(common);
      expect(dirname(parent)).toBe(common);
      expect(parent).toStartWith(`${join(common, OWN)}-`);
      expect(modeOf(parent)).toBe(0o700);
      expect(privateParent(common)).toBe(parent);
      expect(readdirSync(common).sort()).toEqual([OWN, parent.slice(common.length + 1)].sort());
    });
  }
});

describe("where others can replace what is made", () => {
  const isElsewhere = (directory: string) => {
    const parent = privateParent(directory);
    expect(parent).not.toStartWith(scratch.directory);
    return parent;
  };

  test("another place is taken", () => {
    chmodSync(common, 0o777);
    isElsewhere(common);
    expect(readdirSync(common)).toEqual([]);
  });

  test("also for a directory of this user's below it", () => {
    const below = join(common, "mine");
    mkdirSync(below, 0o700);
    expect(privateParent(below)).toBe(below);
    chmodSync(common, 0o777);
    isElsewhere(below);
  });

  test.skipIf(!isRoot)("be it only by its owner (takes root)", () => {
    for (const mode of [0o1777, 0o755]) {
      chownSync(common, 4711, 4711);
      chmodSync(common, mode);
      isElsewhere(common);
    }
  });
});

test("a directory that is missing is an error, not a reason for another one", () => {
  expect(() => privateParent(scratch.path("missing"))).toThrow("ENOENT");
});
