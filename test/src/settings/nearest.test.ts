import { expect, test } from "bun:test";
import { suggestion } from "../../../src/settings/nearest.ts";

const NAMES = ["attached", "in-process", "gl"];

test.each([
  ["atached", "attached"],
  ["attachhed", "attached"],
  ["attaxhed", "attached"],
  ["xattached", "attached"],
  ["ATTACHED", "attached"],
  ["inprocess", "in-process"],
  ["glx", "gl"],
  ["g", "gl"],
])("%p is nearest to %p", (name, nearest) => {
  expect(suggestion(name, NAMES)).toBe(`did you mean "${nearest}"?`);
});

// Four of the eight characters of "attached" may be wrong, one of the two of "gl".
test.each(["", "hosted", "something", "somethingattached", "attachedsomething", "tta", "glxx"])(
  "none is near %p",
  (name) => {
    expect(suggestion(name, NAMES)).toBe("choose of attached, in-process, gl");
  },
);

test("as many edits as may be wrong are near, and one more is not", () => {
  expect(suggestion("atta", NAMES)).toBe('did you mean "attached"?');
  expect(suggestion("att", NAMES)).toBe("choose of attached, in-process, gl");
});

test("there may be no name", () => expect(suggestion("a", [])).toBe("there is none"));
