// The variables of an attached program.

import { describe, expect, test } from "bun:test";
import { extendedPath, isOfLaunch, programEnvironment } from "../../../src/handover/program-environment.ts";

const AUDITOR = "/d/lib/audit/libcapsule-audit-$PLATFORM.so";

const made = (given: string[], changes: Record<string, string | undefined> = {}): string[] => {
  const list = all(given, changes);
  expect(list.at(-1)).toBe(`LD_AUDIT=${AUDITOR}`);
  return list.slice(0, -1);
};

const all = (given: string[], changes: Record<string, string | undefined> = {}, isAudited = true): string[] =>
  programEnvironment(
    given.map((text) => Buffer.from(text, "latin1")),
    new Map(Object.entries(changes)),
    { libraries: "/d/lib", isAudited },
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

test("programEnvironment() puts our auditor behind others, and in the place of another launch's", () => {
  const audited = (value: string) => all([`LD_AUDIT=${value}`, "A=1"]);
  const rest = ["A=1", "LD_LIBRARY_PATH=/d/lib"];
  expect(audited("")).toEqual([`LD_AUDIT=${AUDITOR}`, ...rest]);
  expect(audited("/a.so:/\xe9.so")).toEqual([`LD_AUDIT=/a.so:/\xe9.so:${AUDITOR}`, ...rest]);
  expect(audited(`/a.so:${AUDITOR.replace("/d/", "/e/")}:/b.so`)).toEqual([`LD_AUDIT=/a.so:/b.so:${AUDITOR}`, ...rest]);
});

test("programEnvironment() leaves auditors as they are where ours cannot be", () => {
  expect(all(["LD_AUDIT=/a.so"], {}, false)).toEqual(["LD_AUDIT=/a.so", "LD_LIBRARY_PATH=/d/lib"]);
});

test("isOfLaunch() goes by the library path and by the auditor", () => {
  const of = (...list: string[]) => isOfLaunch(list.join("\0"), "/d/lib");
  expect(of("A=1", "LD_LIBRARY_PATH=/a:/d/lib")).toBe(true);
  expect(of("LD_LIBRARY_PATH=/a", `LD_AUDIT=/a.so:${AUDITOR}`)).toBe(true);
  expect(of(...all([]))).toBe(true);
  expect(of("LD_LIBRARY_PATH=/d/lib2", `LD_AUDIT=${AUDITOR}x`, `ALD_AUDIT=${AUDITOR}`)).toBe(false);
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
