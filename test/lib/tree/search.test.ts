// Where a library is searched, in which order, and what is said when it is nowhere.

import { afterEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, realpathSync, rmSync, truncateSync } from "node:fs";
import { relative } from "node:path";
import { ElfError } from "../../../lib/elf/error.ts";
import type { Library } from "../../../lib/elf/library.ts";
import { LinkError } from "../../../lib/link-error.ts";
import { ownHwcaps, ownPlatform } from "../../../lib/tree/hwcaps.ts";
import {
  type Found,
  libraryPathOf,
  mustFind,
  type Requester,
  Search,
  type Tried,
  textOf,
} from "../../../lib/tree/search.ts";
import { systemDirectories } from "../../../lib/tree/system-dirs.ts";
import { Tree } from "../../../lib/tree/tree.ts";
import { newCache, sorted } from "./cache-bytes.ts";
import { type Content, SmallTree } from "./small-tree.ts";

const trees: SmallTree[] = [];
afterEach(() => {
  for (const tree of trees.splice(0)) tree[Symbol.dispose]();
});

/** A library called libred.so.1 in each of these directories, and what else the tree has. */
function treeWith(directories: readonly string[], more: Readonly<Record<string, Content>> = {}): SmallTree {
  const tree = new SmallTree(more);
  trees.push(tree);
  for (const directory of directories) tree.add(`${directory}/libred.so.1`, { soname: "libred.so.1" });
  return tree;
}

const searchIn = (tree: SmallTree, libraryPath: readonly string[] = []) => new Search(tree.tree, libraryPath);

/** Where libred.so.1 is found, as a path in the tree. */
function find(search: Search, requester?: Requester, name = "libred.so.1"): string | undefined {
  const found = search.find(name, requester);
  return found && search.tree.inside(found.path);
}

/** Why it is not found. */
function tried(search: Search, requester?: Requester, name = "libred.so.1"): string[] {
  const steps: Tried = [];
  expect(search.find(name, requester, steps)).toBeUndefined();
  return steps.map(textOf);
}

/** Who asks is there: $ORIGIN/.. leads through a directory that exists. */
const GAME = { "/opt/game/bin/game": new Uint8Array(1) };

const requesting = (tree: SmallTree, said: Partial<Library> = {}, loader?: Requester): Requester => ({
  library: {
    path: tree.tree.root + (said.path ?? "/opt/game/bin/game"),
    soname: "game",
    hasSoname: true,
    needed: [],
    filtees: [],
    rpath: said.rpath,
    runpath: said.runpath,
    avoidsDefaults: said.avoidsDefaults ?? false,
    isFixed: false,
    isPie: false,
    isForStart: false,
    wantsExecutableStack: false,
    auditors: [],
    interpreter: undefined,
    startsByLibc: false,
    entersNamespaces: false,
    versions: [],
    tls: undefined,
    hasUnique: false,
    hasMalloc: false,
    hasOperatorNew: false,
    isSanitizer: false,
    versionsBeside: [],
    isLibc: false,
    glibc: undefined,
    isOfGlibc: false,
    release: undefined,
    gconv: undefined,
  },
  loader,
});

const cacheFor = (...paths: string[]): Uint8Array =>
  newCache(sorted(paths.map((path) => ({ soname: "libred.so.1", path }))));

