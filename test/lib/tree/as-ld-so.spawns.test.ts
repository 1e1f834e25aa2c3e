// Programs whose libraries are reached by links, and what the machine's ld.so makes of them.

import { afterAll, describe, expect, test } from "bun:test";
import { cpSync, linkSync, mkdirSync, realpathSync, symlinkSync } from "node:fs";
import { dirname } from "node:path";
import { readLibrary } from "../../../lib/elf/library.ts";
import { Loading } from "../../../lib/tree/dependencies.ts";
import { ownPlatform } from "../../../lib/tree/hwcaps.ts";
import { libraryPathOf, Search } from "../../../lib/tree/search.ts";
import { Tree } from "../../../lib/tree/tree.ts";
import { LinkedTrees } from "../../support/linked-trees.ts";

const trees = new LinkedTrees();
afterAll(() => trees[Symbol.dispose]());

/**
 * libtop.so, which needs libdep.so beside it, is in b/; a/ has a link to it, and linked/a leads to a/. Both have a
 * libdep.so.
 */
const top = trees.library("b/libtop.so", { needs: ["libdep.so"], runpath: "$ORIGIN" });
for (const directory of ["a", "b"]) trees.library(`${directory}/libdep.so`);
symlinkSync("../b/libtop.so", trees.path("a/libtop.so"));
mkdirSync(trees.path("linked"));
symlinkSync("../a", trees.path("linked/a"));

