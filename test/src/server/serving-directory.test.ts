import { expect, test } from "bun:test";
import { canBeOnPath } from "../../../src/directories/library-path.ts";

test("a name that ld.so would cut or replace cannot be on a library path", () => {
  const names = ["/tmp/a", "/tmp/a b", "/tmp/a:b", "/tmp/a;b", "/tmp/$LIB", `/tmp/\${ORIGIN}`];
  expect(names.filter(canBeOnPath)).toEqual(["/tmp/a", "/tmp/a b"]);
});