describe("the order of the steps", () => {
  const everywhere = ["/rpath", "/library-path", "/runpath", "/cached", "/lib"];
  const cache = { "/etc/ld.so.cache": cacheFor("/cached/libred.so.1") };

  test("RPATH, LD_LIBRARY_PATH, cache, default directories", () => {
    const expected = ["/rpath", "/library-path", "/cached", "/lib"];
    expected.forEach((first, i) => {
      const tree = treeWith(["/runpath", ...expected.slice(i)], cache);
      const search = searchIn(tree, [tree.path("/library-path")]);
      expect(find(search, requesting(tree, { rpath: "/rpath" }))).toBe(`${first}/libred.so.1`);
    });
  });

  test("LD_LIBRARY_PATH, RUNPATH, cache, default directories; a RUNPATH puts the RPATH beside it out of use", () => {
    const expected = ["/library-path", "/runpath", "/cached", "/lib"];
    expected.forEach((first, i) => {
      const tree = treeWith(["/rpath", ...expected.slice(i)], cache);
      const search = searchIn(tree, [tree.path("/library-path")]);
      expect(find(search, requesting(tree, { rpath: "/rpath", runpath: "/runpath" }))).toBe(`${first}/libred.so.1`);
    });
  });

  test("without a requester: LD_LIBRARY_PATH, cache, default directories", () => {
    const tree = treeWith(everywhere, cache);
    expect(find(searchIn(tree, [tree.path("/library-path")]))).toBe("/library-path/libred.so.1");
    expect(find(searchIn(tree))).toBe("/cached/libred.so.1");
    expect(find(searchIn(treeWith(everywhere)))).toBe("/lib/libred.so.1");
  });

  test("what is relative begins at the current directory", () => {
    const tree = treeWith(["/beside", "/lib"], GAME);
    const beside = relative(process.cwd(), tree.path("/beside"));
    const search = searchIn(tree);
    expect(find(search, requesting(tree, { runpath: beside }))).toBe("/beside/libred.so.1");
    expect(find(search, requesting(tree, { rpath: `./${beside}` }))).toBe("/beside/libred.so.1");
    expect(find(searchIn(tree, [beside]))).toBe("/beside/libred.so.1");
    expect(find(search, requesting(tree), `${beside}/libred.so.1`)).toBe("/beside/libred.so.1");
    expect(find(search, requesting(tree), "./libred.so.1")).toBeUndefined();
  });

  test("LD_LIBRARY_PATH has the current directory where an element is empty, and nothing where all of it is", () => {
    expect(libraryPathOf("/one:two;/three")).toEqual(["/one", "two", "/three"]);
    expect(libraryPathOf(":/one:")).toEqual([".", "/one", "."]);
    expect(libraryPathOf("")).toEqual([]);
    expect(libraryPathOf(undefined)).toEqual([]);
  });

  test("$ORIGIN in LD_LIBRARY_PATH is the program's directory, whoever asks, and none where there is no program", () => {
    const tree = treeWith(["/opt/game/lib", "/opt/game/bin"], { "/opt/other/plugin.so": new Uint8Array(1) });
    const plugin = requesting(tree, { path: "/opt/other/plugin.so" });
    const path = libraryPathOf(`$ORIGIN/../lib:\${ORIGIN}`);
    const search = new Search(tree.tree, path, undefined, tree.path("/opt/game/bin/game"));
    for (const requester of [plugin, undefined])
      expect(search.find("libred.so.1", requester)?.foundAs).toBe(`${tree.path("/opt/game/bin")}/../lib/libred.so.1`);
    expect(search.libraryPath).toEqual(path);
    expect(find(searchIn(tree, path), plugin)).toBeUndefined();
    const others = libraryPathOf(`${tree.path("/opt")}/$LIB;${tree.path("/opt")}/$PLATFORM;$ORIGINAL`);
    expect(searchIn(tree, others).libraryDirectories.map((one) => one.replace(tree.path("/opt"), ""))).toEqual([
      "/lib/x86_64-linux-gnu",
      `/${ownPlatform()}`,
      "$ORIGINAL",
    ]);
  });

  test("each step says which it was", () => {
    const why = (tree: SmallTree, requester?: Requester, libraryPath: string[] = []) =>
      searchIn(tree, libraryPath).find("libred.so.1", requester)?.why.replaceAll(tree.tree.root, "");
    const tree = treeWith(everywhere, cache);
    expect(why(tree, requesting(tree, { rpath: "/rpath" }))).toBe("rpath of /opt/game/bin/game");
    expect(why(tree, requesting(tree, { runpath: "/runpath" }))).toBe("runpath of /opt/game/bin/game");
    expect(why(tree, undefined, [tree.path("/library-path")])).toBe("LD_LIBRARY_PATH");
    expect(why(tree)).toBe("ld.so.cache");
    expect(why(treeWith(["/lib"]))).toBe("default directory");
    expect(searchIn(tree).find("/lib/libred.so.1", undefined)?.why).toBe("its path");
  });
});

