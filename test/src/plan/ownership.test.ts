// Whose copy of a library a capsule uses.

import { afterEach, describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { symbolObject } from "../../../lib/elf/write/symbol-object.ts";
import { toAddress } from "../../../lib/memory/numbers.ts";
import { Search } from "../../../lib/tree/search.ts";
import { Ownership } from "../../../src/plan/ownership.ts";
import { SmallTree } from "../../lib/tree/small-tree.ts";

const SONAME = "libwayland-client.so.0";
const trees: SmallTree[] = [];
afterEach(() => {
  for (const tree of trees.splice(0)) tree[Symbol.dispose]();
});

/** A tree in which the library has these functions; without any, it is not there. */
function treeWith(...functions: string[]): SmallTree {
  const tree = new SmallTree();
  trees.push(tree);
  const places = new Map(functions.map((name) => [name, { address: toAddress(0x1000) }]));
  if (functions.length > 0) tree.add(`/lib/${SONAME}`, symbolObject({ soname: SONAME, functions: places }).bytes);
  return tree;
}
const ownership = (host: SmallTree, runtime: SmallTree, newest = [SONAME]) =>
  new Ownership(new Search(host.tree), new Search(runtime.tree), newest);

test("the shared set is shared, and other libraries are the host's", () => {
  const owner = ownership(treeWith(), treeWith(), []);
  expect(["libc.so.6", "libgcc_s.so.1", "ld-linux-x86-64.so.2"].map((soname) => owner.isShared(soname))).toEqual([
    ...[true, true, true],
  ]);
  expect([SONAME, "libGL.so.1", "libstdc++.so.6"].map((soname) => owner.isShared(soname))).toEqual([
    ...[false, false, false],
  ]);
});

test("what the user wants from another host tree is not this one's, even if it has it", () => {
  const [host, runtime] = [new Search(treeWith("red").tree), new Search(treeWith().tree)];
  expect(new Ownership(host, runtime, []).isShared(SONAME)).toBe(false);
  expect(new Ownership(host, runtime, [], new Set([SONAME])).isShared(SONAME)).toBe(true);
});

describe("a library of which the newer copy serves both sides", () => {
  test("is the runtime's where that has a function more", () => {
    expect(ownership(treeWith("red"), treeWith("red", "green")).isShared(SONAME)).toBe(true);
  });

  test("is the host's where that has a function more, or both have the same", () => {
    expect(ownership(treeWith("red", "green"), treeWith("red")).isShared(SONAME)).toBe(false);
    expect(ownership(treeWith("red"), treeWith("red")).isShared(SONAME)).toBe(false);
  });

  test("is the host's where only one side has it", () => {
    expect(ownership(treeWith("red"), treeWith()).isShared(SONAME)).toBe(false);
    expect(ownership(treeWith(), treeWith("red")).isShared(SONAME)).toBe(false);
  });

  test("is the host's where both trees are one", () => {
    const tree = treeWith("red");
    expect(ownership(tree, tree).isShared(SONAME)).toBe(false);
  });

  test("is no matter of the newer one where nobody has said so", () => {
    expect(ownership(treeWith("red"), treeWith("red", "green"), []).isShared(SONAME)).toBe(false);
  });

  test("is found out once", () => {
    const [host, runtime] = [treeWith("red"), treeWith("red", "green")];
    const owner = ownership(host, runtime);
    expect(owner.isShared(SONAME)).toBe(true);
    rmSync(runtime.path(`/lib/${SONAME}`));
    expect(owner.isShared(SONAME)).toBe(true);
  });
});
