// What comes into a namespace, one opening after another.

import { afterAll, describe, expect, test } from "bun:test";
import { renameSync, rmSync } from "node:fs";
import { readLibrary } from "../../../lib/elf/library.ts";
import { type Dependencies, dependenciesOf, Loading, type Need, upToDate } from "../../../lib/tree/dependencies.ts";
import { Search } from "../../../lib/tree/search.ts";
import { SmallTree } from "./small-tree.ts";

const tree = new SmallTree({
  "/opt/game": { soname: "game", needed: ["libred.so.1"], runpath: "/opt/own" },
  "/opt/own/libred.so.1": { soname: "libred.so.1", needed: ["libblue.so.1", "game"] },
  "/opt/own/libblue.so.1": { soname: "libblue.so.1", comment: "own" },
  "/usr/lib/libblue.so.1": { soname: "libblue.so.1" },
  "/usr/lib/libgreen.so.1": { soname: "libgreen.so.1", needed: ["libblue.so.1", "libc.so.6", "libgone.so.1"] },
  "/usr/lib/libc-2.so": { soname: "libc.so.6" },
});
afterAll(() => tree[Symbol.dispose]());

const search = new Search(tree.tree);
const pathOf = (need: Need | undefined) =>
  need && "node" in need ? search.tree.inside(need.node.library.path) : undefined;

describe("a namespace", () => {
  test("begins with a program, wherever that is, which answers to its own soname", () => {
    const loading = new Loading(search, () => false);
    const program = loading.add(readLibrary(tree.path("/opt/game")), "game", "the program");
    expect(loading.nodes.map(({ name, why }) => [name, why])).toEqual([
      ["game", "the program"],
      ["libred.so.1", `runpath of ${tree.tree.root}/opt/game`],
      ["libblue.so.1", "default directory"],
    ]);
    const [red] = program.needs;
    expect(red && "node" in red && red.node.needs[1]).toEqual({ name: "game", node: program });
  });

  test("gives what it has to who opens something later, whatever the search path of that one", () => {
    const loading = new Loading(search, () => false);
    const own = readLibrary(tree.path("/opt/game"));
    expect(pathOf(loading.open(["libblue.so.1"], { library: own })[0])).toBe("/opt/own/libblue.so.1");
    const [green] = loading.open(["libgreen.so.1"]);
    expect(green && "node" in green && pathOf(green.node.needs[0])).toBe("/opt/own/libblue.so.1");
    expect(loading.nodes.map(({ name }) => name)).toEqual(["libblue.so.1", "libgreen.so.1"]);
  });

  test("takes what it is given for a name without a search, and leaves out what is elsewhere", () => {
    const libc = { library: readLibrary(tree.path("/usr/lib/libc-2.so")), why: "the newest" };
    const loading = new Loading(
      search,
      (soname) => soname === "libblue.so.1",
      (soname) => (soname === "libc.so.6" ? libc : undefined),
    );
    const [green] = loading.open(["libgreen.so.1"]);
    const needs = green && "node" in green ? green.node.needs : [];
    expect(needs[0]).toEqual({ name: "libblue.so.1", elsewhere: "libblue.so.1" });
    expect(needs[1]).toMatchObject({ node: { why: "the newest", library: { path: libc.library.path } } });
    expect(needs[2]).toMatchObject({ name: "libgone.so.1", fault: expect.any(Error) });
  });
});

describe("a library that has another name than the one that is needed", () => {
  const other = new SmallTree({
    "/usr/lib/libuser.so.1": { soname: "libuser.so.1", needed: ["libbare.so", "libother.so.1", "libplain.so.1"] },
    "/usr/lib/libbare.so": {},
    "/usr/lib/libother-ng.so.2": { soname: "libother-ng.so.2" },
    "/usr/lib/libother.so.1": "-> libother-ng.so.2",
    "/usr/lib/libplain.so.1": { soname: "libplain.so.1" },
    "/opt/libbare.so": { comment: "another" },
    "/opt/libwants.so.1": { soname: "libwants.so.1", needed: ["libbare.so"], runpath: "/opt" },
  });
  afterAll(() => other[Symbol.dispose]());
  const search = new Search(other.tree);

  test("is told with the names that led to it, but for its soname", () => {
    const loading = new Loading(search, () => false);
    loading.open(["libuser.so.1"]);
    expect(loading.nodes.map(({ library, names }) => [library.soname, library.hasSoname, names])).toEqual([
      ["libuser.so.1", true, []],
      ["libbare.so", false, ["libbare.so"]],
      ["libother-ng.so.2", true, ["libother.so.1"]],
      ["libplain.so.1", true, []],
    ]);
  });

  test("serves who asks for it by a name that led to it, and not by that of its file alone", () => {
    const bare = (loading: Loading) =>
      loading.nodes.filter(({ library: { soname } }) => soname === "libbare.so").length;
    const byName = new Loading(search, () => false);
    byName.open(["libuser.so.1", "/opt/libwants.so.1"]);
    expect(bare(byName)).toBe(1);
    const byPath = new Loading(search, () => false);
    byPath.open(["/usr/lib/libbare.so", "/opt/libwants.so.1"]);
    expect(bare(byPath)).toBe(2);
  });

  test("is not looked for where it is open already", () => {
    const open = new Map([["libbare.so", "/elsewhere/libbare.so"]]);
    const { nodes } = dependenciesOf(search, ["/opt/libwants.so.1"], () => false, undefined, open);
    expect(nodes.map(({ needs }) => needs)).toEqual([[{ name: "libbare.so", open: "/elsewhere/libbare.so" }]]);
  });
});

describe("what a search remembers", () => {
  const needed = ["libred.so.1"];
  const fresh = () => {
    const tree = new SmallTree({
      "/usr/lib/libred.so.1": { soname: "libred.so.1", needed: ["libblue.so.1"] },
      "/usr/lib/libblue.so.1": { soname: "libblue.so.1" },
    });
    const search = new Search(tree.tree);
    let count = 0;
    const look = (isOpen?: (path: string) => boolean) => {
      const find = () => {
        count++;
        return dependenciesOf(search, needed, () => false);
      };
      count = 0;
      return { found: upToDate(search, find, isOpen), count };
    };
    look();
    return { tree, look, [Symbol.dispose]: () => tree[Symbol.dispose]() };
  };
  const faults = ({ nodes }: Dependencies) => nodes.flatMap(({ needs }) => needs.filter((need) => "fault" in need));
  const names = ({ nodes }: Dependencies) => nodes.map(({ name }) => name);

  test("counts while the files are the same", () => {
    using it = fresh();
    const { found, count } = it.look();
    expect([names(found), count]).toEqual([["libred.so.1", "libblue.so.1"], 1]);
  });

  test("is looked up again when a file has been replaced, unless that one is open", () => {
    using it = fresh();
    const path = it.tree.add("/usr/lib/fresh", { soname: "libred.so.1" });
    renameSync(path, it.tree.path("/usr/lib/libred.so.1"));
    expect(names(it.look((each) => each === it.tree.path("/usr/lib/libred.so.1")).found)).toHaveLength(2);
    expect(names(it.look().found)).toEqual(["libred.so.1"]);
  });

  test("is looked up again when a file has been removed, and when it is there again", () => {
    using it = fresh();
    rmSync(it.tree.path("/usr/lib/libblue.so.1"));
    expect(faults(it.look().found)).toHaveLength(1);
    it.tree.add("/usr/lib/libblue.so.1", { soname: "libblue.so.1" });
    expect(faults(it.look().found)).toEqual([]);
  });
});
