// Text of strangers, on its way to a terminal. Standard output itself is tested in symbols.test.ts.

import { expect, test } from "bun:test";
import { printable } from "../../../src/diagnostics/output.ts";

test("what can be shown is shown as it is", () => {
  for (const text of ["", "_ZNSt6vectorIiSaIiEE9push_backEOi", "naïve", "日本語", "a\\x1b", "👍"])
    expect(printable(text)).toBe(text);
});

test("what a terminal would obey, or not show, is shown by its number", () => {
  expect(printable("\x1b[31mred\x1b[0m")).toBe("\\x1b[31mred\\x1b[0m");
  expect(printable("one\ntwo\r\t\0")).toBe("one\\x0atwo\\x0d\\x09\\x00");
  expect(printable("\x7f \u009b1m")).toBe("\\x7f \\x9b1m");
  expect(printable("\u202eevil\u2066 \u200b\ufeff")).toBe("\\u{202e}evil\\u{2066} \\u{200b}\\u{feff}");
  expect(printable("\u2028\u2029\u{e0001}\ud800")).toBe("\\u{2028}\\u{2029}\\u{e0001}\\u{d800}");
});