describe("RPATH and RUNPATH", () => {
  test("RPATH goes along the chain of who loaded whom, RUNPATH does not", () => {
    const tree = treeWith(["/outer", "/middle", "/inner"]);
    const chain = (inner: Partial<Library>, middle: Partial<Library>, outer: Partial<Library>) =>
      requesting(tree, inner, requesting(tree, middle, requesting(tree, outer)));
    const search = searchIn(tree);
    expect(find(search, chain({ rpath: "/inner" }, { rpath: "/middle" }, { rpath: "/outer" }))).toContain("/inner/");
    expect(find(search, chain({}, { rpath: "/middle" }, { rpath: "/outer" }))).toContain("/middle/");
    expect(find(search, chain({}, {}, { rpath: "/outer" }))).toContain("/outer/");
    // one that has a RUNPATH, too, gives none to others
    expect(find(search, chain({}, { rpath: "/middle", runpath: "/no" }, { rpath: "/outer" }))).toContain("/outer/");
    expect(find(search, chain({}, { runpath: "/middle" }, { runpath: "/outer" }))).toBeUndefined();
    // who has a RUNPATH asks nobody else's RPATH
    expect(find(search, chain({ runpath: "/no" }, { rpath: "/middle" }, { rpath: "/outer" }))).toBeUndefined();
  });

  test("directories are searched from left to right", () => {
    const tree = treeWith(["/b", "/c"]);
    expect(find(searchIn(tree), requesting(tree, { runpath: "/a:/c:/b" }))).toBe("/c/libred.so.1");
    expect(find(searchIn(tree), requesting(tree, { rpath: "/a:/no:/b:/c" }))).toBe("/b/libred.so.1");
  });

  test("$ORIGIN is the requester's own directory, with braces and without, as part of a path", () => {
    const tree = treeWith(["/opt/game/lib"], GAME);
    for (const runpath of ["$ORIGIN/../lib", `\${ORIGIN}/../lib`, "/no:$ORIGIN/.././lib/"])
      expect(find(searchIn(tree), requesting(tree, { runpath }))).toBe("/opt/game/lib/libred.so.1");
    // a name that only begins like it is none
    expect(find(searchIn(tree), requesting(tree, { runpath: "$ORIGINAL/../lib" }))).toBeUndefined();
  });

  test("$ORIGIN of a library is where it was found, whatever its file is a link to", () => {
    const [store, shown] = ["/usr/lib/store", "/opt/shown"];
    const link = { [`${shown}/libtop.so`]: `-> ${store}/libtop.so`, [`${store}/libtop.so`]: { soname: "libtop.so" } };
    const tree = treeWith([store, shown], {
      ...(link as Record<string, Content>),
      ...{
        "/run/linked": "-> ../opt/shown",
        "/etc/ld.so.cache": newCache([{ soname: "libtop.so", path: `${shown}/libtop.so` }]),
      },
      ...{ "/lib64/ld-linux-x86-64.so.2": loader("/run/linked/", "/run/no/") },
    });
    const search = searchIn(tree);
    const below = (found: Found | undefined) => {
      if (!found) throw new Error("libtop.so is there");
      expect(search.tree.inside(found.path)).toBe(`${store}/libtop.so`);
      const { root } = search.tree;
      const requester = {
        library: { ...requesting(tree, { runpath: "$ORIGIN" }).library, path: found.path },
        origin: found.origin,
      };
      return [found.origin.replace(root, ""), find(search, requester), find(search, requester, "$ORIGIN/libred.so.1")];
    };
    const red = `${shown}/libred.so.1`;
    expect(below(search.find("libtop.so", requesting(tree, { runpath: shown })))).toEqual([shown, red, red]);
    expect(below(search.find(`${shown}/libtop.so`, undefined))).toEqual([shown, red, red]);
    expect(below(search.find("libtop.so", undefined))).toEqual([shown, red, red]);
    // by its own path it has its own directory
    const own = `${store}/libred.so.1`;
    expect(below(search.find(`${store}/libtop.so`, undefined))).toEqual([store, own, own]);
    // a directory on the way that is a link stays one, and ".." goes on from where it leads to
    expect(below(search.find("libtop.so", requesting(tree, { runpath: "/run/linked" })))).toEqual([
      "/run/linked",
      red,
      red,
    ]);
    const found = search.find("libtop.so", requesting(tree, { runpath: "/run/linked" }));
    const above = { library: requesting(tree, { runpath: "$ORIGIN/../shown" }).library, origin: found?.origin };
    expect(find(search, above)).toBe(red);
  });

  test("$ORIGIN of a program that is not in the tree is the machine's, also in a name with a slash", () => {
    const game = treeWith(["/opt/game/lib"], GAME);
    const tree = treeWith([]);
    const search = searchIn(tree);
    for (const [name, runpath] of [
      ["libred.so.1", "/none:$ORIGIN/../lib"],
      ["$ORIGIN/../lib/libred.so.1", "/none"],
    ] as const) {
      const found = search.find(name, requesting(game, { runpath }));
      expect(found && realpathSync(found.path)).toBe(game.path("/opt/game/lib/libred.so.1"));
    }
  });

  test("$ORIGIN in a RPATH of the chain is the directory of who has the RPATH", () => {
    const tree = treeWith(["/opt/game/lib"], GAME);
    const outer = requesting(tree, { rpath: "$ORIGIN/../lib" });
    expect(find(searchIn(tree), requesting(tree, { path: "/usr/lib/plugin.so" }, outer))).toBe(
      "/opt/game/lib/libred.so.1",
    );
  });

  test("$PLATFORM is the processor's, $LIB is what the tree's ld.so calls it", () => {
    const debian = treeWith([`/opt/${ownPlatform()}`, "/opt/lib/x86_64-linux-gnu"]);
    expect(find(searchIn(debian), requesting(debian, { runpath: "/opt/$PLATFORM" }))).toBe(
      `/opt/${ownPlatform()}/libred.so.1`,
    );
    expect(find(searchIn(debian), requesting(debian, { runpath: `/opt/\${LIB}` }))).toBe(
      "/opt/lib/x86_64-linux-gnu/libred.so.1",
    );
    const fedora = treeWith(["/opt/lib64"], { "/lib64/ld-linux-x86-64.so.2": loader("/lib64/", "/usr/lib64/") });
    expect(find(searchIn(fedora), requesting(fedora, { runpath: "/opt/$LIB" }))).toBe("/opt/lib64/libred.so.1");
  });

  test("absolute directories are the tree's, and a path that has the tree's root already keeps it", () => {
    const tree = treeWith(["/opt/lib"]);
    for (const runpath of ["/opt/lib", `${tree.tree.root}/opt/lib`])
      expect(find(searchIn(tree), requesting(tree, { runpath }))).toBe("/opt/lib/libred.so.1");
  });
});

