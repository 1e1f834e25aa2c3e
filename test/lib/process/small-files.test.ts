// As node:fs has it, by libc's own functions.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SmallFiles } from "../../../lib/process/small-files.ts";
import { System } from "../../../lib/process/system.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "capsule-small-"));
  writeFileSync(join(directory, "empty"), "");
  writeFileSync(join(directory, "long"), "0123456789".repeat(20_000));
  writeFileSync(join(directory, "shared"), "anybody's");
  chmodSync(join(directory, "shared"), 0o666);
  mkdirSync(join(directory, "none"));
  symlinkSync("/no/such/file", join(directory, "link"));
});
afterAll(() => rmSync(directory, { recursive: true }));

describe("a small file", () => {
  const files = new SmallFiles(new System());
  const at = (name: string) => join(directory, name);

  test("is read to its end", () => {
    expect(files.bytes(at("empty"))).toHaveLength(0);
    expect(files.text(at("long"))).toBe("0123456789".repeat(20_000));
    expect(files.text("/proc/self/comm")).toBe(readFileSync("/proc/self/comm", "utf8"));
  });

  test("that is none is undefined, or empty", () => {
    for (const name of ["nothing", "none", "link", "long/file"]) {
      expect(files.bytes(at(name))).toBeUndefined();
      expect(files.text(at(name))).toBe("");
    }
  });

  test("that is a link says where it leads", () => {
    expect(files.link(at("link"))).toBe("/no/such/file");
    expect(files.link(at("long"))).toBeUndefined();
  });

  test("is in the list of its directory", () => {
    expect(files.names(directory).sort()).toEqual(readdirSync(directory).sort());
    expect(files.names(at("none"))).toEqual([]);
    expect(files.names(at("nothing"))).toEqual([]);
  });

  test("has an owner and a mode", () => {
    for (const name of ["long", "shared", "link", "none"]) {
      const { uid, mode } = lstatSync(at(name));
      expect(files.owner(at(name))).toEqual({ uid, mode });
    }
    expect(files.owner(at("nothing"))).toBeUndefined();
  });
});
