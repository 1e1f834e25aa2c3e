// Where a host tree has libraries and data beside the usual directories.

import { afterEach, describe, expect, test } from "bun:test";
import { LibraryStore } from "../../../lib/tree/library-store.ts";
import { layoutOf } from "../../../src/plan/layout.ts";
import { NOTHING_FURTHER } from "../../../src/settings/tree-options.ts";
import { type Content, SmallTree } from "../../lib/tree/small-tree.ts";

const trees: SmallTree[] = [];
afterEach(() => {
  for (const tree of trees.splice(0)) tree[Symbol.dispose]();
});

function treeOf(content: Record<string, Content>): SmallTree {
  const tree = new SmallTree(content);
  trees.push(tree);
  return tree;
}
const FILE = new Uint8Array(1);
const look = (tree: SmallTree, further = NOTHING_FURTHER) => layoutOf(tree.tree, further, new LibraryStore());
const vendor = { soname: "libGLX_mesa.so.0" };

describe("without a word of the user's", () => {
  test("an ordinary tree has nothing of the kind", () => {
    const tree = treeOf({ "/usr/lib/libGLX_mesa.so.0": vendor, "/usr/share/drirc.d/a": FILE });
    expect(look(tree)).toEqual({ first: [], last: [], shares: [] });
  });

  test("NixOS's drivers are where its links lead, and what they need is where they look for it", () => {
    const runpath = "/nix/store/libx11/lib:/nix/store/gone/lib:$ORIGIN/../more";
    const tree = treeOf({
      "/run/opengl-driver": "-> /nix/store/drivers",
      "/nix/store/drivers/lib/libGLX_mesa.so.0": "-> /nix/store/mesa/lib/libGLX_mesa.so.0",
      "/nix/store/drivers/share/drirc.d/a": FILE,
      "/nix/store/mesa/lib/libGLX_mesa.so.0": { ...vendor, runpath },
      "/nix/store/mesa/more/a": FILE,
      "/nix/store/libx11/lib/libX11.so.6": { soname: "libX11.so.6" },
    });
    expect(look(tree)).toEqual({
      first: [],
      last: ["/run/opengl-driver/lib", "/nix/store/mesa/lib", "/nix/store/libx11/lib", "/nix/store/mesa/lib/../more"],
      shares: ["/run/opengl-driver/share"],
    });
  });

  test("what is unsound there is no reason not to run", () => {
    const loop = treeOf({ "/run/opengl-driver": "-> /run/opengl-driver" });
    expect(look(loop).last).toEqual([]);
    const outside = treeOf({ "/run/opengl-driver": "-> ../../../../../../../etc" });
    expect(look(outside).last).toEqual([]);
    const damaged = treeOf({
      "/run/opengl-driver/lib/libGLX_mesa.so.0": Uint8Array.of(0x7f, 0x45, 0x4c, 0x46),
      "/run/opengl-driver/lib/libEGL_mesa.so.0": "-> libEGL_mesa.so.0",
      "/run/opengl-driver/share": FILE,
    });
    expect(look(damaged)).toEqual({ first: [], last: ["/run/opengl-driver/lib"], shares: [] });
  });
});

test("of what the user names each host tree has what is there", () => {
  const tree = treeOf({ "/opt/a/lib/x": FILE, "/opt/a/share/x": FILE });
  const further = { libraries: ["/opt/a/lib", "/opt/b/lib", tree.path("/opt/a/lib")], shares: ["/opt/a/share"] };
  expect(look(tree, further)).toEqual({ first: ["/opt/a/lib"], last: [], shares: ["/opt/a/share"] });
});
