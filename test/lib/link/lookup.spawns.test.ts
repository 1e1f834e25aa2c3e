// What of a lookup no file shows that GNU ld has written.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { Lookup, scopeOf } from "../../../lib/link/lookup.ts";
import type { LinkObject } from "../../../lib/link/objects.ts";
import { checkVersions } from "../../../lib/link/required-versions.ts";
import { simulate } from "../../../lib/link/simulate.ts";
import { FIXED, freestanding, ownSearch } from "../../support/freestanding.ts";

function named(objects: readonly LinkObject[], name: string): LinkObject {
  const found = objects.find((object) => object.name === name);
  if (!found) throw new Error(`"${name}" is linked`);
  return found;
}

test("the copy of a variable that is one for the whole process is the one from then on, also for who looks in itself first", async () => {
  const directory = await freestanding("a-symbol-is-bound-as-its-kind-says", [
    { path: "liblast.so", sources: ["last.c"] },
    { path: "libsymbolic.so", sources: ["symbolic.c"], needs: ["liblast.so"], flags: ["-Wl,-Bsymbolic"] },
    { path: "liblibrary.so", sources: ["library.c"], needs: ["libsymbolic.so"] },
    {
      ...{ path: "program", sources: ["program.c"], needs: ["liblibrary.so", "libsymbolic.so", "liblast.so"] },
      ...{ rpath: "$ORIGIN", flags: FIXED },
    },
  ]);
  using simulation = simulate(ownSearch(), join(directory, "program"));
  const { objects } = simulation;
  const [program, library, symbolic] = [
    named(objects, join(directory, "program")),
    named(objects, "liblibrary.so"),
    named(objects, "libsymbolic.so"),
  ];
  const symbolOf = ({ image }: LinkObject) => image.find("copied_and_unique") ?? 0;
  const lookup = new Lookup();
  const copied = lookup.find(program, symbolOf(program), objects, "copy");
  expect(copied?.object.name).toBe(library.name);
  const found = lookup.find(symbolic, symbolOf(symbolic), scopeOf(symbolic, objects), "data");
  expect([found?.object.name, found?.symbol]).toEqual([program.name, symbolOf(program)]);
});

test("a version is looked for in what an object needs itself, before others of the same name", async () => {
  const library = (path: string, source: string, ...flags: string[]) => ({
    ...{ path, sources: [source], soname: "liblibrary.so" },
    flags,
  });
  const directory = await freestanding("the-right-version-is-bound", [
    library("old/liblibrary.so", "old.c", "-Wl,--version-script=old.map"),
    library("new/liblibrary.so", "new.c", "-Wl,--version-script=new.map"),
    { path: "program", sources: ["program.c"], needs: ["new/liblibrary.so"], rpath: "$ORIGIN/new" },
  ]);
  using newer = simulate(ownSearch(), join(directory, "program"));
  using older = simulate(ownSearch(), join(directory, "old/liblibrary.so"));
  const [program, wanted] = newer.objects;
  const [other] = older.objects;
  if (!program || !wanted || !other) throw new Error("All are linked");
  const both = (index: number) => [
    { ...program, needs: [index] },
    { ...other, index: 1 },
    { ...wanted, index: 2 },
  ];
  expect(() => checkVersions(both(2))).not.toThrow();
  expect(() => checkVersions(both(1))).toThrow(`of "liblibrary.so", which "${other.path}" does not define`);
});
