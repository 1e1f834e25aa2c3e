// The agent and the auditor of a launch are the same whether they were kept or not.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { System } from "../../../lib/process/system.ts";
import { Trace } from "../../../src/diagnostics/trace.ts";
import { type LaunchObjects, type LaunchParts, launchObjects } from "../../../src/server/launch-objects.ts";
import { FORMAT, PlaceholderCache } from "../../../src/server/placeholder-cache.ts";
import { SmallTree } from "../../lib/tree/small-tree.ts";

const SOME: LaunchParts = {
  directory: "/tmp/capsule-of-0/capsule-aB3xYz",
  owner: 1000,
  nonce: [1n, 0xffff_ffff_ffff_ffffn],
  needed: ["libc.so.6"],
  audited: {
    names: ["libGL.so.1", "libcapsule-agent.so"],
    staticTls: 1664,
    family: new Map([["libc.so.6", "/kept/libc.so.6"]]),
    older: {
      loader: "/tree/ld.so",
      takesArgv0: true,
      libraries: "/kept",
      exeShim: "libcapsule-exe.so",
      characterSets: "/tree/gconv",
      complaint: "capsule: no\n",
      ofStatic: "capsule: neither\n",
      newest: 36,
    },
    chosen: [{ path: "/tree/ld.so", dev: 3n, ino: 4n }],
  },
};
const ANOTHER: LaunchParts = { ...SOME, directory: "/tmp/capsule-of-0/capsule-000000", nonce: [7n, 8n] };

let scratch: SmallTree;
let keep: string;
beforeEach(() => {
  scratch = new SmallTree();
  keep = scratch.path("/cache/capsule/shims");
});
afterEach(() => scratch[Symbol.dispose]());

/** As a launch of its own makes them. */
const make = (parts: LaunchParts): LaunchObjects =>
  launchObjects(parts, PlaceholderCache.open(keep, new System(), new Trace([])));

function expectSameAsNew(parts: LaunchParts): void {
  const [made, fresh] = [make(parts), launchObjects(parts, undefined)];
  expect(Buffer.compare(made.agent, fresh.agent)).toBe(0);
  expect(Buffer.compare(made.auditor ?? new Uint8Array(0), fresh.auditor ?? new Uint8Array(0))).toBe(0);
  expect(made.auditor === undefined).toBe(fresh.auditor === undefined);
}

describe("kept objects are those of the launch", () => {
  test("also of another one than they were kept by", () => {
    for (const parts of [SOME, ANOTHER, SOME]) expectSameAsNew(parts);
    expect(readdirSync(keep)).toHaveLength(1);
    expect(Buffer.from(make(ANOTHER).agent).includes("/tmp/capsule-of-0/capsule-000000/lib/channel\0")).toBe(true);
  });

  test("without an auditor", () => {
    for (const parts of [SOME, ANOTHER]) expectSameAsNew({ ...parts, audited: undefined });
  });

  test("in a directory whose name is not such", () => {
    expectSameAsNew({ ...SOME, directory: "/tmp/capsule-of-0/x" });
    expect(readdirSync(keep)).toEqual([]);
  });

  test.each([
    ["another parent", { directory: "/var/tmp/capsule-aB3xYz" }],
    ["other libraries to bind to", { needed: ["libc.so.6", "libdl.so.2"] }],
    ["other names", { audited: { ...SOME.audited, names: ["libEGL.so.1"], staticTls: 1664 } }],
    ["more static TLS", { audited: { ...SOME.audited, names: [], staticTls: 1 } }],
  ])("for %s they are others", (_, change) => {
    make(SOME);
    expectSameAsNew({ ...SOME, ...change });
    expect(readdirSync(keep)).toHaveLength(2);
  });

  test("and made anew where the kept file is damaged", () => {
    make(SOME);
    const [name = ""] = readdirSync(keep);
    const path = join(keep, name);
    const sound = readFileSync(path);
    writeFileSync(path, Buffer.alloc(sound.length));
    expectSameAsNew(SOME);
    expect(readFileSync(path).equals(sound)).toBe(true);
  });

  test("and few, however many there have been", () => {
    for (let i = 0; i < 40; i++) make({ ...SOME, directory: `/tmp/${i}/capsule-aB3xYz` });
    expect(readdirSync(keep).length).toBeLessThan(20);
  });
});

// If this fails, the machine code has changed: the FORMAT in placeholder-cache.ts has to change, too.
test("what is kept has the format's code", () => {
  const { agent, auditor } = launchObjects(SOME, undefined);
  const hash = createHash("sha256")
    .update(agent)
    .update(auditor ?? "")
    .digest("hex");
  expect({ FORMAT, hash: hash.slice(0, 16) }).toEqual({ FORMAT: 8, hash: "218da98512f16a26" });
});
