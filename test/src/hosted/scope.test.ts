// The global scope that glibc is given: which objects, in which order, and how long its list is.

import { describe, expect, test } from "bun:test";
import { LinkMap, type LoadedObject } from "../../../lib/loader/link-map.ts";
import { toAddress } from "../../../lib/memory/numbers.ts";
import { Trace } from "../../../src/diagnostics/trace.ts";
import type { Run } from "../../../src/hosted/run.ts";
import { hostScope, openScope, settleScope } from "../../../src/hosted/scope.ts";

function object(number: number, needed: readonly string[] = []): LoadedObject {
  const [name, linkMap] = [`lib${number}.so`, toAddress(4096 * number)];
  const image = { soname: name, needed, filtees: [] };
  return { path: `/lib/${name}`, linkMap, loadBias: toAddress(0), image } as unknown as LoadedObject;
}
const [overlay, copy, lib, interposer, shim] = [1, 2, 3, 4, 5].map((number) => object(number)) as [
  LoadedObject,
  LoadedObject,
  LoadedObject,
  LoadedObject,
  LoadedObject,
];

/** A run whose global scope has so many entries before. What it is set to is in `given`. */
function runWith(before: number, base: Partial<Run["base"]>) {
  const given = { words: [] as number[], length: 0 };
  const set = (_: number, length: number) => {
    given.length = length;
  };
  const internWords = (words: readonly number[]) => {
    given.words = [...words];
    return toAddress(0x1000);
  };
  const scope = { entries: Array.from({ length: before }, () => 1), set };
  const empty = { preloaded: [], dependencies: [], family: [], known: new Map(), scope };
  return { run: { base: { ...empty, ...base }, internWords, trace: new Trace([]) } as unknown as Run, given };
}

/** The objects of the scope, as glibc reads them. */
const scopeOf = ({ words, length }: { readonly words: readonly number[]; readonly length: number }): number[] =>
  words.slice(0, length).map((word) => word / 4096);

describe("while the program is opened", () => {
  test("what is preloaded comes first, shims before what is only needed, and displaced copies last", () => {
    const { run, given } = runWith(3, { preloaded: [overlay], dependencies: [copy, lib] });
    openScope(run, interposer, [{ copy, shim }]);
    expect(scopeOf(given)).toEqual([1, 4, 5, 3, 2]);
  });

  test("without displaced copies, all keep their order", () => {
    const { run, given } = runWith(3, { preloaded: [overlay], dependencies: [copy, lib] });
    openScope(run, interposer, []);
    expect(scopeOf(given)).toEqual([1, 4, 2, 3]);
  });
});

describe("while the program runs", () => {
  const program = object(8, ["lib3.so"]);
  const late = object(9);
  const all = [program, overlay, copy, lib, interposer, shim, late];

  /** glibc's list of them, from which they are read again. */
  const memory = {
    view: (at: number): DataView => {
      const i = all.findIndex(({ linkMap }) => linkMap === at);
      const view = new DataView(new ArrayBuffer(LinkMap.size));
      const fields = LinkMap.at(view);
      fields.l_name = toAddress(i);
      fields.l_ld = toAddress(1);
      fields.l_next = all[i + 1]?.linkMap ?? toAddress(0);
      fields.l_prev = all[i - 1]?.linkMap ?? toAddress(0);
      return view;
    },
  };
  const libc = { memory, stringAt: (i: number) => all[i]?.path } as unknown as Run["libc"];

  /** `scope` is what glibc has in it by now. */
  function settled(scope: readonly LoadedObject[], displaced: Parameters<typeof settleScope>[3]): number[] {
    const known = new Map(all.map((each) => [each.linkMap, each]));
    const { run, given } = runWith(0, { preloaded: [overlay], dependencies: [copy], known, bun: program });
    (run.base.scope.entries as number[]).push(...scope.map(({ linkMap }) => linkMap as number));
    settleScope({ ...run, libc }, program, interposer, displaced);
    return scopeOf(given);
  }

  test("the program comes first, then what is preloaded, its libraries, and what glibc has added", () => {
    expect(settled([overlay, interposer, late, program], [])).toEqual([8, 1, 4, 3, 9]);
  });

  test("shims come before the program's libraries, and displaced copies last", () => {
    expect(settled([copy, overlay, late], [{ copy, shim }])).toEqual([8, 1, 4, 5, 3, 9, 2]);
  });
});

test("while host libraries are opened, glibc's come after what is preloaded and needed", () => {
  const libc = object(6);
  const known = new Map([libc, lib].map((each) => [each.linkMap, each]));
  const family = [{ path: libc.path }] as unknown as Run["base"]["family"];
  const { run, given } = runWith(2, { preloaded: [overlay], dependencies: [lib], family, known });
  hostScope(run, interposer);
  expect(scopeOf(given)).toEqual([1, 4, 3, 6]);
});

describe("the list", () => {
  // elf/dl-open.c, add_to_global_resize(): room for eight more the first time, twice what is needed each time after.
  test.each([0, 1, 2, 7, 8, 9, 100])("has the room that glibc assumes where its own had %d entries", (before) => {
    const { run, given } = runWith(before, {});
    openScope(run, interposer, []);
    expect(given.length).toBe(1);
    expect(given.words.length).toBeGreaterThanOrEqual(Math.max(before + 8, 2 * before));
  });

  test("has room for more also where it is longer than glibc's own", () => {
    const { run, given } = runWith(1, { dependencies: [lib, copy, overlay] });
    openScope(run, interposer, []);
    expect(given.words.length).toBeGreaterThanOrEqual(given.length + 8);
  });

  test("has objects in every entry, for a thread that has read another length", () => {
    const { run, given } = runWith(20, { dependencies: [lib] });
    openScope(run, interposer, []);
    expect(new Set(given.words.slice(given.length))).toEqual(new Set([lib.linkMap as number]));
  });
});
