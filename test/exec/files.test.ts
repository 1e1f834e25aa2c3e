// What a host library has under /usr and /etc is its tree's, where it is there; the program's is the machine's.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lines } from "../support/lines.ts";
import { hostAndProgram, type Pair, pair } from "../support/pair.ts";
import { capsule, native, run } from "../support/run.ts";

const DATA = "/usr/share/capsule-fixture";
let files: Pair;
/** A copy of the fixture's host tree, with files in it. */
let tree: string;

beforeAll(async () => {
  files = await pair("files/a-host-library-finds-its-files-in-the-host-tree", hostAndProgram());
  tree = mkdtempSync(join(tmpdir(), "capsule-test-"));
  cpSync(files.host, tree, { recursive: true, verbatimSymlinks: true });
  mkdirSync(join(tree, DATA), { recursive: true });
  for (const directory of ["etc", "tmp", "proc/self", "dev"]) mkdirSync(join(tree, directory), { recursive: true });
  writeFileSync(join(tree, DATA, "settings"), "the-tree's settings\n");
  // Absolute, and so to be taken from the tree's root.
  symlinkSync(`${DATA}/settings`, join(tree, DATA, "link"));
  writeFileSync(join(tree, "etc/capsule-fixture.conf"), "the-tree's configuration\n");
});
afterAll(() => rmSync(tree, { recursive: true }));

const flags = () => ["--host", tree, "--isolate", "libhost.so.1"];
const side = (name: string, list: readonly string[]) => list.filter((line) => line.startsWith(`${name}: `));

/** What somebody finds who has nothing but the machine's files. */
const machines = (who: string): string[] => [
  ...[`${DATA}/settings`, `${DATA}/link`, "/etc/capsule-fixture.conf"].flatMap((path) =>
    ["open", "openat", "fopen", "stat", "access", "realpath"].map((call) => `${who}: ${call} ${path}: not there`),
  ),
  `${who}: opendir ${DATA}: not there`,
  `${who}: readlink ${DATA}/link: not there`,
  ...common(who),
  `${who}: bindtextdomain capsule: ${DATA}`,
];

const common = (who: string): string[] => [
  `${who}: access /tmp: readable`,
  `${who}: access /proc/self/comm: readable`,
  `${who}: access /dev/null: readable`,
  `${who}: access /usr/bin/env: readable`,
  `${who}: open for writing /etc/capsule-fixture.conf: not there`,
];

test("the program finds what it finds natively", async () => {
  const model = await files.native();
  expect(side("program", lines(model.stdout))).toEqual(machines("program"));
  expect(side("host", lines(model.stdout))).toEqual(machines("host"));
  const outcome = await capsule(flags(), files.program());
  // In attached mode, who answers says so.
  expect(outcome.stderr.replace(/^capsule: request: the server is process \d+\n/, "")).toBe("");
  expect(side("program", lines(outcome.stdout))).toEqual(machines("program"));
});

test("a host library finds what its tree has, links taken from the tree's root, and else the machine's", async () => {
  const found = (path: string, real: string, word: string): string[] => [
    `host: open ${path}: ${word}`,
    `host: openat ${path}: ${word}`,
    `host: fopen ${path}: ${word}`,
    `host: stat ${path}: a file`,
    `host: access ${path}: readable`,
    `host: realpath ${path}: ${tree}${real}`,
  ];
  const { stdout } = await capsule(flags(), files.program());
  const entries = await run(["ls", "-U", join(tree, DATA)]);
  expect(side("host", lines(stdout))).toEqual([
    ...found(`${DATA}/settings`, `${DATA}/settings`, "the-tree's"),
    ...found(`${DATA}/link`, `${DATA}/settings`, "the-tree's"),
    ...found("/etc/capsule-fixture.conf", "/etc/capsule-fixture.conf", "the-tree's"),
    `host: opendir ${DATA}: ${lines(entries.stdout).join(" ")}`,
    `host: readlink ${DATA}/link: ${DATA}/settings`,
    ...common("host"),
    `host: bindtextdomain capsule: ${tree}${DATA}`,
  ]);
});

test("with the machine itself as host nothing is looked for elsewhere", async () => {
  const LD_LIBRARY_PATH = join(files.host, "usr/lib/x86_64-linux-gnu");
  const env = { LD_LIBRARY_PATH };
  const [model, outcome] = await Promise.all([
    native(files.program(), [], { env }),
    capsule(["--host", "/", "--trace", "request"], files.program(), [], { env }),
  ]);
  expect(outcome.stdout).toBe(model.stdout);
  // In attached mode, who answers says so.
  expect(outcome.stderr.replace(/^capsule: request: the server is process \d+\n/, "")).toBe("");
});
