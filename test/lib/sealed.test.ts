import { describe, expect, test } from "bun:test";
import { sealed, unsealed } from "../../lib/sealed.ts";

const CONTENT = { entries: { "/usr/lib/libżółć.so.1": { soname: "libżółć.so.1", lone: "\ud800", list: [1, null] } } };
const text = sealed(3, CONTENT);

test("what was sealed is there again, beside what says that it is whole", () => {
  expect(unsealed(3, text)).toMatchObject(CONTENT);
  expect(unsealed(3, Buffer.from(text).toString())).toMatchObject(CONTENT);
  expect(JSON.parse(text)).toMatchObject({ version: 3, ...CONTENT });
});

describe("nothing is believed", () => {
  test("of another version", () => expect(unsealed(4, text)).toBeUndefined());

  test("that is cut off, or longer", () => {
    for (let length = 0; length < text.length; length++) expect(unsealed(3, text.slice(0, length))).toBeUndefined();
    expect(unsealed(3, `${text} `)).toBeUndefined();
  });

  test("in which a character is another", () => {
    for (let at = 0; at < text.length; at++) {
      const other = text[at] === "0" ? "1" : "0";
      expect(unsealed(3, `${text.slice(0, at)}${other}${text.slice(at + 1)}`)).toBeUndefined();
    }
  });

  test("that another program has written", () => {
    for (const other of [
      "",
      "[]",
      "null",
      "3",
      JSON.stringify({ version: 3, ...CONTENT }),
      JSON.stringify(JSON.parse(text), null, 1),
    ])
      expect(unsealed(3, other)).toBeUndefined();
  });
});
