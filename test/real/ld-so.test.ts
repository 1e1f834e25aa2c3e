// Where libraries are found: in the files, and in the order, in which ld.so finds them. All that is installed on this
// machine, and the trees of other releases by their own ld.so, with the tree as its root.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { dependenciesOf } from "../../lib/tree/dependencies.ts";
import { Search } from "../../lib/tree/search.ts";
import { Tree } from "../../lib/tree/tree.ts";
import { DIRECTORIES, filesOf, linkedFiles, listedByLdSo } from "../support/ld-so.ts";
import { tree } from "../support/trees.ts";

setDefaultTimeout(300_000);

const isRoot = process.getuid?.() === 0;

describe("libraries are found as ld.so finds them, of", () => {
  test("this machine's programs and libraries, 300 at least", () => {
    expect(compare(new Tree("/"))).toBeGreaterThan(300);
  });

  for (const suite of ["bullseye", "bookworm", "trixie"] as const)
    test.skipIf(!isRoot)(`the tree of ${suite} (takes root)`, async () => {
      expect(compare(new Tree(await tree(suite)))).toBeGreaterThan(50);
    });
});

/** Returns how many files were compared. */
function compare(of: Tree): number {
  const search = new Search(of);
  const libraries = linkedFiles(of, DIRECTORIES);
  for (const library of libraries) {
    const { nodes, roots } = dependenciesOf(search, library.needed, () => false, { library });
    const paths = filesOf(of, nodes, library);
    const needs = [roots, ...nodes.map((node) => node.needs)].flat();
    const missing = needs.filter((need) => "fault" in need).map(({ name }) => name);
    const listed = listedByLdSo(of, library.path);
    expect({ of: library.path, paths, missing: [...new Set(missing)] }).toEqual({
      of: library.path,
      paths: [...listed.paths],
      missing: [...new Set(listed.missing)],
    });
  }
  return libraries.length;
}
