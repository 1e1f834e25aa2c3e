// Command lines as they are typed.

import { expect, test } from "bun:test";
import { type Syntax, typedWords } from "../../../src/command-line/typed-line.ts";

test.each<[line: string, syntax: Syntax, words: string[]]>([
  ["", "bash", [""]],
  ["a b", "bash", ["a", "b"]],
  ["a  b ", "bash", ["a", "b", ""]],
  ["a\\ b", "bash", ["a b"]],
  ["'a b' \"c d", "bash", ["a b", "c d"]],
  ["'a'\"b\"c", "bash", ["abc"]],
  ["'' ", "bash", ["", ""]],
  ["'a\\' b", "bash", ["a\\", "b"]],
  ["'a\\'b c", "fish", ["a'b c"]],
  ['"\\a\\$\\""', "bash", ['\\a$"']],
  ["$'a\\nb' $HOME ~", "bash", ["a\nb", "$HOME", "~"]],
  ["a\\nb", "fish", ["a\nb"]],
  ["a\\nb", "bash", ["anb"]],
  ["a\\", "bash", ["a\\"]],
])("the words of %j in %s", (line, syntax, words) => {
  expect(typedWords(line, syntax).map(({ text }) => text)).toEqual(words);
});

test("a word knows what of it is written behind a part of its text, and how long the text is to a place", () => {
  const word = typedWords("x a\\ 'b c", "bash").at(-1);
  expect(word?.text).toBe("a b c");
  expect(word?.quote).toBe("'");
  expect([0, 1, 2, 4, 5].map((length) => word?.behind(length))).toEqual(["a\\ 'b c", "\\ 'b c", "'b c", "'c", "'"]);
  expect([2, 3, 6, 9].map((place) => word?.lengthTo(place))).toEqual([0, 1, 2, 5]);
});
