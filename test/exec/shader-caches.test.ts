// Where the drivers of a host tree keep their shaders: apart from those of other trees, unless the user says where.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, lstatSync, mkdirSync, mkdtempSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HOST, hostAndProgram, type Pair, pair } from "../support/pair.ts";
import { capsule, type Outcome } from "../support/run.ts";

const DRIVERS = "usr/lib/x86_64-linux-gnu";
const SONAME = "libhost.so.1";

let fixture: Pair;
let directory: string;
let count = 0;
beforeAll(async () => {
  fixture = await pair("files/each-host-tree-keeps-its-shaders-apart", hostAndProgram());
  directory = mkdtempSync(join(tmpdir(), "capsule-test-shaders-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** A tree with Mesa's drivers in it, as far as anybody can see. */
function treeWith(...drivers: string[]): string {
  const tree = join(directory, `tree-${++count}`);
  cpSync(fixture.host, tree, { recursive: true });
  for (const name of drivers) cpSync(join(fixture.out, HOST, SONAME), join(tree, DRIVERS, name));
  return tree;
}
const withMesa = () => {
  const tree = treeWith();
  mkdirSync(join(tree, DRIVERS, "dri"));
  return tree;
};

/** What is found by whom, by "whose NAME". */
function told({ stdout, stderr, exitCode }: Outcome): Record<string, string> {
  expect({ stderr, exitCode }).toEqual({ stderr: "", exitCode: 0 });
  const lines = stdout.matchAll(/^(\w+ \w+): (.*)$/gm);
  return Object.fromEntries(Array.from(lines, ([, name = "", value = ""]) => [name, value]));
}
const start = async (tree: string, cache: string, env: Record<string, string> = {}, flags: string[] = []) =>
  told(
    await capsule([...flags, "--host", tree, "--isolate", SONAME], fixture.program(), [], {
      env: { XDG_CACHE_HOME: cache, ...env },
    }),
  );
const freshCache = () => join(directory, `cache-${++count}`);

describe("Mesa of a host tree is told of a cache", () => {
  test("that is the tree's own, below the user's, and is there", async () => {
    const [cache, one, other] = [freshCache(), withMesa(), withMesa()];
    const [first, again, second] = [await start(one, cache), await start(one, cache), await start(other, cache)];
    const { "host MESA_SHADER_CACHE_DIR": path = "" } = first;
    expect(path).toStartWith(`${cache}/capsule/shaders/`);
    expect(path).toEndWith(", a directory");
    expect(again).toEqual(first);
    expect(first["host MESA_GLSL_CACHE_DIR"]).toBe(path);
    expect(second["host MESA_SHADER_CACHE_DIR"]).not.toBe(path);
    expect(readlinkSync(join(path.replace(", a directory", ""), "tree"))).toBe(one);
    expect(lstatSync(path.replace(", a directory", "")).mode & 0o777).toBe(0o700);
  });

  test("of which the program knows nothing", async () => {
    const found = await start(withMesa(), freshCache());
    for (const name of ["MESA_SHADER_CACHE_DIR", "MESA_GLSL_CACHE_DIR", "__GL_SHADER_DISK_CACHE_PATH"])
      expect(found[`program ${name}`]).toBe("not set");
  });

  test("unless the user has said where, by either name", async () => {
    const mine = join(directory, "mine");
    const newer = await start(withMesa(), freshCache(), { MESA_SHADER_CACHE_DIR: mine });
    expect(newer["host MESA_SHADER_CACHE_DIR"]).toBe(mine);
    const older = await start(withMesa(), freshCache(), { MESA_GLSL_CACHE_DIR: mine });
    expect([older["host MESA_SHADER_CACHE_DIR"], older["host MESA_GLSL_CACHE_DIR"]]).toEqual(["not set", mine]);
  });
});

test("NVIDIA's driver is told of one where the tree has it", async () => {
  const found = await start(treeWith("libGLX_nvidia.so.0"), freshCache());
  expect(found["host __GL_SHADER_DISK_CACHE_PATH"]).toEndWith(", a directory");
  expect(found["host MESA_SHADER_CACHE_DIR"]).toBe("not set");
});

test("a tree without drivers is told of none, and nothing is made", async () => {
  const cache = freshCache();
  const found = await start(treeWith(), cache);
  expect(new Set(Object.values(found))).toEqual(new Set(["not set"]));
  expect(lstatSync(join(cache, "capsule", "shaders"), { throwIfNoEntry: false })).toBeUndefined();
});

test("where none can be made the program runs all the same", async () => {
  const cache = freshCache();
  writeFileSync(cache, "");
  expect((await start(withMesa(), cache))["host MESA_SHADER_CACHE_DIR"]).not.toEndWith(", a directory");
});
