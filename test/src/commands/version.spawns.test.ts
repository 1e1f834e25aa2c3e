// `capsule version`: four fields, of a tree that is laid out as distributions lay theirs out.

import { afterAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { versionIn } from "../../../src/report/version-in.ts";
import { Scratch } from "../../lib/elf/scratch.ts";
import { loadedFile } from "../../lib/elf/specimens.ts";
import { command, type Outcome } from "../../support/run.ts";

const capsule = (args: string[], env: Record<string, string> = {}): Promise<Outcome> =>
  command(["version", ...args], { env });

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());
const tree = scratch.path("tree");
const libraries = join(tree, "usr", "lib", "x86_64-linux-gnu");
mkdirSync(libraries, { recursive: true });
for (const file of ["libred.so.4.11.2", "libblue-2.31.so", "libgreen.so"])
  copyFileSync(loadedFile("libc.so.6"), join(libraries, file));
symlinkSync("libred.so.4.11.2", join(libraries, "libred.so.4"));
// absolute: of the tree, not of the machine
symlinkSync("/usr/lib/x86_64-linux-gnu/libblue-2.31.so", join(libraries, "libblue.so.6"));

describe("a library's version", () => {
  const cases: [string, string, string][] = [
    ["libred.so.4", "4.11.2", "libred.so.4.11.2"],
    ["libblue.so.6", "2.31", "libblue-2.31.so"],
    ["libgreen.so", "unknown", "libgreen.so"],
  ];
  for (const [soname, version, file] of cases)
    test(`is in the name of the file behind ${soname}: ${version}`, async () => {
      const path = join(libraries, file);
      expect(await capsule([soname, "--host", tree])).toMatchObject({
        stdout: `${tree} ${soname} ${version} ${path}\n`,
        stderr: "",
        exitCode: 0,
      });
      const { stdout } = await capsule([soname, "--json"], { CAPSULE_PREFIX: tree });
      expect(JSON.parse(stdout)).toEqual({ tree, soname, version: version === "unknown" ? null : version, path });
    });

  test("of a file is that of the file that its links lead to", async () => {
    const link = join(libraries, "libred.so.4");
    const { stdout } = await capsule([link]);
    expect(stdout).toBe(`/ libred.so.4 4.11.2 ${join(libraries, "libred.so.4.11.2")}\n`);
  });

  test("is what a file's name says, and nothing where it says nothing", () => {
    expect(versionIn("/usr/lib/libGL.so.1.7.0")).toBe("1.7.0");
    expect(versionIn("libLLVM.so.19.1")).toBe("19.1");
    expect(versionIn("libnss3.so")).toBe("");
    expect(versionIn("libc-2.31.so")).toBe("2.31");
    expect(versionIn("libgallium-25.0.7-2.so")).toBe("25.0.7-2");
    expect(versionIn("libcudart-1b.so.old")).toBe("");
  });
});

describe("a clear error for", () => {
  const mistakes: [string, string[], string, number][] = [
    [
      "a soname that the tree does not have",
      ["libnone.so.1", "--host", tree],
      `${libraries}/libnone.so.1: no such file`,
      125,
    ],
    ["a file that is not there", ["./libnone.so.1"], 'Cannot find "./libnone.so.1": no such file', 125],
    ["a tree that is not there", ["libred.so.4", "--host", "/nowhere"], "there is no such directory", 125],
    ["an option and no soname", ["--json"], "a soname is needed", 2],
  ];
  for (const [what, args, message, code] of mistakes)
    test(what, async () => {
      const { stdout, stderr, exitCode } = await capsule(args);
      expect([stdout, exitCode]).toEqual(["", code]);
      expect(stderr).toContain(message);
    });
});
