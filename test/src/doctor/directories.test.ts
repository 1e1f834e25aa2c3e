// The directories that a run writes to.

import { afterEach, expect, test } from "bun:test";
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { System } from "../../../lib/process/system.ts";
import {
  cacheFinding,
  type DirectoryFacts,
  directoryFacts,
  temporaryFindings,
} from "../../../src/doctor/directories.ts";
import { SmallTree } from "../../lib/tree/small-tree.ts";
import { complaints } from "./levels.ts";

const GOOD: DirectoryFacts = { path: "/tmp", fault: undefined, isNoexec: false, free: 2 ** 30, isTrusted: true };
const BAD: Partial<DirectoryFacts>[] = [
  { fault: "it is read-only" },
  { isNoexec: true },
  { free: 100_000 },
  { path: "/tmp/a:b" },
];

const trees: SmallTree[] = [];
afterEach(() => {
  for (const tree of trees.splice(0)) tree[Symbol.dispose]();
});

test("without a place for temporary files nothing runs", () => {
  expect(complaints(temporaryFindings(GOOD))).toEqual([]);
  for (const fault of BAD)
    expect(complaints(temporaryFindings({ ...GOOD, ...fault }))).toEqual(["hindrance temporary-files"]);
});

test("a place in which others may replace what is made is left, and that is told", () => {
  const [finding] = temporaryFindings({ ...GOOD, path: "/shared/tmp" }, "/shared");
  expect(complaints(finding ? [finding] : [])).toEqual(["warning temporary-files"]);
  expect(finding?.text).toContain('"/shared"');
});

test("without a cache a run only takes longer", () => {
  expect(complaints(cacheFinding(GOOD))).toEqual([]);
  expect(complaints(cacheFinding(undefined))).toEqual(["warning cache"]);
  for (const fault of [...BAD.slice(0, 3), { isTrusted: false }])
    expect(complaints(cacheFinding({ ...GOOD, ...fault }))).toEqual(["warning cache"]);
});

test("a directory is looked at as it is, or where it would be made", () => {
  const tree = new SmallTree();
  trees.push(tree);
  const system = new System();
  mkdirSync(tree.path("open"));
  chmodSync(tree.path("open"), 0o777);
  writeFileSync(tree.path("file"), "");
  expect(directoryFacts(tree.path("."), false, system)).toMatchObject({ fault: undefined, isNoexec: false });
  expect(directoryFacts(tree.path("."), false, system).free).toBeGreaterThan(0);
  expect(directoryFacts(tree.path("no/such/one"), false, system).fault).toBe("it is not there");
  expect(directoryFacts(tree.path("no/such/one"), true, system).fault).toBeUndefined();
  expect(directoryFacts(tree.path("file"), true, system).fault).toBe("it is not a directory");
  expect(directoryFacts(tree.path("open"), true, system).isTrusted).toBe(false);
  expect(directoryFacts(tree.path("no/such/one"), true, system).isTrusted).toBe(true);
  expect(directoryFacts(tree.path("open/no/such"), true, system).isTrusted).toBe(false);
  symlinkSync("made", tree.path("link"));
  mkdirSync(tree.path("made"));
  expect(directoryFacts(tree.path("link/cache"), true, system).isTrusted).toBe(true);
  expect(directoryFacts("/proc/self/no-such", true, system).fault).toBeDefined();
});
