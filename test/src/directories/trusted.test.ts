import { describe, expect, test } from "bun:test";
import { isTrusted, type Owner, openedAbove } from "../../../src/directories/trusted.ts";

const DIRECTORY = 0o040000;
const SAFE: Record<string, Owner> = {
  "/": { uid: 0, mode: DIRECTORY | 0o755 },
  "/tmp": { uid: 0, mode: DIRECTORY | 0o1777 },
  "/home": { uid: 0, mode: DIRECTORY | 0o755 },
  "/home/me": { uid: 1000, mode: DIRECTORY | 0o755 },
  "/home/me/.cache": { uid: 1000, mode: DIRECTORY | 0o700 },
  "/tmp/mine": { uid: 1000, mode: DIRECTORY | 0o700 },
};
const isSafe = (path: string, changes: Record<string, Owner | undefined> = {}, uid = 1000) =>
  isTrusted(path, (one) => (one in changes ? changes[one] : SAFE[one]), uid);

describe("a directory is trusted", () => {
  test("if it is ours, and what is above it ours or root's, or sticky", () => {
    expect(isSafe("/home/me/.cache")).toBe(true);
    expect(isSafe("/tmp/mine")).toBe(true);
    // in a user namespace
    expect(isSafe("/home/me/.cache", { "/": { uid: 65534, mode: DIRECTORY | 0o755 } })).toBe(true);
  });

  test("if its owner, or that of one above it, has the whole system", () => {
    const theirs = { uid: 7, mode: DIRECTORY | 0o755 };
    expect(isSafe("/home/me/.cache", { "/": theirs, "/home": theirs })).toBe(true);
    expect(isSafe("/home/me/.cache", { "/home": theirs })).toBe(false);
  });

  test("but not if it is somebody else's, or below what is somebody else's", () => {
    expect(isSafe("/home/me/.cache", {}, 0)).toBe(false);
    expect(isSafe("/home/me/.cache", { "/home/me/.cache": { uid: 0, mode: DIRECTORY | 0o700 } }, 0)).toBe(false);
    expect(isSafe("/home")).toBe(false);
  });

  test("nor if others may write to it, or to what is above it", () => {
    const open = { uid: 1000, mode: DIRECTORY | 0o777 };
    expect(isSafe("/home/me/.cache", { "/home/me/.cache": open })).toBe(false);
    expect(isSafe("/home/me/.cache", { "/home/me": open })).toBe(false);
    expect(isSafe("/tmp/mine", { "/tmp/mine": { uid: 1000, mode: DIRECTORY | 0o1777 } })).toBe(false);
  });

  test("nor if it is none, a link, or not there", () => {
    expect(isSafe("/home/me/.cache", { "/home/me/.cache": undefined })).toBe(false);
    expect(isSafe("/home/me/.cache", { "/home/me": { uid: 1000, mode: 0o120777 } })).toBe(false);
    expect(isSafe("/home/me/.cache", { "/home/me/.cache": { uid: 1000, mode: 0o100600 } })).toBe(false);
  });
});

test("the first directory is named in which others may replace what is made", () => {
  const open: Record<string, Owner> = { "/home": { uid: 0, mode: DIRECTORY | 0o777 } };
  const ownerOf = (path: string) => open[path] ?? SAFE[path];
  expect(openedAbove("/home/me", ownerOf, 1000)).toBe("/home");
  expect(openedAbove("/tmp", ownerOf, 1000)).toBeUndefined();
  expect(openedAbove("/tmp/missing", ownerOf, 1000)).toBe("/tmp/missing");
});
