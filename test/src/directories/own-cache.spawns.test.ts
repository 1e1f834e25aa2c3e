// In whose home something is kept.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { lchownSync, mkdirSync, symlinkSync } from "node:fs";
import { isOwnCache } from "../../../src/directories/own-cache.ts";
import { Scratch } from "../../lib/elf/scratch.ts";

let scratch: Scratch;
beforeEach(() => {
  scratch = new Scratch();
});
afterEach(() => scratch[Symbol.dispose]());

const STRANGER = 4711;
const isRoot = process.getuid?.() === 0;

function made(name: string, uid?: number): string {
  mkdirSync(scratch.path(name));
  if (uid !== undefined) lchownSync(scratch.path(name), uid, uid);
  return scratch.path(name);
}

test("in this user's, made or to be made, also by a link of this user's", () => {
  expect(isOwnCache(made("home"))).toBe(true);
  expect(isOwnCache(scratch.path("home/.cache/capsule"))).toBe(true);
  symlinkSync("home", scratch.path("link"));
  expect(isOwnCache(scratch.path("link/.cache/capsule"))).toBe(true);
});

test.skipIf(!isRoot)("not in somebody else's (takes root)", () => {
  made("home", STRANGER);
  for (const path of ["home", "home/.cache/capsule"]) expect(isOwnCache(scratch.path(path))).toBe(false);
  // As root's processes have left it there before.
  made("home/.cache");
  expect(isOwnCache(scratch.path("home/.cache/capsule"))).toBe(false);
});

test.skipIf(!isRoot)("not by somebody else's link, wherever it leads (takes root)", () => {
  made("secret");
  symlinkSync("secret", scratch.path("link"));
  lchownSync(scratch.path("link"), STRANGER, STRANGER);
  expect(isOwnCache(scratch.path("link/capsule"))).toBe(false);
});

test.skipIf(!isRoot)("of others than root, also below what a third has (takes root)", () => {
  made("department", 4712);
  made("department/home", STRANGER);
  expect(isOwnCache(scratch.path("department/home/.cache"), STRANGER)).toBe(true);
});