/** As much of an ld.so as says which directories it searches. */
function loader(...directories: string[]): Uint8Array {
  return new TextEncoder().encode(`\x7fELF…\0some text\0${directories.map((path) => `${path}\0`).join("")}\0more\0`);
}

describe("default directories", () => {
  test("are those that stand in the tree's ld.so", () => {
    const fedora = ["/lib64/", "/usr/lib64/"];
    for (const [path, directories] of [
      ["/lib64/ld-linux-x86-64.so.2", fedora],
      ["/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", ["/lib/a.b-c_d/", "/usr/lib/a.b-c_d/", "/lib/", "/usr/lib/"]],
      ["/usr/lib/ld-linux-x86-64.so.2", ["/lib/", "/usr/lib/"]],
    ] as const) {
      const tree = treeWith([], { [path]: loader(...directories) });
      expect(systemDirectories(tree.tree)).toEqual(directories.map((directory) => directory.slice(0, -1)));
    }
  });

  test("are the usual ones where there is no ld.so, or it does not say", () => {
    const usual = systemDirectories(treeWith([]).tree);
    expect(usual).toContain("/lib/x86_64-linux-gnu");
    expect(usual).toContain("/usr/lib64");
    for (const bytes of [loader(), loader("/lib64/"), new Uint8Array(0)])
      expect(systemDirectories(treeWith([], { "/lib64/ld-linux-x86-64.so.2": bytes }).tree)).toEqual(usual);
  });

  test("are searched from first to last", () => {
    const own = { "/lib64/ld-linux-x86-64.so.2": loader("/lib/first/", "/lib/second/") };
    expect(find(searchIn(treeWith(["/lib/first", "/lib/second"], own)))).toBe("/lib/first/libred.so.1");
    expect(find(searchIn(treeWith(["/lib/second"], own)))).toBe("/lib/second/libred.so.1");
    expect(find(searchIn(treeWith(["/lib"], own)))).toBeUndefined();
  });

  test("are not for who is linked with -z nodefaultlib", () => {
    const tree = treeWith(["/lib", "/opt"]);
    const requester = requesting(tree, { avoidsDefaults: true });
    expect(tried(searchIn(tree), requester).at(-1)).toBe(
      `default directories: not for ${requester.library.path} (DF_1_NODEFLIB)`,
    );
    expect(find(searchIn(tree), requesting(tree, { avoidsDefaults: true, runpath: "/opt" }))).toBe("/opt/libred.so.1");
  });
});

