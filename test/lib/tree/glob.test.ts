// Globs, as fnmatch(3) and glob(3) understand them.

import { describe, expect, test } from "bun:test";
import { globPattern, pathsMatching } from "../../../lib/tree/glob.ts";
import { SmallTree } from "./small-tree.ts";

describe("a glob matches a name:", () => {
  const cases: [string, string, boolean][] = [
    ["lib*ml2.so.2*", "libxml2.so.2", true],
    ["lib*ml2.so.2*", "libxml2.so.1", false],
    ["lib?.so", "libz.so", true],
    ["lib?.so", "libzz.so", false],
    ["lib[a-c].so", "libb.so", true],
    ["lib[!a-c].so", "libb.so", false],
    ["lib[^a-c].so", "libz.so", true],
    ["lib[]x].so", "lib].so", true],
    ["lib[!]x].so", "lib].so", false],
    ["lib[.so", "lib[.so", true],
    ["lib[z-a].so", "libm.so", false],
    ["lib\\*.so", "lib*.so", true],
    ["lib\\*.so", "libz.so", false],
    ["libstdc++.so.6", "libstdc++.so.6", true],
    ["lib(x|y){1}.so", "lib(x|y){1}.so", true],
    ["*", "", true],
    ["", "", true],
  ];
  test.each(cases)("%s, %s: %p", (glob, name, expected) => {
    expect(globPattern(glob).test(name)).toBe(expected);
  });

  test("many stars take no more time than one", () => {
    expect(globPattern(`${"*".repeat(1000)}b`).test("a".repeat(10_000))).toBe(false);
  });
});

test("paths in a tree match part by part, links and all, and nothing outside the tree", () => {
  using tree = new SmallTree({
    "/usr/lib/a.so": new Uint8Array(1),
    "/usr/lib/b.so": "-> a.so",
    "/usr/lib/.hidden.so": new Uint8Array(1),
    "/usr/lib/sub/c.so": new Uint8Array(1),
    "/usr/lib/dangling.so": "-> nothing",
    "/usr/lib/loop.so": "-> loop.so",
    "/usr/lib/outside.so": "-> ../../../../../etc/passwd",
    "/lib": "-> usr/lib",
    "/etc/passwd": "-> /usr/lib/a.so",
  });
  expect(pathsMatching(tree.tree, "/usr/lib/*.so")).toEqual(["/usr/lib/a.so", "/usr/lib/b.so"]);
  expect(pathsMatching(tree.tree, "/l*/.h*")).toEqual(["/lib/.hidden.so"]);
  expect(pathsMatching(tree.tree, "/usr/*/*/c.so")).toEqual(["/usr/lib/sub/c.so"]);
  expect(pathsMatching(tree.tree, "/../../etc/p*")).toEqual(["/../../etc/passwd"]);
  expect(pathsMatching(tree.tree, "/none/*")).toEqual([]);
});
