// A host tree as a whole: how much it matters what is wrong there.

import { afterEach, describe, expect, test } from "bun:test";
import { Search } from "../../../lib/tree/search.ts";
import type { Finding } from "../../../src/doctor/finding.ts";
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
const look = (content: Record<string, Content>, version?: string): string[] => complaints(findingsOf(content, version));

const advice = (content: Record<string, Content>): string | undefined =>
  findingsOf(content).find(({ check }) => check === "host-directories")?.advice;

function findingsOf(content: Record<string, Content>, version = "2.36"): readonly Finding[] {
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
    { search, choices, ownership: new Ownership(search, other, []) },
    (soname) => search.find(soname, undefined) !== undefined,
    { profile: { value: names, source: DEFAULT }, profiles: PROFILES },
    { runtime: other, glibc },
  );
  return findings;
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

describe("a tree like NixOS's", () => {
  const store = { "/nix/store/a-libglvnd-1.7.0/lib/libGL.so.1": { soname: "libGL.so.1" } };
  const older = { "/nix/store/b-libglvnd-1.6.0/lib/libGL.so.1": { soname: "libGL.so.1" } };

  test("has OpenGL somewhere in its store: one is told where", () => {
    expect(look({ ...store, ...older })).toEqual(["hindrance libraries", "warning host-directories"]);
    expect(advice({ ...store, ...older })).toBe(
      "name that directory: --host-libraries /nix/store/a-libglvnd-1.7.0/lib",
    );
  });

  test("has OpenGL in several places: one is told how many", () => {
    const told = (content: Record<string, Content>) =>
      findingsOf(content).find(({ check, level }) => check === "host-directories" && level === "warning")?.text;
    expect(told(store)).toContain('"/nix/store/a-libglvnd-1.7.0/lib", where');
    expect(told({ ...store, ...older })).toContain('"/nix/store/a-libglvnd-1.7.0/lib" (and 1 more like it), where');
  });

  test("that is ordinary besides gives no complaint of that", () => {
    expect(
      look({ ...store, ...GL, ...library("libGLX_nvidia.so.0"), ...VULKAN, ...library("libvulkan_x.so") }),
    ).toEqual([]);
  });
});
