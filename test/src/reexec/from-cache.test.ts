// For how long it holds what was kept of a re-execution.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, rmSync } from "node:fs";
import { sealed } from "../../../lib/sealed.ts";
import { identityOf, parsed, VERSION } from "../../../src/reexec/from-cache.ts";
import { Scratch } from "../../lib/elf/scratch.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

describe("identityOf()", () => {
  const loader = scratch.write("ld.so", "ld.so");
  const links = scratch.path("links");
  mkdirSync(links);
  scratch.write("links/libc.so.6", "libc");
  const settings = scratch.path("capsule.toml");
  const through = {
    ...{ loader, path: `${links}:/usr/lib`, takesArgv0: true, characterSets: undefined, program: "bun", attempt: 1 },
  };
  const identity = () => identityOf(through, [settings]);

  test("stays while nothing changes, be there settings or not", () => {
    expect(identity()).toBe(identity());
    scratch.write("capsule.toml", 'mode = "auto"');
    expect(identity()).toBe(identity());
  });

  test("changes with any of the files, also one that comes or goes", () => {
    const seen = [identity()];
    scratch.write("capsule.toml", 'mode = "attached"');
    seen.push(identity());
    rmSync(settings);
    seen.push(identity());
    scratch.write("links/libc.so.6", "another libc");
    seen.push(identity());
    scratch.write("ld.so", "another ld.so");
    seen.push(identity());
    expect(new Set(seen).size).toBe(seen.length);
  });
});

test("what was kept is believed only as it was written", () => {
  const content = { entries: { key: { settings: [] } } };
  const text = sealed(VERSION, content);
  expect(parsed(Buffer.from(text)) as unknown).toMatchObject(content);
  for (const other of ["", "{}", text.slice(0, -1), text.replace("[]", "{}"), sealed(VERSION + 1, { entries: {} })])
    expect(parsed(Buffer.from(other))).toBeUndefined();
});
