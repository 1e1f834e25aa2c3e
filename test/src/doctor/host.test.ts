// A host tree as a whole: how much it matters what is wrong there.

import { afterEach, expect, test } from "bun:test";
import { Search } from "../../../lib/tree/search.ts";
import { hostFindings } from "../../../src/doctor/host.ts";
import { Ownership } from "../../../src/plan/ownership.ts";
import { PROFILES } from "../../../src/profiles/profiles.ts";
import { DEFAULT } from "../../../src/settings/source.ts";
import { type Content, SmallTree } from "../../lib/tree/small-tree.ts";
import { complaints } from "./levels.ts";

const trees: SmallTree[] = [];
afterEach(() => {
  for (const tree of trees.splice(0)) tree[Symbol.dispose]();
});

/** What is said of a tree as the host of the profiles gl and vulkan. */
function look(content: Record<string, Content>, version = "2.36"): string[] {
  const [host, runtime] = [new SmallTree(content), new SmallTree()];
  trees.push(host, runtime);
  const [search, other] = [new Search(host.tree), new Search(runtime.tree)];
  const names = ["gl", "vulkan"];
  const choices = new Map(
    names.flatMap((name) => PROFILES[name]?.isolate ?? []).map((soname) => [soname, false] as const),
  );
  const glibc = {
    glibc: undefined,
    isOwn: true,
    isNatural: true,
    version,
    path: "/lib64/libc.so.6",
    whose: "its own",
    others: [],
  };
  const { findings } = hostFindings(
    { search, choices, newest: [], ownership: new Ownership(search, other, []) },
    (soname) => search.find(soname, undefined) !== undefined,
    { profile: { value: names, source: DEFAULT }, profiles: PROFILES },
    { runtime: other, glibc },
  );
  return complaints(findings);
}

const library = (soname: string, ...needed: string[]) => ({ [`/lib64/${soname}`]: { soname, needed } });
const GL = { ...library("libGL.so.1"), ...library("libGLX.so.0") };
const icd = (path: string) => Buffer.from(JSON.stringify({ ICD: { library_path: path } }));
const VULKAN = { ...library("libvulkan.so.1"), "/etc/vulkan/icd.d/x.json": icd("libvulkan_x.so") };

test("a tree with nothing of it hinders", () => {
  expect(look({})).toEqual(["hindrance libraries"]);
});

test("a tree that is whole gives no complaint", () => {
  expect(look({ ...GL, ...library("libGLX_nvidia.so.0"), ...VULKAN, ...library("libvulkan_x.so") })).toEqual([]);
});

test("an isolated library that lacks something hinders", () => {
  const broken = { ...GL, ...library("libGL.so.1", "libgone.so.1"), ...library("libGLX_nvidia.so.0") };
  expect(look(broken)).toEqual(["hindrance libraries"]);
});

test("the only driver that lacks something hinders, one of two may", () => {
  const broken = { ...GL, ...library("libGLX_nvidia.so.0", "libnvidia-glcore.so.535") };
  expect(look(broken)).toEqual(["hindrance drivers"]);
  expect(look({ ...broken, ...library("libGLX_other.so.0") })).toEqual(["warning drivers"]);
});

test("a driver of Vulkan's that lacks something may", () => {
  const vulkan = { ...VULKAN, ...library("libvulkan_x.so", "libLLVM-15.so.1") };
  expect(look({ ...GL, ...library("libGLX_nvidia.so.0"), ...vulkan })).toEqual(["warning drivers"]);
});

test("what several lack is said once", () => {
  const isolated = { ...GL, ...library("libGL.so.1", "libgone.so.1"), ...library("libGLX.so.0", "libgone.so.1") };
  expect(look({ ...isolated, ...library("libGLX_a.so.0") })).toEqual(["hindrance libraries"]);
});
