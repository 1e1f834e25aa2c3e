// Libraries that are filters (ld -F, -f): who they name gives their symbols, on either side and across the border.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { expectLines } from "../support/expect.ts";
import type { Binary } from "../support/fixtures.ts";
import { HOST, pair, RUNTIME } from "../support/pair.ts";
import { command } from "../support/run.ts";

const FOLDER = "loading/a-filter-gives-the-symbols-of-the-library-that-it-names";
const host = `${HOST}/libhost.so.1`;

/** What its colour says; `option` is one of ld's. */
const coloured = (path: string, colour: string, number: number, ...options: string[]): Binary => ({
  path,
  sources: ["library.c"],
  flags: [`-DCOLOUR="${colour}"`, `-DNUMBER=${number}`, ...options.map((option) => `-Wl,${option}`)],
});
const program = (...needs: string[]): Binary => ({ path: "program", sources: ["program.c"], needs });
const opener: Binary = { path: "opener", sources: ["opener.c"] };

describe.each(["auxiliary", "filter"])("ld --%s", (kind) => {
  const isolated = coloured(host, "grey", 1, `--${kind}=libreal.so.1`);

  test("an isolated library gives what the one that it names has, wherever it is needed or opened", async () => {
    const real = coloured(`${HOST}/libreal.so.1`, "red", 2);
    const built = await pair(FOLDER, [real, isolated, program(host), opener]);
    const expected = ["bound: red 2", "by its handle: red"];
    expectLines(await built.native(), expected);
    expectLines(await built.capsule(), expected);
    for (const run of [built.native, built.capsule])
      expectLines(await run.call(built, ["libhost.so.1"], {}, "opener"), ["red"]);
  });

  test("the library that is named may be one itself", async () => {
    const real = coloured(`${HOST}/libreal.so.1`, "red", 2, `--${kind}=libdeep.so.1`);
    const built = await pair(FOLDER, [coloured(`${HOST}/libdeep.so.1`, "blue", 3), real, isolated, program(host)]);
    const expected = ["bound: blue 3", "by its handle: blue"];
    expectLines(await built.native(), expected);
    expectLines(await built.capsule(), expected);
  });

  test("a library of the program's names an isolated one", async () => {
    const front = coloured(`${RUNTIME}/libfront.so.1`, "green", 4, `--${kind}=libhost.so.1`);
    const built = await pair(FOLDER, [coloured(host, "red", 2), front, program(front.path), opener]);
    const expected = ["bound: red 2", "by its handle: red"];
    expectLines(await built.native(), expected);
    expectLines(await built.capsule(), expected);
    for (const run of [built.native, built.capsule])
      expectLines(await run.call(built, [join(built.runtime, "libfront.so.1")], {}, "opener"), ["red"]);
  });

  test("tree, why and plan tell of it", async () => {
    const real = coloured(`${HOST}/libreal.so.1`, "red", 2);
    const built = await pair(FOLDER, [real, isolated, program(host)]);
    const told = [
      ["tree", built.program()],
      ["graph", built.program()],
      ["plan", "--json", built.program()],
      ["why", "--program", built.program(), "libreal.so.1"],
    ];
    for (const [name = "", ...args] of told) {
      const { stdout, stderr } = await command([name, ...built.flags(), ...args]);
      expect(stderr).toBe("");
      expect(stdout).toContain("libreal.so.1");
    }
  });
});

test("a library that a filter names and the tree lacks is an error that names it", async () => {
  const built = await pair(FOLDER, [coloured(host, "grey", 1, "--filter=libreal.so.1"), program(host)]);
  expect((await built.native()).stderr).toContain("libreal.so.1: cannot open shared object file");
  const { stdout, stderr, exitCode } = await built.capsule();
  expect([stdout, exitCode]).toEqual(["", 125]);
  expect(stderr).toContain('Cannot find "libreal.so.1", which "');
});

test("an optional one that the tree lacks is passed over, and is not taken from the program's side", async () => {
  const outputs = [coloured(host, "grey", 1, "--auxiliary=libreal.so.1"), program(host), opener];
  const built = await pair(FOLDER, outputs);
  const expected = ["bound: grey 1", "by its handle: grey"];
  expectLines(await built.native(), expected);
  expectLines(await built.capsule(), expected);
  const beside = await pair(FOLDER, [...outputs, coloured(`${RUNTIME}/libreal.so.1`, "red", 2)]);
  expectLines(await beside.capsule(), expected);
  expectLines(await beside.capsule(["libhost.so.1"], {}, "opener"), ["grey"]);
});
