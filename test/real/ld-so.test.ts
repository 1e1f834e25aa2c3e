// Where libraries are found: in the files, and in the order, in which ld.so finds them. All that is installed on this
// machine, and the trees of other releases by their own ld.so, with the tree as its root.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { realpathSync } from "node:fs";
import { dependenciesOf } from "../../lib/tree/dependencies.ts";
import { Search } from "../../lib/tree/search.ts";
import { Tree } from "../../lib/tree/tree.ts";
import { DIRECTORIES, filesOf, linkedFiles, listedByLdSo } from "../support/ld-so.ts";
import { COMMAND, run } from "../support/run.ts";
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

describe("capsule tree says what ld.so says, of", () => {
  test("this machine's programs and libraries, a sample of them", async () => {
    expect(await compareTree(new Tree("/"), [], SAMPLE)).toBeGreaterThan(SAMPLE / 2);
  });

  for (const suite of ["bullseye", "bookworm", "trixie"] as const)
    test.skipIf(!isRoot)(`the tree of ${suite} as a runtime (takes root)`, async () => {
      const of = new Tree(await tree(suite));
      // On that tree's own glibc, as its ld.so is.
      expect(await compareTree(of, ["--runtime", of.root, "--glibc", "runtime"], SAMPLE)).toBeGreaterThan(SAMPLE / 2);
    });
});

/** How many files, at most. */
const SAMPLE = 40;

interface Said {
  readonly program: { readonly libraries: readonly Listed[] };
  readonly capsules: readonly { readonly libraries: readonly Listed[] }[];
}

interface Listed {
  readonly path: string;
  readonly when: string;
  readonly role: string;
  readonly needs: readonly { readonly name: string; readonly path: string | null }[];
}

/** With the tree itself as the host tree, both sides together have the same files. Returns how many were compared. */
async function compareTree(of: Tree, flags: readonly string[], many: number): Promise<number> {
  const all = linkedFiles(of, DIRECTORIES);
  const every = Math.max(1, Math.floor(all.length / many));
  const sample = all.filter((_, i) => i % every === 0);
  const loader = of.resolve("/lib64/ld-linux-x86-64.so.2");
  for (const { path } of sample) {
    const command = [...COMMAND, "tree", "--json", "--host", of.name];
    const { stdout, stderr } = await run([...command, ...flags, path]);
    expect([path, stderr]).toEqual([path, ""]);
    const { program, capsules }: Said = JSON.parse(stdout);
    const isThere = ({ when }: Listed) => when === "start";
    const libraries = [program, ...capsules].flatMap((side) => side.libraries).filter(isThere);
    const files = new Set(libraries.map((library) => library.path));
    const missing = new Set(libraries.flatMap(({ needs }) => needs.flatMap((need) => (need.path ? [] : need.name))));
    for (const one of [loader, path]) if (one !== undefined) files.delete(one);
    const listed = listedByLdSo(of, path);
    expect({ path, files: [...files].sort(), missing: [...missing].sort() }).toEqual({
      path,
      files: [...new Set(listed.paths)].map((file) => realpathSync(file)).sort(),
      missing: [...new Set(listed.missing)].sort(),
    });
    // Without anything isolated, and without what a capsule is shown, the order is the same, too.
    if (capsules.every((side) => !side.libraries.some(isThere)))
      expect(program.libraries.filter((one) => isThere(one) && files.has(one.path)).map((one) => one.path)).toEqual([
        ...listed.paths,
      ]);
  }
  return sample.length;
}
