// Paths in a tree, as they would be followed if the tree were mounted at /.

import { afterAll, describe, expect, test } from "bun:test";
import { realpathSync } from "node:fs";
import { LinkError } from "../../../lib/link-error.ts";
import { Tree } from "../../../lib/tree/tree.ts";
import { SmallTree } from "./small-tree.ts";

const file = new Uint8Array(1);
const small = new SmallTree({
  "/usr/lib/libred.so.1.2": file,
  "/usr/lib/libred.so.1": "-> libred.so.1.2",
  "/usr/lib/libgreen.so": "-> /usr/lib/libred.so.1",
  "/lib": "-> usr/lib",
  "/lib64": "-> /lib",
  "/usr/share/up": "-> ../lib/libred.so.1",
  "/usr/share/climber": "-> ../../../etc/passwd",
  "/usr/share/just-up": "-> ../../usr/lib",
  "/usr/share/root": "-> /",
  "/usr/share/dots": "-> ./.././lib//libred.so.1/.",
  "/usr/share/nowhere": "-> /no/such/file",
  "/loop/self": "-> self",
  "/loop/one": "-> two",
  "/loop/two": "-> /loop/one",
  "/loop/deeper": "-> deeper/deeper",
  ...Object.fromEntries(Array.from({ length: 41 }, (_, i) => [`/chain/${i}`, i === 0 ? file : `-> ${i - 1}`] as const)),
  "/absolute/../usr/bin/game": file,
});
afterAll(() => small[Symbol.dispose]());
const { tree } = small;
/** A path of this machine as the tree has it, or undefined. */
const resolved = (path: string): string | undefined => {
  const real = tree.resolve(path);
  return real === undefined ? undefined : real.slice(tree.root.length) || "/";
};

describe("resolve()", () => {
  test("gives paths of this machine, without links", () => {
    expect(tree.resolve("/usr/lib/libred.so.1")).toBe(`${realpathSync(small.directory)}/usr/lib/libred.so.1.2`);
  });

  test("follows relative links from where they are, absolute ones from the tree's root", () => {
    for (const path of [
      ...["/usr/lib/libred.so.1", "/usr/lib/libgreen.so", "/lib/libgreen.so", "/lib64/libgreen.so", "/usr/share/up"],
      ...["/usr/share/dots", "/usr/share/just-up/libred.so.1", "/usr/share/root/lib64/libred.so.1"],
    ])
      expect(resolved(path)).toBe("/usr/lib/libred.so.1.2");
  });

  test("takes paths as they are written: without a slash in front, with too many, with dots", () => {
    for (const path of ["usr/lib/libred.so.1", "//usr///lib/libred.so.1/", "/usr/./share/../lib/libred.so.1"])
      expect(resolved(path)).toBe("/usr/lib/libred.so.1.2");
    for (const path of ["", "/", "."]) expect(resolved(path)).toBe("/");
  });

  test("stays in the tree where a path that nobody linked climbs, as the kernel does at /", () => {
    expect(resolved("/../../usr/lib/libred.so.1")).toBe("/usr/lib/libred.so.1.2");
    expect(resolved("/..")).toBe("/");
  });

  test("throws for a link that climbs out, and names the path", () => {
    const climb = () => tree.resolve("/usr/share/climber");
    expect(climb).toThrow(LinkError);
    expect(climb).toThrow(
      `Cannot follow "/usr/share/climber" in "${tree.root}": a symbolic link on its way climbs out of the tree`,
    );
  });

  test("throws for links that loop, and names one of them", () => {
    expect(() => tree.resolve("/loop/self")).toThrow(`the symbolic link "${tree.root}/loop/self" is part of a loop`);
    expect(() => tree.resolve("/loop/one")).toThrow(/the symbolic link ".*\/loop\/(one|two)" is part of a loop/);
    expect(() => tree.resolve("/loop/deeper")).toThrow("is part of a loop");
    // and again, when it is known already
    expect(() => tree.resolve("/loop/self")).toThrow("is part of a loop");
  });

  test("follows as many links as the kernel does, forty", () => {
    expect(resolved("/chain/40")).toBe("/chain/0");
    small.add("/chain/41", "-> 40");
    expect(() => small.tree.resolve("/chain/41")).toThrow("is part of a loop");
  });

  test("is undefined for what is not there", () => {
    for (const path of ["/no", "/usr/lib/no", "/usr/share/nowhere", "/no/../usr/lib", `/${"n".repeat(300)}`])
      expect(resolved(path)).toBeUndefined();
  });

  test("is undefined behind a file, which is no directory", () => {
    expect(resolved("/usr/lib/libred.so.1/x")).toBeUndefined();
    expect(resolved("/usr/lib/libred.so.1.2/x")).toBeUndefined();
    expect(resolved("/usr/share/up/x/y")).toBeUndefined();
  });

  test("never leads out of the tree, whatever the links say", () => {
    const outside = new SmallTree({ "/secret": file });
    using _ = outside;
    small.add("/escape", `-> ${outside.directory}/secret`);
    expect(small.tree.resolve("/escape")).toBeUndefined();
  });
});

describe("the root", () => {
  test("may be a link, or have a slash at its end", () => {
    using other = new SmallTree({ "/link": `-> ${small.directory}` });
    expect(new Tree(`${other.directory}/link/`).root).toBe(tree.root);
  });

  test("of the machine itself is called /, and its own links may climb as the kernel lets them", () => {
    const root = new Tree("/");
    expect([root.root, root.name]).toEqual(["", "/"]);
    expect(root.resolve("/")).toBe("/");
    expect(root.resolve(`${small.directory}/usr/lib/libred.so.1`)).toBe(
      realpathSync(`${small.directory}/usr/lib/libred.so.1`),
    );
    small.add("/far-up", `-> ${"../".repeat(30)}etc`);
    expect(root.resolve(`${small.directory}/far-up`)).toBe(realpathSync("/etc"));
  });

  test("must be there", () => {
    expect(() => new Tree(`${small.directory}/no`)).toThrow("ENOENT");
  });
});

test("holds() and inside() know the tree's own paths, and not those of a directory whose name goes on", () => {
  expect([tree.root, `${tree.root}/usr`].map((path) => tree.holds(path))).toEqual([true, true]);
  expect([`${tree.root}2/usr`, "/", "usr"].map((path) => tree.holds(path))).toEqual([false, false, false]);
  expect([tree.root, `${tree.root}/usr/lib`].map((path) => tree.inside(path))).toEqual(["/", "/usr/lib"]);
});
