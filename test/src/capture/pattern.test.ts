// Patterns, as they are written.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Request, requestsOf } from "../../../src/capture/pattern.ts";

const directory = mkdtempSync(join(tmpdir(), "capsule-test-patterns-"));
afterAll(() => rmSync(directory, { recursive: true }));

function list(text: string): string {
  const path = join(directory, `${Bun.hash(text)}`);
  writeFileSync(path, text);
  return path;
}

const one = (pattern: string): Request | undefined => requestsOf([pattern])[0];

describe("a kind and a name:", () => {
  const cases: [string, string, string][] = [
    ["soname:libz.so.1", "soname", "libz.so.1"],
    ["exact-soname:libz.so.1", "exact-soname", "libz.so.1"],
    ["soname-match:libz.*", "soname-match", "libz.*"],
    ["path:/lib/a:b.so", "path", "/lib/a:b.so"],
    ["path-match:/lib/*.so", "path-match", "/lib/*.so"],
    ["libz.so.1", "soname", "libz.so.1"],
    ["libz.so.[0-9]", "soname-match", "libz.so.[0-9]"],
    ["/lib/libz.so.1", "path", "/lib/libz.so.1"],
    ["/lib/c:/libz.so.1", "path", "/lib/c:/libz.so.1"],
    ["/lib/libz.so.?", "path-match", "/lib/libz.so.?"],
  ];
  test.each(cases)("%s", (pattern, kind, name) => {
    expect(one(pattern)).toMatchObject({ kind, name, part: "both" });
  });
});

test("modifiers, in any number and order, of whatever follows", () => {
  const pattern = "if-exists:even-if-older:if-same-abi:if-exists:no-dependencies:/lib/x.so";
  expect(one(pattern)).toEqual({
    ...{ text: pattern, kind: "path", name: "/lib/x.so", part: "no-dependencies" },
    ...{ ifExists: true, ifSameAbi: true, evenIfOlder: true },
  });
});

test("a list has a pattern a line: no blank lines, no comments, and the last need not end", () => {
  const file = list("# comment\n\n  liba.so.1  \n\tno-dependencies:libb.so.1\r\nliba.so.1\nlibc.so.6");
  const requests = requestsOf([`if-exists:from:${file}`, `from:${list("")}`, `from:${list("\n\n")}`]);
  expect(requests.map(({ name, part, ifExists }) => [name, part, ifExists])).toEqual([
    ["liba.so.1", "both", true],
    ["libb.so.1", "no-dependencies", true],
    ["liba.so.1", "both", true],
    ["libc.so.6", "both", true],
  ]);
});

test("lists may name lists", () => {
  expect(requestsOf([`from:${list(`from:${list("libz.so.1")}`)}`]).map(({ name }) => name)).toEqual(["libz.so.1"]);
});

test("gl: and nvidia: are what there is of them, whatever the container has", () => {
  for (const [pattern, soname, glob] of [
    ["gl:", "libGL.so.1", "libGLX_*.so.*"],
    ["nvidia:", "libcuda.so.1", "libnvidia-*.so.*"],
  ] as const) {
    const requests = requestsOf([`no-dependencies:${pattern}`]);
    expect(requests.every((request) => request.ifExists && request.evenIfOlder)).toBe(true);
    expect(requests.every(({ part }) => part === "no-dependencies")).toBe(true);
    expect(requests.map(({ kind, name }) => [kind, name])).toContainEqual(["soname", soname]);
    expect(requests.map(({ kind, name }) => [kind, name])).toContainEqual(["soname-match", glob]);
  }
});

describe("what makes no sense is refused, and said:", () => {
  const itself = join(directory, "itself");
  writeFileSync(itself, `from:${itself}`);
  const cases: [string, RegExp][] = [
    ["", /"": a name is needed/],
    ["soname:", /"soname:": a name is needed/],
    ["if-exists:", /a name is needed/],
    ["soname:lib/x.so", /a soname has no slash/],
    ["path:lib/x.so", /begins with a slash/],
    ["sonam:libz.so.1", /there is no "sonam:"; it may begin with .*soname:/],
    ["gl:x", /there is no "gl:"/],
    ["only-dependencies:no-dependencies:x", /together leave nothing/],
    ["no-dependencies:if-exists:only-dependencies:x", /together leave nothing/],
    [`only-dependencies:from:${list("no-dependencies:x")}`, /together leave nothing/],
    ["from:", /the name of a file is needed/],
    ["from:/nonexistent", /"\/nonexistent": no such file/],
    ["from:/", /"\/": a directory/],
    ["from:/dev/zero", /not a regular file/],
    [`from:${itself}`, /too deep/],
  ];
  test.each(cases)("%j", (pattern, message) => expect(() => requestsOf([pattern])).toThrow(message));
});
