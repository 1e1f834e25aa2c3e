// A host tree's drivers: found by names and manifests, in whatever state these are.

import { afterEach, describe, expect, test } from "bun:test";
import { Search } from "../../../lib/tree/search.ts";
import { driverFindings } from "../../../src/doctor/drivers.ts";
import { type Content, SmallTree } from "../../lib/tree/small-tree.ts";
import { complaints, textOf } from "./levels.ts";

const trees: SmallTree[] = [];
afterEach(() => {
  for (const tree of trees.splice(0)) tree[Symbol.dispose]();
});

function treeOf(content: Record<string, Content>): SmallTree {
  const tree = new SmallTree(content);
  trees.push(tree);
  return tree;
}
const look = (tree: SmallTree, profiles: string[], asked: string[] = []) =>
  driverFindings(new Search(tree.tree), profiles, new Set(asked));

const library = (soname: string) => ({ [`/lib64/${soname}`]: { soname } });
const json = (value: unknown) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value));
const icd = (path: string) => json({ file_format_version: "1.0.0", ICD: { library_path: path, api_version: "1.3" } });

describe("OpenGL's", () => {
  test("without glvnd there is nothing to look for", () => {
    expect(look(treeOf({}), ["gl"]).findings).toEqual([]);
  });

  test("glvnd wants a vendor", () => {
    expect(complaints(look(treeOf(library("libGLX.so.0")), ["gl"]).findings)).toEqual(["warning glvnd"]);
    expect(complaints(look(treeOf(library("libGLX.so.0")), ["gl"], ["gl"]).findings)).toEqual(["hindrance glvnd"]);
    const tree = treeOf({ ...library("libGLX.so.0"), ...library("libGLX_nvidia.so.0") });
    const { findings, alternatives } = look(tree, ["gl"]);
    expect(complaints(findings)).toEqual([]);
    expect(alternatives).toEqual([[tree.path("/lib64/libGLX_nvidia.so.0")]]);
  });

  test("Mesa's libraries want one of Mesa's drivers", () => {
    const mesa = { ...library("libGLX.so.0"), ...library("libGLX_mesa.so.0") };
    expect(complaints(look(treeOf(mesa), ["gl"]).findings)).toEqual(["hindrance dri"]);
    const swrast = { "/lib64/dri/swrast_dri.so": { soname: "swrast_dri.so" } };
    expect(complaints(look(treeOf({ ...mesa, ...swrast }), ["gl"]).findings)).toEqual([]);
    const gallium = library("libgallium-25.0.7.so");
    expect(complaints(look(treeOf({ ...mesa, ...gallium }), ["gl"]).findings)).toEqual([]);
  });

  test("a driver that leads to nothing is named", () => {
    const tree = treeOf({
      ...library("libGLX_mesa.so.0"),
      "/lib64/dri/swrast_dri.so": { soname: "swrast_dri.so" },
      "/lib64/dri/iris_dri.so": "-> libdril_dri.so",
      "/lib64/gbm/dri_gbm.so": "-> /lib64/no/such.so",
    });
    const { findings } = look(tree, ["gl"]);
    expect(complaints(findings)).toEqual(["warning dri", "warning gbm"]);
  });
});

describe("a manifest", () => {
  const VULKAN = library("libvulkan.so.1");
  const at = (name: string) => `/usr/share/vulkan/icd.d/${name}.json`;

  test("names a library by soname, by a path in the tree, or beside itself", () => {
    const tree = treeOf({
      ...VULKAN,
      ...library("libvulkan_radeon.so"),
      [at("a")]: icd("libvulkan_radeon.so"),
      [at("b")]: icd("/lib64/libvulkan_radeon.so"),
      [at("c")]: icd("../../../../lib64/libvulkan_radeon.so"),
      "/etc/vulkan/icd.d/d.json": `-> ${at("a")}`,
    });
    const { findings, others } = look(tree, ["vulkan"]);
    expect(complaints(findings)).toEqual([]);
    expect([...new Set(others)]).toEqual([tree.path("/lib64/libvulkan_radeon.so")]);
    expect(textOf(findings, "vulkan-driver")).toBe("Vulkan's drivers: d, a, b, c");
  });

  test("of 32 bits is not for us, and no fault", () => {
    const tree = treeOf({
      ...VULKAN,
      ...library("libvulkan_lvp.so"),
      "/lib/i386/libvulkan_lvp.so": { soname: "libvulkan_lvp.so", elfClass: 1, machine: 3 },
      [at("lvp")]: icd("libvulkan_lvp.so"),
      [at("lvp32")]: icd("/lib/i386/libvulkan_lvp.so"),
    });
    const { findings } = look(tree, ["vulkan"]);
    expect(complaints(findings)).toEqual([]);
    expect(textOf(findings, "vulkan-driver")).toBe("Vulkan's drivers: lvp");
  });

  const broken: [string, Content, string][] = [
    ["is cut off", json('{"ICD": {"library_'), "is not JSON"],
    ["is empty", json(""), "is not JSON"],
    ["is null", json("null"), "names no library"],
    ["names nothing", json({ ICD: {} }), "names no library"],
    ["names a number", json({ ICD: { library_path: 7 } }), "names no library"],
    ["names what is not there", icd("libvulkan_gone.so"), 'names "libvulkan_gone.so", which'],
    ["leads to nothing", "-> gone.json", "is a link that leads to nothing"],
    ["leads in a circle", "-> bad.json", "is a link that leads to nothing"],
    ["leads out of the tree", "-> ../../../../../../../../etc/passwd", "is a link that leads to nothing"],
  ];
  test.each(broken)("that %s is named", (_, content, text) => {
    const { findings } = look(treeOf({ ...VULKAN, [at("bad")]: content }), ["vulkan"]);
    expect(complaints(findings)).toEqual(["warning vulkan-driver", "warning vulkan-driver"]);
    expect(findings[0]?.text).toContain(text);
  });

  test("that is a FIFO is not waited for", () => {
    const tree = treeOf({ ...VULKAN, [at("good")]: json("") });
    expect(Bun.spawnSync(["mkfifo", tree.path(at("pipe"))]).success).toBe(true);
    expect(complaints(look(tree, ["vulkan"]).findings)).toContain("warning vulkan-driver");
  });

  test("of EGL's is wanted where glvnd is", () => {
    const vendor = library("libEGL_mesa.so.0");
    const swrast = { "/lib64/dri/swrast_dri.so": { soname: "swrast_dri.so" } };
    expect(complaints(look(treeOf({ ...vendor, ...swrast }), ["egl"]).findings)).toEqual(["warning egl-vendor"]);
    const manifest = { "/usr/share/glvnd/egl_vendor.d/50_mesa.json": icd("libEGL_mesa.so.0") };
    expect(complaints(look(treeOf({ ...vendor, ...swrast, ...manifest }), ["egl"]).findings)).toEqual([]);
  });
});
