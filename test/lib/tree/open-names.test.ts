// The names by which files were opened.

import { expect, test } from "bun:test";
import type { Closure } from "../../../lib/tree/closure.ts";
import { Names } from "../../../lib/tree/open-names.ts";

test("a name has the files that it resolved to, in the order of their opening", () => {
  const names = new Names();
  names.add("liba.so.1", "/two/liba.so.1");
  names.add("liba.so.1", "/one/liba.so.1");
  names.add("liba.so.1", "/two/liba.so.1");
  expect(names.of("liba.so.1")).toEqual(["/two/liba.so.1", "/one/liba.so.1"]);
  expect(names.of("libb.so.1")).toEqual([]);
  expect(names.entries).toEqual([
    ["liba.so.1", "/two/liba.so.1"],
    ["liba.so.1", "/one/liba.so.1"],
  ]);
});

test("hasOther() is true once a name has resolved to another file", () => {
  const names = new Names();
  expect(names.hasOther("liba.so.1", "/one/liba.so.1")).toBe(false);
  names.add("liba.so.1", "/one/liba.so.1");
  expect(names.hasOther("liba.so.1", "/one/liba.so.1")).toBe(false);
  expect(names.hasOther("liba.so.1", "/two/liba.so.1")).toBe(true);
  names.add("liba.so.1", "/two/liba.so.1");
  expect(names.hasOther("liba.so.1", "/one/liba.so.1")).toBe(true);
});

test("a closure adds sonames, and the names by which its files were found, but no paths", () => {
  const names = new Names();
  const member = (path: string, soname: string, hasSoname: boolean, name: string, others: readonly string[]) => ({
    library: { path, soname, hasSoname },
    name,
    names: others,
  });
  names.addAll({
    members: [
      member("/l/liba.so.1.2", "liba.so.1", true, "liba.so.1", ["/l/liba.so.1.2", "liba.so"]),
      member("/l/libb.so", "libb.so", false, "/l/libb.so", []),
    ],
  } as unknown as Closure);
  expect(names.entries).toEqual([
    ["liba.so.1", "/l/liba.so.1.2"],
    ["liba.so", "/l/liba.so.1.2"],
  ]);
});