/** What ld.so says of a program that is started by that path: each file once, in its order, or why not. */
function byLdSo(program: string, libraryPath: string): string[] | string {
  const env = { LD_TRACE_LOADED_OBJECTS: "1", LC_ALL: "C", ...(libraryPath && { LD_LIBRARY_PATH: libraryPath }) };
  const { stdout, stderr } = Bun.spawnSync([program], { env });
  if (stderr.length > 0) return stderr.toString();
  const paths = Array.from(stdout.toString().matchAll(/(?:=> |^\t)(\S*\/\S+) \(0x/gm), ([, path = ""]) => path);
  return paths.map((path) => realpathSync(path));
}

function byUs(program: string, libraryPath: string): string[] | string {
  const path = realpathSync(program);
  const search = new Search(new Tree("/"), libraryPathOf(libraryPath), undefined, path);
  const loading = new Loading(search, () => false);
  loading.add(readLibrary(path), program, "the program");
  for (const { needs } of loading.nodes) for (const need of needs) if ("fault" in need) return need.fault.message;
  return loading.nodes.slice(1).map(({ library }) => realpathSync(library.path));
}

/** Both, of which the machine's own are left out. `name` is a path by which the program is started. */
function found(name: string, libraryPath = ""): string[] {
  const program = trees.path(name);
  const [theirs, ours] = [byLdSo(program, libraryPath), byUs(program, libraryPath)];
  if (typeof theirs === "string" || typeof ours === "string") throw new Error(`${theirs} ${ours}`);
  const own = (paths: readonly string[]) => paths.filter((path) => path.startsWith(realpathSync(trees.path("."))));
  expect(own(ours)).toEqual(own(theirs));
  return own(ours).map((path) => path.slice(realpathSync(trees.path(".")).length + 1));
}

describe("$ORIGIN of a library is the directory in which it was found, as ld.so finds it", () => {
  const BY_LINK = ["b/libtop.so", "a/libdep.so"];

  test("by a RUNPATH, through a link, or through a directory that is one", () => {
    for (const directory of ["a", "linked/a", "b/../a"]) {
      trees.program("program", { needs: ["libtop.so"], runpath: `$ORIGIN/${directory}` });
      expect(found("program")).toEqual(BY_LINK);
    }
    trees.program("program", { needs: ["libtop.so"], runpath: "$ORIGIN/b" });
    expect(found("program")).toEqual(["b/libtop.so", "b/libdep.so"]);
  });

  test("by a RPATH, whose $ORIGIN is that of who has it", () => {
    trees.program("program", { needs: ["libtop.so"], rpath: "$ORIGIN/a" });
    expect(found("program")).toEqual(BY_LINK);
  });

  test("by a path, with $ORIGIN or without", () => {
    for (const path of ["$ORIGIN/a/libtop.so", trees.path("a/libtop.so"), trees.path("linked/a/libtop.so")]) {
      trees.program("program", { needs: [path] });
      expect(found("program")).toEqual(BY_LINK);
    }
  });

  test("by LD_LIBRARY_PATH", () => {
    trees.program("program", { needs: ["libtop.so"] });
    for (const directory of ["a", "linked/a"]) expect(found("program", trees.path(directory))).toEqual(BY_LINK);
  });

  test("and of a program it is that of its file, by whatever link it is started", () => {
    trees.program("program", { needs: ["libdep.so"], runpath: "$ORIGIN/a:$ORIGIN" });
    symlinkSync("../program", trees.path("b/started"));
    expect(found("b/started")).toEqual(["a/libdep.so"]);
  });
});

test("LD_LIBRARY_PATH has the program's $ORIGIN, also for what its libraries need, and $LIB and $PLATFORM", () => {
  trees.program("program", { needs: ["libfirst.so"] });
  trees.library("c/libfirst.so", { needs: ["libdep.so"] });
  expect(found("program", "$ORIGIN/c:$ORIGIN/a")).toEqual(["c/libfirst.so", "a/libdep.so"]);
  expect(found("program", `\${ORIGIN}/c;\${ORIGIN}/b`)).toEqual(["c/libfirst.so", "b/libdep.so"]);
  const [lib = "", platform = ""] = ["lib/x86_64-linux-gnu", ownPlatform()].map((path) => trees.path(path));
  mkdirSync(dirname(lib));
  symlinkSync("../c", lib);
  symlinkSync("a", platform);
  expect(found("program", `${trees.path("$LIB")}:${trees.path("$PLATFORM")}`)).toEqual([
    "c/libfirst.so",
    "a/libdep.so",
  ]);
});

test("a file is loaded once, by two hard links, or by two directories of which one is a link", () => {
  linkSync(trees.path("a/libdep.so"), trees.path("libsame.so"));
  const paths = ["a/libdep.so", "libsame.so", "linked/a/libdep.so"].map((path) => trees.path(path));
  trees.program("program", { needs: paths });
  expect(found("program")).toEqual(["a/libdep.so"]);
  // a copy is another file
  cpSync(top, trees.path("copy/libtop.so"));
  trees.program("program", { needs: [top, trees.path("copy/libtop.so")], rpath: trees.path("b") });
  expect(found("program")).toEqual(["b/libtop.so", "copy/libtop.so", "b/libdep.so"]);
});

describe("a program is no library:", () => {
  test.each([
    ["cannot dynamically load position-independent executable", "DF_1_PIE", ["-pie"]],
    ["cannot dynamically load executable", "ET_EXEC", ["-no-pie"]],
  ])("ld.so says %s", (theirs, ours, flags) => {
    const needed = trees.path("d/libprogram.so");
    mkdirSync(dirname(needed), { recursive: true });
    const loader = "-Wl,--dynamic-linker=/lib64/ld-linux-x86-64.so.2";
    Bun.spawnSync([
      "cc",
      "-nostdlib",
      "-o",
      needed,
      ...flags,
      "-Wl,-e,0",
      loader,
      "-Wl,--no-as-needed",
      top,
      "-x",
      "c",
      "/dev/null",
    ]);
    const program = trees.program("program", { needs: ["libprogram.so"], runpath: "$ORIGIN/d" });
    expect(byLdSo(program, "")).toContain(theirs);
    expect(byUs(program, "")).toBe(
      `Cannot load "${needed}", which "${program}" needs: it is a program (${ours}), which ld.so loads for nobody; a library is linked with -shared`,
    );
  });
});

describe("what a filter names (ld -f, -F) comes right before the filter:", () => {
  const filter = (path: string, of: readonly string[], needs: string[] = []) =>
    trees.library(path, { needs, filters: of, runpath: "$ORIGIN" });
  const all = () => found("program").map((path) => path.replace("e/lib", "").replace(".so", ""));
  const start = (...needs: string[]) => trees.program("program", { needs, runpath: "$ORIGIN/e" });

  test("with what it needs behind all that was needed before", () => {
    for (const name of ["real", "leaf", "own", "other"]) trees.library(`e/lib${name}.so`);
    trees.library("e/libreal.so", { needs: ["libleaf.so"], runpath: "$ORIGIN" });
    filter("e/libfront.so", ["libreal.so"], ["libown.so"]);
    start("libother.so", "libfront.so");
    expect(all()).toEqual(["other", "real", "front", "own", "leaf"]);
  });

  test("from where it was before, unless that is before the filter", () => {
    start("libfront.so", "libother.so", "libreal.so");
    expect(all()).toEqual(["real", "front", "other", "own", "leaf"]);
    start("libreal.so", "libfront.so");
    expect(all()).toEqual(["real", "front", "leaf", "own"]);
  });

  test("several in their order, and filters of filters", () => {
    filter("e/libdeep.so", ["libfront.so", "libleaf.so", "libmissing.so"]);
    start("libother.so", "libdeep.so");
    expect(all()).toEqual(["other", "real", "front", "leaf", "deep", "own"]);
  });
});
