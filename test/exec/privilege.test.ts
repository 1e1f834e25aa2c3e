// Where the parts of a program, or who runs it, may do different things.

import { setDefaultTimeout, test } from "bun:test";
import { expectLines } from "../support/expect.ts";
import { HOST, hostAndProgram, pair, RUNTIME } from "../support/pair.ts";

setDefaultTimeout(60_000);

const isRoot = process.getuid?.() === 0;

test.skipIf(!isRoot)(
  "a child that has dropped its rights cannot have its parent run anything (takes root)",
  async () => {
    const pages = await pair("process/a-child-cannot-have-its-parent-run-anything", [
      { path: `${RUNTIME}/libplugin.so.1`, sources: ["plugin.c"] },
      { path: `${HOST}/libdriver.so.1`, sources: ["plugin.c"] },
      ...hostAndProgram(),
    ]);
    const expected = ["opened by the parent: 300 of 300", "by a host library: 300 of 300"];
    expectLines(await pages.native(), expected);
    expectLines(await pages.capsule([], { timeout: 30_000 }), expected);
  },
);
