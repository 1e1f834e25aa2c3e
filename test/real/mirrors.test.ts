// Mirrors on the glibc of other releases: what one version honours another might not.

import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemDirectories } from "../../lib/tree/system-dirs.ts";
import { Tree } from "../../lib/tree/tree.ts";
import type { Loaded } from "../lib/elf/write/load.ts";
import { repository, run } from "../support/run.ts";
import { type Suite, tree } from "../support/trees.ts";

setDefaultTimeout(600_000);

let scratch: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "capsule-test-"));
});
afterEach(() => rmSync(scratch, { recursive: true }));

/** Runs a script by Bun on a tree's own ld.so and libraries. */
async function runOn(suite: Suite, script: string, args: string[]): Promise<string> {
  const root = new Tree(await tree(suite));
  const loader = root.resolve("/lib64/ld-linux-x86-64.so.2");
  if (loader === undefined) throw new Error(`The tree of ${suite} has no ld.so`);
  const directories = systemDirectories(root).flatMap((directory) => root.resolve(directory) ?? []);
  const libraryPath = ["--library-path", directories.join(":")];
  const outcome = await run([loader, ...libraryPath, process.execPath, join(repository, script), ...args]);
  expect(outcome).toMatchObject({ stderr: "", exitCode: 0, signal: null });
  return outcome.stdout;
}

describe.each([
  ["bullseye", "2.31"],
  ["bookworm", "2.36"],
  ["trixie", "2.41"],
] as const)("on the glibc of %s", (suite, version) => {
  test("mirrors show every name of every version where the original has it", async () => {
    const libraries = ["libc.so.6", "libm.so.6", "libpthread.so.0", "libX11.so.6", "libstdc++.so.6"];
    const printed = await runOn(suite, "test/lib/elf/write/load.ts", [scratch, ...libraries]);
    const { glibc, mirrors, overrides, symbolObject } = JSON.parse(printed) as Loaded;
    expect(glibc).toBe(version);
    for (const library of libraries) expect(mirrors[library]).toMatchObject({ different: [], threadLocalShown: 0 });
    expect(mirrors["libc.so.6"]?.compared).toBeGreaterThan(3000);
    expect(overrides).toEqual({ address: true, zeroPage: true, sizeOfZeroPages: 8192, ownerOfZeroPages: true });
    expect(Object.values(symbolObject)).toEqual([true, true, true, true, true]);
  });
});
