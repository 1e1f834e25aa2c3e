import { expect, test } from "bun:test";
import { compareVersions, newestOf } from "../../../lib/elf/glibc-version.ts";
import { readLibrary } from "../../../lib/elf/library.ts";
import { Libc } from "../../../lib/process/libc.ts";
import { loadedFile } from "./specimens.ts";

test("compareVersions() goes by numbers, and what is missing is 0", () => {
  const signs = ([one, other]: readonly [number[], number[]]) => [
    Math.sign(compareVersions(one, other)),
    Math.sign(compareVersions(other, one)),
  ];
  expect(
    signs([
      [2, 9],
      [2, 10],
    ]),
  ).toEqual([-1, 1]);
  expect(
    signs([
      [2, 36],
      [2, 36],
    ]),
  ).toEqual([0, 0]);
  expect(
    signs([
      [2, 36],
      [2, 36, 0],
    ]),
  ).toEqual([0, 0]);
  expect(
    signs([
      [2, 36],
      [2, 36, 1],
    ]),
  ).toEqual([-1, 1]);
  expect(signs([[3], [2, 99]])).toEqual([1, -1]);
  expect(signs([[], [0, 1]])).toEqual([-1, 1]);
});

test("newestOf() finds the newest version of a family, wherever it stands", () => {
  const names = ["GLIBC_2.2.5", "GLIBC_2.36", "GLIBC_2.9", "GCC_7.0.0", "GLIBC_PRIVATE", "GLIBCXX_3.4.30", "libc.so.6"];
  expect(newestOf(names, "GLIBC")).toEqual([2, 36]);
  expect(newestOf(names, "GCC")).toEqual([7, 0, 0]);
  expect(newestOf(names, "GLIBCXX")).toEqual([3, 4, 30]);
  expect(newestOf(names, "CXXABI")).toEqual([]);
  expect(newestOf(["GLIBC_2.x", "GLIBC_", "GLIBC_2..3"], "GLIBC")).toEqual([]);
});

test("the newest version that libc defines is the one that it says it has", () => {
  // A release may add no version of its own, so the library may say a little more.
  const defined = newestOf(readLibrary(loadedFile("libc.so.6")).versions, "GLIBC");
  const said = new Libc().version.split(".").map(Number);
  expect(defined[0]).toBe(said[0] ?? 0);
  expect(compareVersions(defined, said)).toBeLessThanOrEqual(0);
});
