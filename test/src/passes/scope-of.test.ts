// The order in which ld.so searches a program's objects.

import { describe, expect, test } from "bun:test";
import type { LoadedObject } from "../../../lib/loader/link-map.ts";
import { toAddress } from "../../../lib/memory/numbers.ts";
import { objectsOf, scopeOf } from "../../../src/passes/scope-of.ts";

interface Given {
  readonly soname?: string | undefined;
  readonly path?: string;
  readonly needed?: readonly string[];
  readonly filtees?: readonly string[];
  readonly isVdso?: boolean;
}

let count = 0;
function object({ soname, path = `/lib/${soname}`, needed = [], filtees = [], isVdso = false }: Given): LoadedObject {
  const image = { soname, needed, filtees: filtees.map((name) => ({ name })) };
  return { path, linkMap: toAddress(0x1000 * ++count), isVdso, image } as unknown as LoadedObject;
}

/** The file names of a program's scope; the program itself has none. */
function scope(program: Given, ...others: readonly Given[]): string[] {
  const all = [object({ path: "", ...program }), ...others.map(object)];
  return scopeOf(all[0] as LoadedObject, all).map(({ path }) => path.replace("/lib/", ""));
}

describe("scopeOf()", () => {
  test.each<[string, given: [Given, ...Given[]], names: string[]]>([
    [
      "is breadth first",
      [{ needed: ["a", "b"] }, { soname: "a", needed: ["c"] }, { soname: "b" }, { soname: "c" }],
      ["", "a", "b", "c"],
    ],
    [
      "has each once, also in circles",
      [
        { needed: ["a", "b", "a"] },
        { soname: "a", needed: ["b", "c"] },
        { soname: "b", needed: ["c", "a"] },
        { soname: "c" },
      ],
      ["", "a", "b", "c"],
    ],
    [
      "has filtees before their filter, and what these need behind all others",
      [
        { needed: ["a", "b"] },
        { soname: "a", filtees: ["f", "g"] },
        { soname: "b" },
        { soname: "f", needed: ["c"] },
        { soname: "g" },
        { soname: "c" },
      ],
      ["", "f", "g", "a", "b", "c"],
    ],
    [
      "has what is needed by its path or file name",
      [{ needed: ["/opt/a", "b"] }, { soname: "x", path: "/opt/a" }, { path: "/opt/b" }],
      ["", "/opt/a", "/opt/b"],
    ],
    [
      "prefers a soname to a file name, and the first",
      [{ needed: ["a"] }, { soname: "x", path: "/opt/a" }, { soname: "a", path: "/1" }, { soname: "a", path: "/2" }],
      ["", "/1"],
    ],
    ["has neither the vDSO nor what is not loaded", [{ needed: ["v", "none"] }, { soname: "v", isVdso: true }], [""]],
  ])("%s", (_, [program, ...others], names) => {
    expect(scope(program, ...others)).toEqual(names);
  });
});

test("objectsOf() has the objects of a scope's entries, in its order", () => {
  const [a, b, c] = ["a", "b", "c"].map((soname) => object({ soname })) as [LoadedObject, LoadedObject, LoadedObject];
  expect(objectsOf([c.linkMap, toAddress(8), a.linkMap], [a, b, c])).toEqual([c, a]);
});
