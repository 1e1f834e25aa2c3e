// What an attached program's ld.so is told.

import { afterEach, expect, test } from "bun:test";
import type { Library } from "../../../lib/elf/library.ts";
import { tunablesFor } from "../../../src/attached/tunables-for.ts";
import { Trace } from "../../../src/diagnostics/trace.ts";
import { tunableIn, withTunable } from "../../../src/plan/glibc/tunables.ts";
import type { AttachedPlan } from "../../../src/plan/plan.ts";

const TUNABLES = "GLIBC_TUNABLES";
const given = process.env[TUNABLES];
afterEach(() => {
  if (given === undefined) delete process.env[TUNABLES];
  else process.env[TUNABLES] = given;
});

const plain = { path: "/host/libplain.so.1", wantsExecutableStack: false } as Library;
const marked = { path: "/host/libmarked.so.1", wantsExecutableStack: true } as Library;

function told(version: string, before: string | undefined, ...libraries: Library[]): string | undefined {
  if (before === undefined) delete process.env[TUNABLES];
  else process.env[TUNABLES] = before;
  const plan = { capsules: [{ libraries }], isAudited: false } as unknown as AttachedPlan;
  const glibc = { glibc: undefined, isOwn: true, isNatural: true, version, path: "/libc.so.6" };
  return tunablesFor(plan, glibc, new Trace([])).get(TUNABLES);
}

test("stacks are executable where a library wants it and glibc refuses it later", () => {
  expect(told("2.41", undefined, plain, marked)).toBe("glibc.rtld.execstack=2");
  expect(told("2.42", "glibc.malloc.check=1", marked)).toBe("glibc.malloc.check=1:glibc.rtld.execstack=2");
  expect(told("2.40", undefined, marked)).toBeUndefined();
  expect(told("2.41", undefined, plain)).toBeUndefined();
});

test("what the user has said of stacks stays", () => {
  expect(told("2.41", "glibc.rtld.execstack=0", marked)).toBeUndefined();
});

test("of a tunable that stands twice the last counts", () => {
  expect(tunableIn("a.b.c=1:a.b.cd=2:a.b.c=3", "a.b.c")).toBe("3");
  expect(tunableIn("", "a.b.c")).toBeUndefined();
  expect(withTunable("a.b.c=1", "a.b.c", 4)).toBe("a.b.c=1:a.b.c=4");
});
