// What is opened in place of several libraries, and which names of theirs it has glibc learn.

import { afterAll, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { basename } from "node:path";
import { openImage } from "../../../lib/elf/file.ts";
import type { Closure } from "../../../lib/tree/closure.ts";
import { Trace } from "../../../src/diagnostics/trace.ts";
import type { Capsule, Linkage } from "../../../src/passes/linkage.ts";
import { absentees, isHelper, type Named, together, unnamed } from "../../../src/passes/together.ts";
import { Scratch } from "../../lib/elf/scratch.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

const linked: [name: string, links: ReadonlyMap<string, string>][] = [];
const directory = {
  path: scratch.directory,
  write: (name: string, bytes: Uint8Array) => scratch.write(name, bytes),
  link: (name: string, links: ReadonlyMap<string, string>) => {
    mkdirSync(scratch.path(name));
    linked.push([name, links]);
  },
};
const linkage = { directory, trace: new Trace([]) } as unknown as Linkage;
const capsule = { token: "1" } as unknown as Capsule;

/** The object for these files, as it is written. */
function made(files: readonly Named[]) {
  const path = together(linkage, capsule, files);
  using image = openImage(path);
  const { needed, rpath } = image;
  return { path, needed, rpath };
}

test("it needs the files by their paths, in their order", () => {
  const { path, needed, rpath } = made(unnamed(["/lib/b.so", "/lib/a.so"]));
  expect([needed, rpath, isHelper(path), linked]).toEqual([["/lib/b.so", "/lib/a.so"], undefined, true, []]);
  expect([isHelper("/lib/b.so"), isHelper("/x-together-y/b.so")]).toEqual([false, false]);
});

test("it is the same for the same files, and another for others", () => {
  const lists = [["/lib/a.so"], ["/lib/a.so"], ["/lib/c.so"], ["/lib/a.so", "/lib/c.so"]];
  const [first, again, ...others] = lists.map((paths) => made(unnamed(paths)).path);
  expect(again).toBe(first as string);
  expect(new Set([first, ...others]).size).toBe(3);
});

test("a name that ld.so searches follows its path, and leads there", () => {
  const names = ["libR.so", "sub/libR.so", "$LIB", "..", ".", "libR.so.1"];
  const files = [{ path: "/lib/R.so", names }, ...unnamed(["/lib/b.so"])];
  const { path, needed, rpath } = made(files);
  expect(needed).toEqual(["/lib/R.so", "libR.so", "libR.so.1", "/lib/b.so"]);
  expect(rpath).toBe(`$ORIGIN/${basename(path)}.names`);
  const leading = new Map([
    ["libR.so", "/lib/R.so"],
    ["libR.so.1", "/lib/R.so"],
  ]);
  expect(linked).toEqual([[`${basename(path)}.names`, leading]]);
  expect(made(files).path).toBe(path);
  expect(linked).toHaveLength(1);
});

test("what the tree lacks is an empty object of that soname, unless it is a path", () => {
  const closure = { absent: ["libnone.so.1", "/lib/none.so"] } as unknown as Closure;
  const [absent, ...more] = absentees(linkage, capsule, closure);
  expect([absent?.names, more]).toEqual([[], []]);
  using image = openImage(absent?.path ?? "");
  expect([image.soname, image.needed, isHelper(absent?.path ?? "")]).toEqual(["libnone.so.1", [], true]);
});