describe("a name with a slash", () => {
  test("is a path, and nothing is searched", () => {
    const tree = treeWith(["/opt", "/lib"]);
    expect(find(searchIn(tree), undefined, "/opt/libred.so.1")).toBe("/opt/libred.so.1");
    expect(tried(searchIn(tree), undefined, "/no/libred.so.1")).toEqual([
      `${tree.tree.root}/no/libred.so.1: no such file`,
    ]);
  });

  test("may begin with $ORIGIN where somebody asks for it", () => {
    const tree = treeWith(["/opt/game/lib"], GAME);
    expect(find(searchIn(tree), requesting(tree), "$ORIGIN/../lib/libred.so.1")).toBe("/opt/game/lib/libred.so.1");
    expect(searchIn(tree).find("$ORIGIN/../lib/libred.so.1", undefined)).toBeUndefined();
  });
});

describe("what is passed over", () => {
  const foreign: [string, Content][] = [
    ["for a 32-bit machine", { soname: "libred.so.1", elfClass: 1, machine: 3 }],
    ["for x32", { soname: "libred.so.1", elfClass: 1 }],
    ["for another machine", { soname: "libred.so.1", machine: 183 }],
  ];
  test.each(foreign)("a library %s; the next directory has it", (_, content) => {
    const tree = treeWith(["/b"], { "/a/libred.so.1": content });
    const steps: Tried = [];
    const found = searchIn(tree).find("libred.so.1", requesting(tree, { runpath: "/a:/b" }), steps);
    expect(found?.path).toBe(`${tree.tree.root}/b/libred.so.1`);
    const { root } = tree.tree;
    const by = `runpath of ${root}/opt/game/bin/game`;
    expect(steps).toEqual([{ by, path: `${root}/a/libred.so.1`, fault: "for another class or machine" }]);
  });

  test("also in the cache, and as often as it is asked for", () => {
    const tree = treeWith(["/b"], {
      "/a/libred.so.1": { machine: 183 },
      "/etc/ld.so.cache": cacheFor("/a/libred.so.1", "/b/libred.so.1"),
    });
    const search = searchIn(tree);
    for (let i = 0; i < 2; i++) expect(find(search)).toBe("/b/libred.so.1");
  });

  test("what is damaged is not passed over: reading it throws", () => {
    const tree = treeWith(["/b"], { "/a/libred.so.1": new TextEncoder().encode("GROUP ( libblue.so )") });
    const found = searchIn(tree).find("libred.so.1", requesting(tree, { runpath: "/a:/b" }));
    expect(found?.path).toBe(`${tree.tree.root}/a/libred.so.1`);
    expect(() => found?.library).toThrow(ElfError);
  });

  test("a directory of that name, a file in place of a directory, a link to nowhere", () => {
    const tree = treeWith(["/d"], { "/b": new Uint8Array(1), "/c/libred.so.1": "-> nowhere" });
    mkdirSync(tree.path("/a/libred.so.1"), { recursive: true });
    const steps: Tried = [];
    expect(searchIn(tree).find("libred.so.1", requesting(tree, { runpath: "/a:/b:/c:/d" }), steps)).toBeDefined();
    const { root } = tree.tree;
    expect(steps.map(textOf)).toEqual([
      `${root}/a/libred.so.1: a directory`,
      `${root}/b/libred.so.1: no such file`,
      `${root}/c/libred.so.1: no such file`,
    ]);
  });

  const isRoot = process.getuid?.() === 0;
  test.skipIf(isRoot)(`what may not be read${isRoot ? " (we are root, and may)" : ""}`, () => {
    const tree = treeWith(["/a", "/b"]);
    chmodSync(tree.path("/a/libred.so.1"), 0);
    expect(find(searchIn(tree), requesting(tree, { runpath: "/a:/b" }))).toBe("/b/libred.so.1");
  });
});

