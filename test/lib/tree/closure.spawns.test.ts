// What libraries need, in reverse dependency order.

import { afterEach, describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { ElfError } from "../../../lib/elf/error.ts";
import { type Library, readLibrary } from "../../../lib/elf/library.ts";
import { LinkError } from "../../../lib/link-error.ts";
import { type Closure, checkVersionsBeside, closureOf } from "../../../lib/tree/closure.ts";
import { Search } from "../../../lib/tree/search.ts";
import { Tree } from "../../../lib/tree/tree.ts";
import { filesOf, linkedFiles, listedByLdSo } from "../../support/ld-so.ts";
import { Scratch } from "../elf/scratch.ts";
import { type Content, type LibrarySaid, SmallTree } from "./small-tree.ts";

const trees: SmallTree[] = [];
afterEach(() => {
  for (const tree of trees.splice(0)) tree[Symbol.dispose]();
});

/** Libraries in /lib, by soname, with what each needs. */
function searchIn(
  needs: Readonly<Record<string, readonly string[]>>,
  more: Readonly<Record<string, Content>> = {},
): Search {
  const tree = new SmallTree(more);
  trees.push(tree);
  for (const [soname, needed] of Object.entries(needs)) tree.add(`/lib/${soname}`, { soname, needed });
  return new Search(tree.tree);
}

const nowhere = () => false;
const sonames = ({ members }: Closure): string[] => members.map(({ library }) => library.soname);

/** Every member comes behind what it needs, unless that needs it, too. */
function expectOrder({ members }: Closure): void {
  // a file without a DT_SONAME, or with another one, is known by the name that it was asked for
  const at = new Map(members.flatMap(({ library, name }, i) => [[library.soname, i] as const, [name, i] as const]));
  const needs = members.map(({ library }) => library.needed.flatMap((name) => at.get(name) ?? []));
  const reaches = (from: number, to: number, seen = new Set<number>()): boolean =>
    (needs[from] ?? []).some((next) => next === to || (!seen.has(next) && reaches(next, to, seen.add(next))));
  for (const [i, others] of needs.entries())
    for (const other of others) if (other >= i && !reaches(other, i)) expect([i, other]).toEqual([i, -1]);
}

describe("the order", () => {
  test("is dependencies first", () => {
    const closure = closureOf(searchIn({ a: ["b"], b: ["c"], c: [] }), ["a"], nowhere);
    expect(sonames(closure)).toEqual(["c", "b", "a"]);
    expectOrder(closure);
  });

  test("has each library once, however many need it", () => {
    const closure = closureOf(searchIn({ a: ["b", "c"], b: ["d"], c: ["d", "e"], d: ["e"], e: [] }), ["a"], nowhere);
    expect(sonames(closure)).toEqual(["e", "d", "b", "c", "a"]);
    expectOrder(closure);
  });

  test("takes several roots, of which one may be another's dependency", () => {
    const search = searchIn({ a: ["c"], b: ["a"], c: [] });
    expect(sonames(closureOf(search, ["a", "b", "c", "a"], nowhere))).toEqual(["c", "a", "b"]);
    expect(sonames(closureOf(search, ["c", "b"], nowhere))).toEqual(["c", "a", "b"]);
    expect(sonames(closureOf(search, [], nowhere))).toEqual([]);
  });

  test("holds in a tangle of hundreds", () => {
    const COUNT = 300;
    const needs = Object.fromEntries(
      Array.from({ length: COUNT }, (_, i) => [
        `lib${i}`,
        [i * 7 + 1, i * 3 + 2, i + 5].filter((other) => other < COUNT).map((other) => `lib${other}`),
      ]),
    );
    const closure = closureOf(searchIn(needs), ["lib0"], nowhere);
    expect(closure.members.length).toBeGreaterThan(100);
    expectOrder(closure);
  });

  test("does not end with the stack: a chain of a thousand", () => {
    const needs = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`l${i}`, i < 999 ? [`l${i + 1}`] : []]));
    expect(sonames(closureOf(searchIn(needs), ["l0"], nowhere)).slice(0, 2)).toEqual(["l999", "l998"]);
  });
});

describe("a circle", () => {
  test("comes behind what it needs, and before what needs it", () => {
    const closure = closureOf(searchIn({ a: ["b"], b: ["c"], c: ["b", "d"], d: [] }), ["a"], nowhere);
    expect(sonames(closure)).toEqual(["d", "c", "b", "a"]);
  });

  test("that consists of the root and everything else", () => {
    const closure = closureOf(searchIn({ a: ["b"], b: ["c"], c: ["a"] }), ["a"], nowhere);
    expect(sonames(closure)).toEqual(["c", "b", "a"]);
  });

  test("of one that needs itself", () => {
    expect(sonames(closureOf(searchIn({ a: ["a"] }), ["a"], nowhere))).toEqual(["a"]);
  });
});

