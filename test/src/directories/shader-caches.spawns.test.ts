// Which trees have a directory for shaders, and which of these stay.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keepShaderCache, shaderCacheOf } from "../../../src/directories/shader-caches.ts";

let directory: string;
beforeEach(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), "capsule-test-")));
});
afterEach(() => rmSync(directory, { recursive: true }));

const environment = () => ({ XDG_CACHE_HOME: join(directory, "cache") });
const cacheOf = (tree: string) => shaderCacheOf(tree, environment()) ?? "";

function makeTree(name: string): string {
  mkdirSync(join(directory, name));
  return join(directory, name);
}
const DAY = 24 * 60 * 60;
const age = (path: string, days: number) => {
  const then = Date.now() / 1000 - days * DAY;
  utimesSync(path, then, then);
};
/** One that was used so many days ago. */
function usedBefore(tree: string, days: number): string {
  const path = cacheOf(tree);
  keepShaderCache(path, tree);
  age(path, days);
  return path;
}

describe("a directory for shaders", () => {
  test("is the tree's own, and nothing is made of it by asking", () => {
    expect(cacheOf("/srv/a")).toStartWith(join(directory, "cache/capsule/shaders/"));
    expect(cacheOf("/srv/a")).not.toBe(cacheOf("/srv/b"));
    expect(readdirSync(directory)).toEqual([]);
  });

  test("is not for the machine's own tree", () => {
    expect(shaderCacheOf("", environment())).toBeUndefined();
  });

  test("is in the user's home, also where no variable names that", () => {
    expect(shaderCacheOf("/srv/a", {})).toMatch(/^\/.*\/\.cache\/capsule\/shaders\/\w+$/);
  });

  test.skipIf(process.getuid?.() !== 0)("is not made by root in the home of somebody else", () => {
    const home = makeTree("home");
    Bun.spawnSync(["chown", "1234", home]);
    expect(shaderCacheOf("/srv/a", { HOME: home })).toBeUndefined();
  });
});

describe("when one is made or used for the first time in a day", () => {
  test("what was used lately stays, with what is in it", () => {
    const [one, other] = [makeTree("one"), makeTree("other")];
    const path = usedBefore(one, 80);
    writeFileSync(join(path, "index"), "");
    age(path, 80);
    keepShaderCache(cacheOf(other), other);
    expect(existsSync(join(path, "index"))).toBeTrue();
  });

  test("what nobody has used for months is removed", () => {
    const [one, other] = [makeTree("one"), makeTree("other")];
    const path = usedBefore(one, 100);
    keepShaderCache(cacheOf(other), other);
    expect(existsSync(path)).toBeFalse();
  });

  test("that of a tree that is gone is removed after a week", () => {
    const [one, other] = [makeTree("one"), makeTree("other")];
    const paths = [usedBefore(join(directory, "gone"), 8), usedBefore(join(directory, "away"), 6), usedBefore(one, 8)];
    keepShaderCache(cacheOf(other), other);
    expect(paths.map(existsSync)).toEqual([false, true, true]);
  });

  test("of more than eight those go that were used before the others", () => {
    const paths = Array.from({ length: 9 }, (_, i) => usedBefore(makeTree(`tree-${i}`), 20 - i));
    const last = makeTree("last");
    keepShaderCache(cacheOf(last), last);
    expect(paths.map(existsSync)).toEqual([false, false, ...Array(7).fill(true)]);
  });

  test("what is not ours stays", () => {
    const tree = makeTree("tree");
    keepShaderCache(cacheOf(tree), tree);
    const other = join(cacheOf(tree), "..", "README.txt");
    writeFileSync(other, "");
    age(other, 1000);
    age(cacheOf(tree), 2);
    keepShaderCache(cacheOf(tree), tree);
    expect(existsSync(other)).toBeTrue();
  });
});

test("where it cannot be made nothing happens", () => {
  writeFileSync(join(directory, "cache"), "");
  expect(() => keepShaderCache(cacheOf("/srv/a"), "/srv/a")).not.toThrow();
});
