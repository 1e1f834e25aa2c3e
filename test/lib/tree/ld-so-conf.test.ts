import { afterEach, describe, expect, test } from "bun:test";
import { LinkError } from "../../../lib/link-error.ts";
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

describe("a configuration without an end", () => {
  const confOf = (error: string) => expect(error).toContain(`Cannot read "${tree.tree.root}/etc/`);
  const faultOf = (files: Record<string, string>): string => {
    try {
      lay(files);
    } catch (error) {
      if (error instanceof LinkError) return error.message;
      throw error;
    }
    return "none";
  };

  test("has one: a file that is included again has nothing new", () => {
    const itself = "include /etc/ld.so.conf\ninclude ./ld.so.conf\ninclude ../etc//ld.so.conf\n".repeat(12);
    expect(lay({ "/etc/ld.so.conf": `${itself}/one\n` })).toEqual(["/one"]);
    const all = "include /etc/ld.so.conf.d/*.conf\n";
    const others = Array.from({ length: 30 }, (_, i) => [`/etc/ld.so.conf.d/${i}.conf`, `${all}/${i}\n`] as const);
    expect(lay({ "/etc/ld.so.conf": all, ...Object.fromEntries(others) }).length).toBe(30);
  });

  test("is refused, if it goes on from file to file", () => {
    const deep = Array.from({ length: 40 }, (_, i) => [`/etc/${i}.conf`, `include ${i + 1}.conf\n`] as const);
    const fault = faultOf({ "/etc/ld.so.conf": "include 0.conf\n", ...Object.fromEntries(deep) });
    confOf(fault);
    expect(fault).toContain('32.conf": it is included by a file that is included by another, 32 times');
  });

  test("is refused, if it is longer than any", () => {
    const directories = Array.from({ length: 5000 }, (_, i) => `/${i}\n`).join("");
    const fault = faultOf({ "/etc/ld.so.conf": "include more.conf\n", "/etc/more.conf": directories });
    confOf(fault);
    expect(fault).toContain('more.conf": with it, /etc/ld.so.conf has more than 4096 lines, files and names');
    const files = Array.from({ length: 50 }, (_, i) => [`/etc/conf.d/${i}`, ""] as const);
    const patterns = Array.from({ length: 100 }, (_, i) => `include conf.d/*${i}?\n`).join("");
    confOf(faultOf({ "/etc/ld.so.conf": patterns, ...Object.fromEntries(files) }));
    confOf(faultOf({ "/etc/ld.so.conf": " ".repeat(2 ** 20 + 1) }));
  });
});

describe("what is passed over", () => {
  test("is a name with a NUL, and one that no path can be", () => {
    const slashes = "/".repeat(100_000);
    const text = `include /etc/a\0b\n/opt/a\0b\ninclude /${"0".repeat(5000)}/*.conf\n${slashes}x\n/one///\n/\n`;
    expect(lay({ "/etc/ld.so.conf": text })).toEqual(["/opt/a\0b", "/one", "/"]);
    expect(tree.tree.resolve("/opt/a\0b")).toBeUndefined();
  });

  test("is what is no file, in its place or in that of one that it includes", () => {
    expect(lay({ "/etc/ld.so.conf/file": "" })).toEqual([]);
    expect(lay({ "/etc/ld.so.conf": "include more.conf\n/one\n", "/etc/more.conf/file": "" })).toEqual(["/one"]);
  });
});

test("a pattern is glob(3)'s, for which braces are no alternatives", () => {
  const files = Object.fromEntries(["a", "b", "{a,b}", "!c"].map((name) => [`/etc/d/${name}.conf`, `/${name}\n`]));
  const directories = (pattern: string) => lay({ "/etc/ld.so.conf": `include d/${pattern}\n`, ...files });
  expect(directories("[!a].conf")).toEqual(["/b"]);
  expect(directories("!*.conf")).toEqual(["/!c"]);
  expect(directories("{a*b}.con?")).toEqual(["/{a"]);
});

test("a search goes by them where nobody has run ldconfig", () => {
  lay({ "/etc/ld.so.conf": "/opt/lib\n", "/opt/lib/libred.so.1": library({ soname: "libred.so.1" }) });
  const found = new Search(tree.tree).find("libred.so.1", undefined);
  expect(found).toMatchObject({ why: "ld.so.conf", path: `${tree.tree.root}/opt/lib/libred.so.1` });
});
