// The suites of test/exec once more, on the glibc of other releases: in a tree of each, as its root directory. Which
// tests fail there is said with what they have written.

import { expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { cacheDirectory } from "../support/cache.ts";
import { repository, run } from "../support/run.ts";

setDefaultTimeout(1_800_000);

const isRoot = process.getuid?.() === 0;

for (const [suite, glibc] of [
  ["bullseye", "2.31"],
  ["trixie", "2.41"],
] as const)
  test.skipIf(!isRoot)(`what holds on this machine's glibc holds on ${glibc}, too (takes root)`, async () => {
    const onBase = [join(repository, "test", "support", "on-base"), suite];
    const options = { timeout: 1_700_000, env: { CAPSULE_TEST_CACHE: cacheDirectory() } };
    const version = await run([...onBase, "getconf", "GNU_LIBC_VERSION"], options);
    expect(version.stdout).toBe(`glibc ${glibc}\n`);
    const { stdout, stderr, exitCode } = await run([...onBase, "bun", "test", "--parallel", "./test/exec"], options);
    expect(failures(`${stdout}${stderr}`)).toEqual([]);
    expect(exitCode).toBe(0);
  });

/** Of what bun has written: what stands before the line of each test that failed, and that line. */
function failures(text: string): string[] {
  const reports = new Map<string, string>();
  let from = 0;
  for (const { 0: line, 1: outcome, index } of text.matchAll(/^\((pass|skip|todo|fail)\) .*$/gm)) {
    // At the end all are listed again.
    if (outcome === "fail" && !reports.has(line)) reports.set(line, text.slice(from, index + line.length).trim());
    from = index + line.length;
  }
  return [...reports.values()];
}
