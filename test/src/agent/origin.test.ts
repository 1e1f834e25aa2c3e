// What $ORIGIN is for a library of a capsule when it opens another one.

import { afterAll, expect, test } from "bun:test";
import { Search } from "../../../lib/tree/search.ts";
import { Ownership } from "../../../src/plan/ownership.ts";
import { originIn } from "../../../src/server/answers.ts";
import { SmallTree } from "../../lib/tree/small-tree.ts";

const tree = new SmallTree({
  "/usr/lib/libred.so.1": { soname: "libred.so.1", needed: ["libblue.so.1", "libgone.so.1"] },
  "/usr/lib/libblue.so.1": "-> /opt/blue/libblue.so.1",
  "/opt/blue/libblue.so.1": { soname: "libblue.so.1", runpath: "$ORIGIN/plugins" },
  "/opt/blue/libplain.so.1": { soname: "libplain.so.1", runpath: "/opt/plugins" },
});
afterAll(() => tree[Symbol.dispose]());

const search = new Search(tree.tree);
const ownership = new Ownership(search, new Search(tree.tree), []);
const capsule = { search, ownership, isolated: ["libred.so.1"], promised: [], environment: [], hooks: [], ahead: [] };
const origin = (path: string, file: string, directory?: string) => {
  expect(originIn(capsule, search.libraryAt(`${search.tree.root}${path}`), file)).toBe(
    directory === undefined ? undefined : `${search.tree.root}${directory}`,
  );
};

test("of one that it has needed from its start: the directory in which that was found, not that of its file", () => {
  origin("/opt/blue/libblue.so.1", "plugin.so", "/usr/lib");
  origin("/usr/lib/libred.so.1", "$ORIGIN/plugins/plugin.so", "/usr/lib");
});

test("of others it is not known, and nobody looks where it is not asked for", () => {
  origin("/opt/blue/libplain.so.1", "$ORIGIN/plugin.so");
  origin("/opt/blue/libplain.so.1", "plugin.so");
  origin("/usr/lib/libred.so.1", "plugin.so");
});