describe("the order in which ld.so would load", () => {
  const loaded = ({ inLoadOrder }: Closure): string[] => inLoadOrder.map(({ library }) => library.soname);

  test("is breadth first, from the roots on", () => {
    const needs = { a: ["c", "d"], b: ["d", "e"], c: ["f"], d: [], e: ["a"], f: [] };
    const closure = closureOf(searchIn(needs), ["a", "b"], nowhere);
    expect(loaded(closure)).toEqual(["a", "b", "c", "d", "e", "f"]);
    expect(loaded(closure).toSorted()).toEqual(sonames(closure).toSorted());
  });

  test("has none of what is elsewhere", () => {
    const closure = closureOf(searchIn({ a: ["libc", "b"], b: ["libc"] }), ["a"], (soname) => soname === "libc");
    expect(loaded(closure)).toEqual(["a", "b"]);
  });
});

describe("names", () => {
  test("a file with the soname of one that is elsewhere is that one", () => {
    const search = searchIn(
      { a: ["libred.so"] },
      { "/lib/libred.so.1": { soname: "libred.so.1", needed: ["missing"] }, "/lib/libred.so": "-> libred.so.1" },
    );
    const closure = closureOf(search, ["a"], (soname) => soname === "libred.so.1");
    expect(sonames(closure)).toEqual(["a"]);
    expect([...closure.aliases]).toEqual([["libred.so", "libred.so.1"]]);
    expect([...closure.elsewhere.keys()]).toEqual(["libred.so.1"]);
  });

  test("a library that has been found under one name is not another under the next", () => {
    const search = searchIn(
      { a: ["libred.so", "libred.so.1", "/lib/libred.so.1"] },
      { "/lib/libred.so.1": { soname: "libred.so.1" }, "/lib/libred.so": "-> libred.so.1" },
    );
    expect(sonames(closureOf(search, ["a", "libred.so.1"], nowhere))).toEqual(["libred.so.1", "a"]);
  });

  test("who comes to one first, breadth first, has it looked for on its own path, for all, as in ld.so", () => {
    const red = (comment: string): LibrarySaid => ({ soname: "libred.so.1", comment });
    const search = searchIn(
      {},
      {
        "/lib/a": { soname: "a", needed: ["b", "libred.so.1"], runpath: "/second" },
        "/lib/b": { soname: "b", needed: ["libred.so.1"], runpath: "/first" },
        "/first/libred.so.1": red("one"),
        "/second/libred.so.1": red("other"),
      },
    );
    const { members } = closureOf(search, ["a"], nowhere);
    expect(members.map(({ library }) => search.tree.inside(library.path))).toEqual([
      "/second/libred.so.1",
      "/lib/b",
      "/lib/a",
    ]);
  });

  test("a member knows its name, the step that found it, and who asked for it first", () => {
    const search = searchIn({ a: ["b"], b: [] });
    const [b, a] = closureOf(search, ["a"], nowhere).members;
    expect([a?.name, a?.why, a?.requester]).toEqual(["a", "default directory", undefined]);
    expect([b?.name, b?.why, b?.requester?.library.soname]).toEqual(["b", "default directory", "a"]);
  });

  test("who asks for the roots lends them its search path", () => {
    const search = searchIn({}, { "/opt/a": { soname: "a" }, "/bin/game": { soname: "game", rpath: "/opt" } });
    const library = readLibrary(`${search.tree.root}/bin/game`);
    expect(sonames(closureOf(search, ["a"], nowhere, { library }))).toEqual(["a"]);
    expect(() => closureOf(search, ["a"], nowhere)).toThrow(LinkError);
  });
});

test("the order holds for libraries that have no name of their own, or another one", () => {
  const search = searchIn(
    { a: ["libbare.so", "libother.so.1"] },
    {
      "/lib/libbare.so": { needed: ["libother.so.1"] },
      "/lib/libother-ng.so.2": { soname: "libother-ng.so.2" },
      "/lib/libother.so.1": "-> libother-ng.so.2",
    },
  );
  const closure = closureOf(search, ["a"], nowhere);
  expect(sonames(closure)).toEqual(["libother-ng.so.2", "libbare.so", "a"]);
  expectOrder(closure);
});

describe("what is elsewhere", () => {
  test("is not looked for, and kept with all who need it", () => {
    const search = searchIn({ a: ["libc.so.6", "b"], b: ["libc.so.6", "libm.so.6"] });
    const { members, elsewhere } = closureOf(search, ["a"], (soname) => /^lib[cm]\.so\.6$/.test(soname));
    expect(members.map(({ name }) => name)).toEqual(["b", "a"]);
    expect([...elsewhere].map(([soname, needers]) => [soname, needers.map((needer) => needer.soname)])).toEqual([
      ["libc.so.6", ["a", "b"]],
      ["libm.so.6", ["b"]],
    ]);
  });
});