describe("glibc-hwcaps", () => {
  const [best, ...others] = ownHwcaps();
  const skipped = best === undefined ? " (this processor has no level)" : "";

  test.skipIf(best === undefined)(`the best level comes first, in every directory${skipped}`, () => {
    const level = `/opt/glibc-hwcaps/${best}`;
    const tree = treeWith(["/opt", level, "/lib", `/lib/glibc-hwcaps/${best}`]);
    expect(find(searchIn(tree), requesting(tree, { runpath: "/opt" }))).toBe(`${level}/libred.so.1`);
    expect(find(searchIn(tree, [tree.path("/opt")]))).toBe(`${level}/libred.so.1`);
    expect(find(searchIn(tree))).toBe(`/lib/glibc-hwcaps/${best}/libred.so.1`);
    const [second] = others;
    if (second === undefined) return;
    const both = treeWith(["/opt", level, `/opt/glibc-hwcaps/${second}`]);
    expect(find(searchIn(both), requesting(both, { runpath: "/opt" }))).toBe(`${level}/libred.so.1`);
    const lower = treeWith(["/opt", `/opt/glibc-hwcaps/${second}`]);
    expect(find(searchIn(lower), requesting(lower, { runpath: "/opt" }))).toBe(
      `/opt/glibc-hwcaps/${second}/libred.so.1`,
    );
  });

  test.skipIf(best === undefined)(`entries of the cache go by their level, not by their order${skipped}`, () => {
    const paths = ["/lib/libred.so.1", ...["x86-64-v9", best].map((level) => `/lib/glibc-hwcaps/${level}/libred.so.1`)];
    const entries = paths.map((path, i) => ({
      soname: "libred.so.1",
      path,
      hwcap: i === 0 ? 0n : (1n << 62n) | BigInt(i - 1),
    }));
    const tree = treeWith([]);
    for (const path of paths) tree.add(path, { soname: "libred.so.1" });
    tree.add("/etc/ld.so.cache", newCache(entries, { hwcaps: ["x86-64-v9", best ?? ""] }));
    expect(find(searchIn(tree))).toBe(`/lib/glibc-hwcaps/${best}/libred.so.1`);
  });

  test("a level that the processor does not have is not searched", () => {
    const tree = treeWith(["/opt/glibc-hwcaps/x86-64-v9", "/opt"]);
    expect(find(searchIn(tree), requesting(tree, { runpath: "/opt" }))).toBe("/opt/libred.so.1");
  });
});

