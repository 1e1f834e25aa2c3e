// Files of knowledge, and the order of file names.

import { describe, expect, test } from "bun:test";
import { strverscmp } from "../../../src/capture/compare.ts";
import { comparatorsOf, isPublic, knownOf, parseKnowledge } from "../../../src/capture/knowledge.ts";

test("a library's section has lists, with or without an end; other sections are others'", () => {
  const knowledge = parseKnowledge(
    "# c\n; c\n[Other]\nkey=value\n[Library libfoo.so.1]\n CompareBy = name;versions;\nPublicSymbols=!_*;*\n[Library /usr/lib/x]\nPublicSymbolVersions=V*;",
    "file",
  );
  expect(Object.fromEntries(knowledge)).toEqual({
    "libfoo.so.1": { compareBy: ["name", "versions"], symbols: ["!_*", "*"] },
    "/usr/lib/x": { versions: ["V*"] },
  });
});

describe("a line that makes no sense is named:", () => {
  const cases: [string, RegExp][] = [
    ["[Library x]\nnonsense", /line 2 of "file": \[Library NAME\] or KEY=VALUE; is needed/],
    ["[Library x]\nComparBy=name", /no key "ComparBy", as line 2 of "file" says: did you mean "CompareBy"/],
    ["[Library x]\nCompareBy=names", /compare by "names", as line 2 of "file" says: did you mean "name"/],
  ];
  test.each(cases)("%j", (text, message) => expect(() => parseKnowledge(text, "file")).toThrow(message));
});

test("libc's comparisons are nobody's choice; libgcc_s's file name has no version, so others are made", () => {
  const knowledge = parseKnowledge("[Library libc.so.6]\nCompareBy=container;", "file");
  expect(knownOf("libc.so.6", [], knowledge).compareBy).toEqual(["versions", "symbols", "name"]);
  expect(knownOf("libgcc_s.so.1", [], knowledge).compareBy?.[0]).toBe("versions");
  expect(knownOf("libz.so.1", [], knowledge)).toEqual({});
});

test("the first glob that matches decides, and what none matches is private", () => {
  expect(isPublic(["f"], undefined)).toBe(true);
  expect(isPublic(["P_1"], ["!P*", "*"])).toBe(false);
  expect(isPublic(["V1"], ["!P*", "*"])).toBe(true);
  expect(isPublic(["P_1"], ["P_1", "!P*"])).toBe(true);
  expect(isPublic(["V1"], ["!P*"])).toBe(false);
  expect(isPublic(["f", "f@V1"], ["!*@V1", "*"])).toBe(false);
});

test("words to compare by may have blanks and empty ones between them", () => {
  expect(comparatorsOf([" name", "", "provider "], "")).toEqual(["name", "provider"]);
});

test("file names are in the order of strverscmp(3)", () => {
  // Its manual's own example among others; each is before the next.
  for (const order of [
    ["000", "00", "01", "010", "09", "0", "1", "9", "10"],
    ["libfoo.so.1.2", "libfoo.so.1.9.9", "libfoo.so.1.10", "libfoo.so.2"],
    ["libc-2.9.so", "libc-2.31.so", "libd"],
    ["a", "a0", "a1", "aa"],
  ])
    for (const [i, one] of order.entries())
      for (const [j, other] of order.entries())
        expect([one, other, Math.sign(strverscmp(one, other))]).toEqual([one, other, Math.sign(i - j)]);
});
