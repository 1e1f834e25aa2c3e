// What may be written to a terminal, and when in colours.

import { expect, test } from "bun:test";
import { folded, hasColours, painter } from "../../../src/diagnostics/terminal.ts";

test("a style is added to what may be shown", () => {
  expect(painter(true)("red", "a\x1bb")).toBe("\x1b[31ma\\x1bb\x1b[39m");
  expect(painter(true)("plain", "a\x1bb")).toBe("a\\x1bb");
  expect(painter(false)("red", "a\x1bb")).toBe("a\\x1bb");
});

test("FORCE_COLOR decides, then NO_COLOR, then whether there is a terminal that can", () => {
  const cases: [env: Record<string, string>, isTerminal: boolean, has: boolean][] = [
    [{}, true, true],
    [{}, false, false],
    [{ NO_COLOR: "1" }, true, false],
    [{ NO_COLOR: "" }, true, true],
    [{ TERM: "dumb" }, true, false],
    [{ FORCE_COLOR: "" }, false, true],
    [{ FORCE_COLOR: "0" }, true, false],
    [{ FORCE_COLOR: "1", NO_COLOR: "1", TERM: "dumb" }, false, true],
  ];
  for (const [env, isTerminal, has] of cases) expect([env, hasColours(env, () => isTerminal)]).toEqual([env, has]);
});

test("a line that is too long is broken between words, whatever is coloured, and the rest is indented", () => {
  const red = painter(true)("red", "three four");
  expect(folded(`  one two ${red} five\nsix\n`, 16)).toBe(`  one two \x1b[31mthree\n      four\x1b[39m five\nsix\n`);
  expect(folded("│   └── one two three", 14)).toBe("│   └── one\ntwo three");
  expect(folded("one  two    three", 9)).toBe("one  two\n    three");
  expect(folded("/a/path/that/fits/nowhere is told", 10)).toBe("/a/path/that/fits/nowhere\n    is\n    told");
  expect(folded("  one two", Number.POSITIVE_INFINITY)).toBe("  one two");
});
