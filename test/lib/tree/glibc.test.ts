// The glibc of a tree: this machine's, whole, and with files that are not its own.

import { afterEach, describe, expect, test } from "bun:test";
import { readFileSync, realpathSync } from "node:fs";
import { basename } from "node:path";
import { LinkError } from "../../../lib/link-error.ts";
import { Glibc } from "../../../lib/tree/glibc.ts";
import { LOADER } from "../../../lib/tree/glibc-names.ts";
import { PLAIN } from "../../../lib/tree/layout.ts";
import { Search } from "../../../lib/tree/search.ts";
import { Tree } from "../../../lib/tree/tree.ts";
import { replaced } from "../../support/own-glibc.ts";
import { type Content, SmallTree } from "./small-tree.ts";

const LIBRARIES = "/usr/lib/x86_64-linux-gnu";
const USUAL_LOADER = `/lib64/${LOADER}`;
const own = Glibc.of(new Search(new Tree("/")));
if (!own) throw new Error("This machine has no glibc");
const [libc, loader] = [own.libc.path, own.loader].map((path) => readFileSync(path)) as [Buffer, Buffer];
const release = own.libc.release ?? "";

const trees: SmallTree[] = [];
afterEach(() => {
  for (const tree of trees.splice(0)) tree[Symbol.dispose]();
});

const COMPLETE = { [`${LIBRARIES}/libc.so.6`]: libc, [USUAL_LOADER]: loader };

function glibcWith(content: Readonly<Record<string, Content>>, ...first: string[]): Glibc | undefined {
  const tree = new SmallTree(content);
  trees.push(tree);
  return Glibc.of(new Search(tree.tree, [], undefined, undefined, { ...PLAIN, first }));
}

const mustHave = (content: Readonly<Record<string, Content>>): Glibc => glibcWith(content) ?? expect.unreachable();

/** What it says of a tree whose ld.so cannot be used. */
function refusal(content: Readonly<Record<string, Content>>): string {
  const glibc = mustHave(content);
  try {
    return `none: ${glibc.loader}`;
  } catch (error) {
    if (error instanceof LinkError) return error.message;
    throw error;
  }
}

test("a tree without libc has none", () => expect(glibcWith({ [USUAL_LOADER]: loader })).toBeUndefined());

test("it has its release, and the files of its family", () => {
  const glibc = mustHave({
    ...COMPLETE,
    [`${LIBRARIES}/libm.so.6`]: { soname: "libm.so.6" },
    [`${LIBRARIES}/libred.so.1`]: { soname: "libred.so.1" },
    // A module of another project, as it needs nothing private of libc.
    [`${LIBRARIES}/libnss_red.so.2`]: { soname: "libnss_red.so.2" },
  });
  expect(glibc.name).toBe(release);
  expect([...glibc.family.keys()]).toEqual([LOADER, "libc.so.6", "libm.so.6"]);
  expect(basename(glibc.find("libm.so.6") ?? "")).toBe("libm.so.6");
  expect([glibc.find("libred.so.1"), glibc.find("libutil.so.1")]).toEqual([undefined, undefined]);
});

test("its version is its release, or the newest that it defines if that is newer or all", () => {
  const banner = `release version ${release}`;
  const named = (said: string) => mustHave({ ...COMPLETE, [`${LIBRARIES}/libc.so.6`]: replaced(libc, banner, said) });
  expect(named(`release version 9${release.slice(1)}`).name).toBe(`9${release.slice(1)}`);
  const [defined, older] = [named(`release versiom ${release}`), named(`release version 1${release.slice(1)}`)];
  expect(defined.version[0]).toBe(2);
  expect(older.name).toBe(defined.name);
});

describe("its ld.so", () => {
  test("is where libc says, or beside libc in a tree without system directories", () => {
    const said = mustHave(COMPLETE);
    expect(said.search.tree.inside(said.loader)).toBe(USUAL_LOADER);
    const flat = glibcWith({ "/store/libc.so.6": libc, [`/store/${LOADER}`]: loader }, "/store");
    expect(flat?.search.tree.inside(flat.loader)).toBe(`/store/${LOADER}`);
  });

  test.each<[string, Readonly<Record<string, Content>>, RegExp]>([
    ["is not there", {}, /needs the ld\.so ".*\/lib64\/ld-linux-x86-64\.so\.2": there is none$/],
    ["is a link to nothing", { [USUAL_LOADER]: "-> /none" }, /: it is a symbolic link that leads to nothing$/],
    [
      "is of another release",
      { [USUAL_LOADER]: replaced(loader, `release version ${release}`, `release version 9${release.slice(1)}`) },
      /is of glibc 2\.\d+, and ".*" of 9\.\d+$/,
    ],
    [
      "lacks a version that libc needs",
      { [USUAL_LOADER]: replaced(loader, "GLIBC_PRIVATE\0", "GLIBC_PRIVATF\0") },
      /is of glibc/,
    ],
    [
      "lacks a symbol that libc needs",
      { [USUAL_LOADER]: replaced(loader, "\0_rtld_global\0", "\0_rtld_globam\0") },
      /is of glibc/,
    ],
  ])("is refused if it %s", (_, content, reason) => {
    expect(refusal({ [`${LIBRARIES}/libc.so.6`]: libc, ...content })).toMatch(reason);
  });

  test("is asked for an option by its text", () => {
    const glibc = mustHave(COMPLETE);
    expect([glibc.loaderSays("--library-path"), glibc.loaderSays("--library-bath")]).toEqual([true, false]);
  });
});

test("its character sets are where libc says, if the tree has them", () => {
  const path = own.libc.gconv ?? "";
  expect(mustHave(COMPLETE).characterSets).toBeUndefined();
  const glibc = mustHave({ ...COMPLETE, [`${path}/gconv-modules`]: new Uint8Array(1) });
  expect(glibc.characterSets).toBe(realpathSync(glibc.search.tree.root + path));
});
