import { afterEach, describe, expect, test } from "bun:test";
import { configuredDirectories } from "../../../lib/tree/ld-so-conf.ts";
import { Search } from "../../../lib/tree/search.ts";
import { library, SmallTree } from "./small-tree.ts";

const trees: SmallTree[] = [];
let tree: SmallTree;
const lay = (files: Record<string, string | Uint8Array>): string[] => {
  tree = new SmallTree(Object.fromEntries(Object.entries(files).map(([path, text]) => [path, bytes(text)])));
  trees.push(tree);
  return configuredDirectories(tree.tree);
};
const bytes = (text: string | Uint8Array) => (typeof text === "string" ? new TextEncoder().encode(text) : text);

afterEach(() => {
  for (const one of trees.splice(0)) one[Symbol.dispose]();
});

describe("the directories that ld.so.conf names", () => {
  test("are none where there is no such file, or nothing in it", () => {
    expect(lay({})).toEqual([]);
    expect(lay({ "/etc/ld.so.conf": "# nothing\n\n" })).toEqual([]);
  });

  test("are in its order, each once, without what belongs to other lines", () => {
    const text = "/opt/two/lib/\n/opt/one  # a comment\nhwcap 0 nosegneg\n/opt/two/lib, /opt/three=libc6\trelative\n";
    expect(lay({ "/etc/ld.so.conf": text })).toEqual(["/opt/two/lib", "/opt/one", "/opt/three"]);
  });

  test("are those of the files that it includes, too, where they are included, and by name", () => {
    const files = {
      "/etc/ld.so.conf": "/first\ninclude /etc/ld.so.conf.d/*.conf\ninclude more.conf\n/last\n",
      "/etc/ld.so.conf.d/b.conf": "/b\n",
      "/etc/ld.so.conf.d/a.conf": "/a\n",
      "/etc/ld.so.conf.d/.hidden.conf": "/hidden\n",
      "/etc/ld.so.conf.d/readme": "/readme\n",
      "/etc/more.conf": "/more\n",
    };
    expect(lay(files)).toEqual(["/first", "/a", "/b", "/more", "/last"]);
  });

  test("are found where files include each other, or some that are not there", () => {
    const files = {
      "/etc/ld.so.conf": "/one\ninclude /etc/other.conf /etc/none.conf /none/*.conf\n",
      "/etc/other.conf": "include /etc/ld.so.conf\n/two\n",
    };
    expect(lay(files)).toEqual(["/one", "/two"]);
  });
});

test("a search goes by them where nobody has run ldconfig", () => {
  lay({ "/etc/ld.so.conf": "/opt/lib\n", "/opt/lib/libred.so.1": library({ soname: "libred.so.1" }) });
  const found = new Search(tree.tree).find("libred.so.1", undefined);
  expect(found).toMatchObject({ why: "ld.so.conf", path: `${tree.tree.root}/opt/lib/libred.so.1` });
});
