// What libraries together refer to and do not define.

import { beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { lackedOf } from "../../../lib/tree/lacked.ts";
import { build } from "../../support/fixtures.ts";

let host: string;
let colour: string;
let library: string;
beforeAll(async () => {
  const flags = ['-DWHO="host"', "-DHOST_TELL=host_tell"];
  const out = await build("symbols/an-isolated-library-finds-what-only-the-program-has", [
    { path: "libprivate.so.1", sources: ["private.c"] },
    { path: "libhost.so.1", sources: ["host.c"], needs: ["libprivate.so.1"], flags },
    { path: "liblibrary.so.1", sources: ["library.c"] },
  ]);
  host = join(out, "libhost.so.1");
  colour = join(out, "libprivate.so.1");
  library = join(out, "liblibrary.so.1");
});

const STRONG = ["of_program", "program_value", "of_library", "chosen"];

test("is what none of them has, once, and not what is wanted by version or by every compiler", () => {
  expect(lackedOf([host, host, colour], new Set()).sort()).toEqual([...STRONG].sort());
  expect(lackedOf([host], new Set()).sort()).toEqual([...STRONG, "colour"].sort());
  expect(lackedOf([library, colour], new Set([library, colour]))).toEqual([]);
});

test("is not what one of them has that is named by nobody", () => {
  expect(lackedOf([host, colour, library], new Set()).sort()).toEqual(["of_program", "program_value"]);
});

test("is what is referred to weakly where that counts", () => {
  expect(lackedOf([host, colour, library], new Set([host])).sort()).toEqual([
    ...["maybe", "nobody", "of_program", "program_value"],
  ]);
});
