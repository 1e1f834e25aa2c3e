// What a library refers to and nobody defines, as ld.so says it.

import { afterAll, describe, expect, test } from "bun:test";
import { openImage } from "../../../lib/elf/file.ts";
import { findMissingVersion, undefinedIn } from "../../../lib/elf/undefined.ts";
import { Scratch } from "./scratch.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

const library = (name: string, source: string, ...flags: string[]) =>
  openImage(scratch.compile(`${name}.so`, source, "-shared", "-fPIC", "-nostdlib", ...flags));

const definer = library("definer", "int known; int function(void) { return known; }");

describe("a reference that nobody answers", () => {
  const of = (source: string, bindsNow: boolean, ...flags: string[]) => {
    using image = library("user", source, ...flags);
    return [...undefinedIn(image, [image, definer], bindsNow)].map(({ name }) => name);
  };

  test("to a variable counts always", () => {
    const source = "extern int absent; int *user(void) { return &absent; }";
    expect(of(source, false)).toEqual(["absent"]);
    expect(of(source, true)).toEqual(["absent"]);
  });

  test("to a function that is called counts where functions are bound at once", () => {
    const source = "int absent(void); int user(void) { return absent(); }";
    expect(of(source, true)).toEqual(["absent"]);
    expect(of(source, false, "-Wl,-z,lazy")).toEqual([]);
    expect(of(source, false, "-Wl,-z,now")).toEqual(["absent"]);
  });

  test("to a function whose address is taken counts always", () => {
    expect(of("int absent(void); void *user(void) { return absent; }", false)).toEqual(["absent"]);
  });

  test("does not count where it is weak, or where somebody answers", () => {
    const source = "extern int weak __attribute__((weak)), known; int function(void);";
    expect(of(`${source} int user(void) { return (&weak ? weak : 0) + known + function(); }`, true)).toEqual([]);
  });
});

test("a version that is needed and not defined is told, unless there are none at all", () => {
  const versions = scratch.write("versions.map", "ONE { global: one; }; TWO { global: two; } ONE;");
  const source = "int one(void) { return 1; } int two(void) { return 2; }";
  using whole = library("libwhole", source, `-Wl,--version-script=${versions}`, "-Wl,-soname,libwhole.so");
  const flags = ["-Wl,-soname,libwhole.so"];
  scratch.write("versions.map", "ONE { global: one; };");
  using half = library("libhalf", "int one(void) { return 1; }", `-Wl,--version-script=${versions}`, ...flags);
  using plain = library("libplain", source, ...flags);
  using user = library("libuser", "int two(void); int user(void) { return two(); }", whole.path);
  expect(findMissingVersion(user, () => whole)).toBeUndefined();
  expect(findMissingVersion(user, () => plain)).toBeUndefined();
  expect(findMissingVersion(user, () => undefined)).toBeUndefined();
  const missing = findMissingVersion(user, (name) => (name === "libwhole.so" ? half : undefined));
  expect([missing?.version, missing?.definer]).toEqual(["TWO", half]);
});
