// The suites of test/exec once more, on the glibc of other releases: in a tree of each, as its root directory. Which
// tests fail there is said with what they have written.

import { expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { cacheDirectory } from "../support/cache.ts";
import { repository, run } from "../support/run.ts";

setDefaultTimeout(1_800_000);

const isRoot = process.getuid?.() === 0;

/** What is not so on 2.31, or cannot be looked at there, by the words of its test. */
const APART_ON_2_31 = [
  // That ld.so fails an assertion (dl-deps.c) where a library names another one by ld --filter or --auxiliary.
  ...["ld --(filter|auxiliary)", "an optional one that the tree lacks"],
  // A copy of 2.31 that says it is newer is taken for one with which a process can be audited.
  ...[
    "a program runs on the host tree's glibc, as that is newer",
    "DIR takes that tree.s",
    "host takes the host.s also",
  ],
  // The base has no compiler for 32 bits, and no static libraries; its ld.so and libc are named otherwise.
  ...["of 32 bits", "a static program that opens libraries", "natively it runs on its own"],
  ...["on the machine's glibc", "on the newer glibc of a tree"],
  // The kernel's and ld.so's word for it is another there.
  "a segment's alignment: a program",
];

for (const [suite, glibc, apart] of [
  ["bullseye", "2.31", APART_ON_2_31],
  ["trixie", "2.41", []],
] as const)
  test.skipIf(!isRoot)(`what holds on this machine's glibc holds on ${glibc}, too (takes root)`, async () => {
    const onBase = [join(repository, "test", "support", "on-base"), suite];
    const options = { timeout: 1_700_000, env: { CAPSULE_TEST_CACHE: cacheDirectory() } };
    const version = await run([...onBase, "getconf", "GNU_LIBC_VERSION"], options);
    expect(version.stdout).toBe(`glibc ${glibc}\n`);
    const names = apart.length > 0 ? ["-t", `^(?!.*(?:${apart.join("|")}))`] : [];
    const command = ["bun", "test", "--parallel", ...names, "./test/exec"];
    const { stdout, stderr, exitCode } = await run([...onBase, ...command], options);
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