describe("the message when nothing is found", () => {
  const complete = () => {
    const tree = treeWith([], {
      "/wrong/libred.so.1": { machine: 183 },
      "/loop": "-> loop",
      "/lib64/ld-linux-x86-64.so.2": loader("/lib64/", "/usr/lib64/"),
      "/etc/ld.so.cache": newCache([]),
    });
    return { tree, search: searchIn(tree, [tree.path("/library-path")]) };
  };

  test("has every step in order, each with its reason", () => {
    const { tree, search } = complete();
    const { root } = tree.tree;
    expect(tried(search, requesting(tree, { runpath: "/wrong:/missing" }))).toEqual([
      `${root}/library-path/libred.so.1: no such file`,
      `${root}/wrong/libred.so.1: for another class or machine`,
      `${root}/missing/libred.so.1: no such file`,
      `${root}/etc/ld.so.cache: it does not have it`,
      `${root}/lib64/libred.so.1: no such file`,
      `${root}/usr/lib64/libred.so.1: no such file`,
    ]);
  });

  test("names the library, who needs it and the tree", () => {
    const { tree, search } = complete();
    const requester = requesting(tree, { runpath: "/wrong" });
    const look = () => mustFind(search, "libred.so.1", requester);
    expect(look).toThrow(LinkError);
    expect(look).toThrow(
      `Cannot find "libred.so.1", which "${requester.library.path}" needs, in "${tree.tree.root}": ${tree.tree.root}/library-path/`,
    );
    expect(() => mustFind(search, "libred.so.1", undefined)).toThrow(
      `Cannot find "libred.so.1" in "${tree.tree.root}":`,
    );
    try {
      look();
    } catch (error) {
      expect((error as LinkError).details.tried).toEqual(tried(search, requester));
      expect((error as LinkError).details.object).toBe("libred.so.1");
    }
  });

  test("says where a tree has no cache, and that a cache has been outlived by its files", () => {
    const without = treeWith([]);
    expect(tried(searchIn(without))[0]).toBe(`${without.tree.root}/etc/ld.so.cache: there is none`);
    const stale = treeWith([], { "/etc/ld.so.cache": cacheFor("/gone/libred.so.1") });
    expect(tried(searchIn(stale))[0]).toBe(`${stale.tree.root}/gone/libred.so.1: no such file`);
  });

  test("a link on the way that loops or climbs is an error of its own", () => {
    const { tree, search } = complete();
    expect(() => search.find("libred.so.1", requesting(tree, { runpath: "/loop" }))).toThrow("is part of a loop");
    expect(() => search.find("/loop/libred.so.1", undefined)).toThrow(LinkError);
  });
});

