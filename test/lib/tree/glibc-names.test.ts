import { expect, test } from "bun:test";
import type { Library } from "../../../lib/elf/library.ts";
import { isPlugIn } from "../../../lib/tree/glibc-names.ts";

test("isPlugIn() is true for what glibc opens by itself, and only if it is glibc's own", () => {
  const is = (path: string, isOfGlibc: boolean): boolean => {
    const soname = path.slice(path.lastIndexOf("/") + 1);
    return isPlugIn({ path, soname, isOfGlibc } as Library);
  };
  const modules = ["/lib/libnss_files.so.2", "/usr/lib/x86_64-linux-gnu/gconv/UTF-16.so"];
  expect(modules.map((path) => is(path, true))).toEqual([true, true]);
  expect(modules.map((path) => is(path, false))).toEqual([false, false]);
  // what uses glibc's internals, and is linked to
  expect(["/lib/libm.so.6", "/lib/libnss_files.so.3", "/lib/gconv.so"].map((path) => is(path, true))).toEqual([
    false,
    false,
    false,
  ]);
});