describe("what cannot be", () => {
  test("a missing library is named, with who needs it and where it was looked for", () => {
    const search = searchIn({ a: ["b"], b: ["libmissing.so.1"] });
    const look = () => closureOf(search, ["a"], nowhere);
    expect(look).toThrow(LinkError);
    const { root } = search.tree;
    expect(look).toThrow(
      `Cannot find "libmissing.so.1", which "${root}/lib/b" needs, in "${root}": ${root}/etc/ld.so.cache: there is none; `,
    );
    expect(() => closureOf(search, ["libmissing.so.1"], nowhere)).toThrow(
      `Cannot find "libmissing.so.1" in "${root}":`,
    );
  });

  test("a damaged library is named", () => {
    const search = searchIn({ a: ["b"] }, { "/lib/b": new TextEncoder().encode("not an ELF file") });
    expect(() => closureOf(search, ["a"], nowhere)).toThrow(ElfError);
    expect(() => closureOf(search, ["a"], nowhere)).toThrow(`Cannot read "${search.tree.root}/lib/b"`);
  });
});

test("a name is looked for on the path of whom ld.so itself takes", () => {
  using scratch = new Scratch();
  const directories = Object.fromEntries(["near", "far", "lib"].map((name) => [name, scratch.path(name)]));
  for (const directory of Object.values(directories)) mkdirSync(directory);
  const shared = ["-shared", "-fPIC", "-Wl,--no-as-needed"];
  const library = (path: string, soname: string, ...options: string[]) =>
    scratch.compile(path, `int ${soname.replace(/\W/g, "_")};`, ...shared, `-Wl,-soname,${soname}`, ...options);
  const near = library("near/libred.so.1", "libred.so.1");
  const far = library("far/libred.so.1", "libred.so.1");
  const blue = library("lib/libblue.so.1", "libblue.so.1", far, `-Wl,-rpath,${directories.far}`);
  const rpath = `-Wl,-rpath,${directories.near}:${directories.lib}`;
  const program = scratch.compile("program", "int main() { return 0; }", "-Wl,--no-as-needed", blue, near, rpath);
  const [machine, self] = [new Tree("/"), readLibrary(program)];
  const closure = closureOf(new Search(machine), self.needed, nowhere, { library: self });
  const [red] = closure.members.filter(({ name }) => name === "libred.so.1");
  expect(red?.library.path).toBe(near);
  expect(filesOf(machine, closure.inLoadOrder, self)).toEqual([...listedByLdSo(machine, program).paths]);
});

describe("closures of this machine's programs", () => {
  test("have what ld.so lists, in an order that leaves nothing to search", () => {
    const search = new Search(new Tree("/"));
    const programs = linkedFiles(search.tree, ["/usr/bin"]).filter(({ interpreter }) => interpreter !== undefined);
    let compared = 0;
    for (const library of programs.filter((_, i) => i % 8 === 0)) {
      const { paths, missing } = listedByLdSo(search.tree, library.path);
      if (missing.length > 0) continue;
      const closure = closureOf(search, library.needed, nowhere, { library });
      const found = filesOf(search.tree, closure.inLoadOrder, library);
      expect([library.path, found]).toEqual([library.path, [...paths]]);
      expectOrder(closure);
      compared++;
    }
    expect(compared).toBeGreaterThan(10);
  });
});

describe("versions of a file that is not in DT_NEEDED", () => {
  const [red, blue] = ["red", "blue"].map(
    (soname) => closureOf(searchIn({ [soname]: [] }), [soname], nowhere).libraries[0],
  );
  if (!red || !blue) throw new Error("A closure has its root");
  const needy: Library = { ...red, versionsBeside: ["libgreen.so.1"] };

  test("are refused where nobody needs it: ld.so would fail an assertion", () => {
    const check = () => checkVersionsBeside({ libraries: [needy, blue] }, () => false);
    expect(check).toThrow(ElfError);
    expect(check).toThrow(`"${red.path}": DT_VERNEED: it needs versions of "libgreen.so.1"`);
  });

  test("are accepted where something else needs it by that name, or filters it, or it is open", () => {
    checkVersionsBeside({ libraries: [needy, { ...blue, needed: ["libgreen.so.1"] }] }, () => false);
    const filtees = [{ name: "libgreen.so.1", isOptional: true }];
    checkVersionsBeside({ libraries: [needy, { ...blue, filtees }] }, () => false);
    checkVersionsBeside({ libraries: [needy, blue] }, (name) => name === "libgreen.so.1");
  });
});