describe("a cache", () => {
  const fault = (tree: SmallTree) => {
    const tried: Tried = [];
    searchIn(tree).find("libnone.so", undefined, tried);
    return tried.find(({ by }) => by === "ld.so.cache")?.fault;
  };

  test("that ld.so cannot open, or does not know, is as none, and the search says why", () => {
    const opt = { "/etc/ld.so.conf": new TextEncoder().encode("/opt\n") };
    const trees = [
      treeWith(["/opt"], opt),
      treeWith(["/opt"], { ...opt, "/etc/ld.so.cache/file": new Uint8Array(0) }),
      treeWith(["/opt"], { ...opt, "/etc/ld.so.cache": "-> /dev/zero" }),
      treeWith(["/opt"], { ...opt, "/etc/ld.so.cache": new Uint8Array(100) }),
    ];
    mkdirSync(trees[2]?.path("/dev") ?? "");
    using _socket = Bun.listen({ unix: trees[2]?.path("/dev/zero") ?? "", socket: { data() {} } });
    for (const tree of trees) expect(find(searchIn(tree))).toBe("/opt/libred.so.1");
    expect(trees.map(fault)).toEqual(["there is none", "a directory", "not a regular file", "not a cache of ld.so"]);
  });

  test("that is larger than any is an error, as ld.so would read it", () => {
    const tree = treeWith([], { "/etc/ld.so.cache": new Uint8Array(0) });
    truncateSync(tree.path("/etc/ld.so.cache"), 3 * 2 ** 30);
    expect(() => searchIn(tree)).toThrow(LinkError);
    expect(() => searchIn(tree)).toThrow(`Cannot read "${tree.tree.root}/etc/ld.so.cache": it has`);
  });
});

test("an ld.so that is larger than any is an error", () => {
  const tree = treeWith([], { "/lib64/ld-linux-x86-64.so.2": new Uint8Array(0) });
  truncateSync(tree.path("/lib64/ld-linux-x86-64.so.2"), 3 * 2 ** 30);
  expect(() => systemDirectories(tree.tree)).toThrow(LinkError);
});

test("a search path with more directories than any is an error that names the library", () => {
  const tree = treeWith(["/lib"], { "/libtop.so": { soname: "libtop.so", runpath: "/a:".repeat(5000) } });
  const search = searchIn(tree);
  const library = search.libraryAt(tree.path("/libtop.so"));
  expect(() => search.find("libred.so.1", { library })).toThrow(
    `Cannot follow the runpath of ${tree.path("/libtop.so")}: it has 5001 directories`,
  );
});

describe("4,000 directories that a tree names and lacks take no time for each library", () => {
  const missing = Array.from({ length: 4000 }, (_, i) => `/opt/missing/in-${i}/lib`);
  const names = Array.from({ length: 100 }, (_, i) => `libnone${i}.so.1`);

  test.each(["ld.so.conf", "a DT_RPATH", "a DT_RUNPATH"])("in %s", (where) => {
    const path = [...missing, "/late"];
    const tree = treeWith(["/late"], where === "ld.so.conf" ? { "/etc/ld.so.conf": Buffer.from(path.join("\n")) } : {});
    const said = where === "a DT_RPATH" ? { rpath: path.join(":") } : { runpath: path.join(":") };
    const requester = requesting(tree, where === "ld.so.conf" ? {} : said);
    const search = searchIn(tree);
    const before = process.cpuUsage();
    for (const name of names) expect(find(search, requester, name)).toBeUndefined();
    expect(find(search, requester)).toBe("/late/libred.so.1");
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(1500);
    expect(tried(search, requester, "libnone.so.1")).toContain(
      tree.path("/opt/missing/in-7/lib/libnone.so.1: no such file"),
    );
    // What is there by now is found.
    tree.add(`${missing[7]}/libred.so.1`, { soname: "libred.so.1" });
    search.refresh();
    expect(find(search, requester)).toBe(`${missing[7]}/libred.so.1`);
  });
});

test("a tree is gone when no directory with libraries is there, though it is still known what was", () => {
  const tree = treeWith(["/usr/lib", "/lib64"]);
  const search = searchIn(tree);
  find(search);
  expect(search.isGone).toBe(false);
  rmSync(tree.path("/usr"), { recursive: true });
  expect(search.isGone).toBe(false);
  rmSync(tree.path("/lib64"), { recursive: true });
  expect(search.isGone).toBe(true);
  rmSync(tree.directory, { recursive: true });
  expect(search.isGone).toBe(true);
  expect(new Search(new Tree("/")).isGone).toBe(false);
});
