// The variables of an attached program.

import { describe, expect, test } from "bun:test";
import { extendedPath, programEnvironment } from "../../../src/attached/program-environment.ts";

const made = (given: string[], changes: Record<string, string | undefined> = {}): string[] =>
  programEnvironment(
    given.map((text) => Buffer.from(text, "latin1")),
    new Map(Object.entries(changes)),
    "/d/lib",
  ).map((bytes) => Buffer.from(bytes).toString("latin1"));

describe("programEnvironment()", () => {
  test("keeps order and bytes, and puts the library path at the end where there was none", () => {
    expect(made(["B=2", "ODD=\xe9\xff", "A=1=1", "NOTHING"])).toEqual([
      "B=2",
      "ODD=\xe9\xff",
      "A=1=1",
      "NOTHING",
      "LD_LIBRARY_PATH=/d/lib",
    ]);
  });

  test("puts ours in front of the user's, in its place", () => {
    expect(made(["LD_LIBRARY_PATH=/a:/\xe9;/b", "A=1"])).toEqual(["LD_LIBRARY_PATH=/d/lib:/a:/\xe9;/b", "A=1"]);
  });

  test("makes no empty element of an empty path, which would be the current directory", () => {
    expect(made(["LD_LIBRARY_PATH="])).toEqual(["LD_LIBRARY_PATH=/d/lib"]);
    expect(made(["LD_LIBRARY_PATH=:"])).toEqual(["LD_LIBRARY_PATH=/d/lib::"]);
  });

  test("takes the last of two paths, as ld.so does", () => {
    expect(made(["LD_LIBRARY_PATH=/a", "A=1", "LD_LIBRARY_PATH=/b"])).toEqual(["LD_LIBRARY_PATH=/d/lib:/b", "A=1"]);
  });

  test("changes, removes and adds", () => {
    expect(made(["A=1", "B=2", "C=3", "A=4"], { A: "new", B: undefined, D: "there", E: undefined })).toEqual([
      "A=new",
      "C=3",
      "D=there",
      "LD_LIBRARY_PATH=/d/lib",
    ]);
  });
});

test("extendedPath() has the bytes of the last path behind the new directory", () => {
  const extended = (...given: string[]) =>
    extendedPath(
      given.map((text) => Buffer.from(text, "latin1")),
      "/d/lib",
    ).toString("latin1");
  expect(extended()).toBe("/d/lib");
  expect(extended("LD_LIBRARY_PATH=")).toBe("/d/lib");
  expect(extended("LD_LIBRARY_PATH=/a", "LD_LIBRARY_PATHS=/c", "LD_LIBRARY_PATH=/\xff:")).toBe("/d/lib:/\xff:");
});
