// Nothing is found elsewhere by who writes to it, or looks at a link itself, or says no path at all.

import { beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expectBoth } from "../support/both.ts";
import { expectLines } from "../support/expect.ts";
import { hostAndProgram, type Pair, pair } from "../support/pair.ts";
import { capsule } from "../support/run.ts";

test("a host library writes where everybody does, and not to its tree", async () => {
  const writing = await pair("files/a-host-library-writes-where-everybody-does", hostAndProgram());
  // In a directory that the machine does not have, so that it can write nowhere.
  const path = `/etc/capsule-fixture-${process.pid}/settings`;
  const tree = mkdtempSync(join(tmpdir(), "capsule-test-"));
  try {
    cpSync(writing.host, tree, { recursive: true, verbatimSymlinks: true });
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    writeFileSync(join(tree, path), "the tree's\n");
    const shown = (toRead: string) => {
      const toWrite = "No such file or directory";
      return [
        `fopen, r: ${toRead}`,
        `fopen, re: ${toRead}`,
        ...["r+", "rb+", "a", "w", "a+", "w+"].map((mode) => `fopen, ${mode}: ${toWrite}`),
        ...["open", "openat"].map((call) => `${call}, to read: ${toRead}`),
        ...["to write", "for both", "to make it"].flatMap((how) =>
          ["open", "openat"].map((call) => `${call}, ${how}: ${toWrite}`),
        ),
      ];
    };
    expectLines(await writing.native([path]), shown("No such file or directory"));
    const flags = ["--host", tree, "--isolate", "libhost.so.1"];
    expectLines(await capsule(flags, writing.program(), [path]), shown("opened"));
    expect(readFileSync(join(tree, path), "utf8")).toBe("the tree's\n");
    expect(readdirSync(dirname(join(tree, path)))).toEqual(["settings"]);
  } finally {
    rmSync(tree, { recursive: true });
  }
});

describe("/proc/self/exe is", () => {
  let link: Pair;
  const ofAll = (answers: string[]) =>
    ["program", "program, by process id", "host"].flatMap((who) => answers.map((line) => `${who}, ${line}`));

  beforeAll(async () => {
    link = await pair("process/proc-self-exe-is-a-link-to-a-file-that-runs", hostAndProgram());
  });

  test("a link, for those who do not follow it", async () => {
    const expected = ofAll([
      ...["fstatat: a link", "fstatat64: a link", "statx: a link"],
      ...["fstatat, followed: a file", "statx, followed: a file"],
      "open, O_NOFOLLOW: Too many levels of symbolic links",
      "openat, O_NOFOLLOW: Too many levels of symbolic links",
      "open, O_PATH | O_NOFOLLOW: a link",
      "fopen to read: opened",
    ]);
    await expectBoth(link, ["look"], expected);
  });

  // The kernel is asked about Bun's file: who may not write to that is refused earlier (EACCES).
  test.skipIf(!mayWrite(process.execPath))("a file that runs (takes who may write to Bun's file)", async () => {
    const expected = ofAll([
      "fopen to read and write: Text file busy",
      "fopen64 to read and write: Text file busy",
      "fopen to append: Text file busy",
      "freopen to read and write: Text file busy",
    ]);
    await expectBoth(link, ["write"], expected);
  });
});

test("a path that points nowhere is a bad address", async () => {
  const nowhere = await pair("process/a-path-that-points-nowhere-is-a-bad-address", hostAndProgram());
  const calls = [
    ...["open", "openat", "open to write", "access", "faccessat", "stat", "lstat", "fstatat", "statx"],
    ...["readlink", "readlinkat", "fopen"],
  ];
  const expected = ["program", "host"].flatMap((who) => calls.map((call) => `${who}, ${call}: Bad address`));
  await expectBoth(nowhere, [], expected);
});

function mayWrite(path: string): boolean {
  return Bun.spawnSync(["test", "-w", path]).exitCode === 0;
}
