// What a folder promises, and what programs would get.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type VerifyReport, verifyFolder } from "../../../src/capture/verify.ts";
import { type Content, SmallTree } from "../../lib/tree/small-tree.ts";

type Files = Readonly<Record<string, Content>>;

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

interface Case {
  readonly provider?: Files;
  readonly container?: Files;
  /** Names in the folder, and paths in the provider that they are links to. */
  readonly links: Readonly<Record<string, string>>;
  readonly programs?: readonly string[];
}

function verified({ provider: theirs = {}, container: ours = {}, links, programs = [] }: Case): VerifyReport {
  using provider = new SmallTree(theirs);
  using container = new SmallTree(ours);
  const folder = mkdtempSync(join(tmpdir(), "capsule-test-verify-"));
  folders.push(folder);
  for (const [name, path] of Object.entries(links)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    symlinkSync(`/run/host${path}`, join(folder, name));
  }
  const trees = { provider: provider.directory, container: container.directory };
  return verifyFolder({ folder, ...trees, linkTarget: "/run/host", loader: undefined, programs });
}

const faultsOf = (one: Case) => verified(one).faults.map(({ name, kind }) => [name, kind]);

const FOO: Files = { "/lib/libfoo.so.1.9": { soname: "libfoo.so.1", needed: ["libbar.so.1"] } };

test("a folder whose libraries find all they need is as promised", () => {
  const container = { "/usr/lib/libbar.so.1": { soname: "libbar.so.1" } };
  const report = verified({ provider: FOO, container, links: { "libfoo.so.1": "/lib/libfoo.so.1.9" } });
  expect(report.faults).toEqual([]);
  expect(report.checked.map(({ name }) => name)).toEqual(["libfoo.so.1"]);
});

test("so is one that needs what is in it", () => {
  const provider = { ...FOO, "/lib/libbar.so.1": { soname: "libbar.so.1" } };
  const links = { "libfoo.so.1": "/lib/libfoo.so.1.9", "libbar.so.1": "/lib/libbar.so.1" };
  expect(faultsOf({ provider, links })).toEqual([]);
});

describe("a fault is", () => {
  const cases: Record<string, [Case, [string, string][]]> = {
    "a link that leads to nothing": [{ links: { "libx.so.1": "/lib/libx.so.1" } }, [["libx.so.1", "dangling"]]],
    "a file that is no library": [
      { provider: { "/x": new Uint8Array(9) }, links: { "libx.so.1": "/x" } },
      [["libx.so.1", "unreadable"]],
    ],
    "something that is nowhere": [
      { provider: FOO, links: { "libfoo.so.1": "/lib/libfoo.so.1.9" } },
      [["libfoo.so.1", "missing"]],
    ],
    "something that a driver in a folder of its own needs": [
      { provider: FOO, links: { "dri/libfoo.so": "/lib/libfoo.so.1.9" } },
      [["dri/libfoo.so", "missing"]],
    ],
    "a program that is not there": [{ links: {}, programs: ["/bin/none"] }, [["/bin/none", "dangling"]]],
    "another copy, which a program's DT_RPATH puts in front": [
      {
        provider: { "/lib/libfoo.so.1": { soname: "libfoo.so.1" } },
        container: {
          "/opt/program": { needed: ["libfoo.so.1"], rpath: "$ORIGIN/lib" },
          "/opt/lib/libfoo.so.1": { soname: "libfoo.so.1" },
        },
        links: { "libfoo.so.1": "/lib/libfoo.so.1" },
        programs: ["/opt/program"],
      },
      [["/opt/program", "other"]],
    ],
  };
  test.each(Object.entries(cases))("%s", (_, [one, faults]) => expect(faultsOf(one)).toEqual(faults));

  test("but not a copy that DT_RUNPATH would find behind the folder", () => {
    const one: Case = {
      provider: { "/lib/libfoo.so.1": { soname: "libfoo.so.1" } },
      container: {
        "/opt/program": { needed: ["libfoo.so.1"], runpath: "$ORIGIN/lib" },
        "/opt/lib/libfoo.so.1": { soname: "libfoo.so.1" },
      },
      links: { "libfoo.so.1": "/lib/libfoo.so.1" },
      programs: ["/opt/program"],
    };
    expect(faultsOf(one)).toEqual([]);
  });
});
