// Entries are put into a folder all together, or not at all.

import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Entry, putAll } from "../../lib/own-files.ts";

const directory = mkdtempSync(join(tmpdir(), "capsule-test-entries-"));
afterAll(() => rmSync(directory, { recursive: true }));

let count = 0;
const fresh = (): string => join(directory, `${count++}`);

/** All that is in a folder: texts, and links as "-> target". */
function contentOf(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
  const of = (path: string) => {
    const stat = lstatSync(path);
    return stat.isSymbolicLink() ? `-> ${readlinkSync(path)}` : stat.isDirectory() ? "/" : readFileSync(path, "utf8");
  };
  return Object.fromEntries(names.map((name) => [name, of(join(folder, name))]));
}

const source = join(directory, "source");
writeFileSync(source, "bytes".repeat(1_000_000));
chmodSync(source, 0o755);

const ALL: Entry[] = [
  { name: "one", link: "/somewhere/one" },
  { name: "sub/two", copyOf: source },
  { name: "sub/deep/three", text: "text" },
];

test("links, copies and texts are there, in folders, and readable for everybody", () => {
  const folder = fresh();
  const umask = process.umask(0o077);
  const changes = putAll(folder, ALL);
  process.umask(umask);
  expect(changes).toEqual({ made: ["one", "sub/two", "sub/deep/three"], replaced: [], kept: [] });
  expect(contentOf(folder)).toEqual({
    one: "-> /somewhere/one",
    sub: "/",
    "sub/deep": "/",
    "sub/deep/three": "text",
    "sub/two": readFileSync(source, "utf8"),
  });
  const modeOf = (name: string) => lstatSync(join(folder, name)).mode & 0o777;
  expect(["", "sub", "sub/two", "sub/deep/three"].map(modeOf)).toEqual([0o755, 0o755, 0o755, 0o644]);
});

test("the second time, only what is different is touched, and nothing that has another name", () => {
  const folder = fresh();
  putAll(folder, ALL);
  writeFileSync(join(folder, "mine"), "my own");
  const inode = (name: string) => lstatSync(join(folder, name)).ino;
  const before = [inode("one"), inode("sub/two"), inode("sub/deep/three")];
  expect(putAll(folder, ALL).kept).toEqual(["one", "sub/two", "sub/deep/three"]);
  expect([inode("one"), inode("sub/two"), inode("sub/deep/three")]).toEqual(before);
  const other: Entry[] = [{ name: "one", link: "/elsewhere/one" }, ...ALL.slice(1)];
  expect(putAll(folder, other)).toEqual({ made: [], replaced: ["one"], kept: ["sub/two", "sub/deep/three"] });
  expect(readlinkSync(join(folder, "one"))).toBe("/elsewhere/one");
  expect(readFileSync(join(folder, "mine"), "utf8")).toBe("my own");
});

test("a copy is made anew if a byte or the mode is another", () => {
  const folder = fresh();
  const entry: Entry[] = [{ name: "two", copyOf: source }];
  putAll(folder, entry);
  const path = join(folder, "two");
  const text = readFileSync(path, "utf8");
  for (const spoil of [() => writeFileSync(path, text.replace(/.$/, "!")), () => chmodSync(path, 0o600)]) {
    spoil();
    expect(putAll(folder, entry).replaced).toEqual(["two"]);
  }
  expect(readFileSync(path, "utf8")).toBe(text);
});

test("what a killed run has left is removed, once it surely is left", () => {
  const folder = fresh();
  putAll(folder, []);
  const names = [".capsule-aBc123", ".capsule-xyz987", ".capsule-longer-name", ".other-aBc123"];
  for (const name of names) {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, "0"), "");
    if (name !== ".capsule-xyz987") utimesSync(join(folder, name), 1, 1);
  }
  putAll(folder, ALL.slice(0, 1));
  expect(readdirSync(folder).sort()).toEqual([...names.slice(1), "one"].sort());
});

describe("if one cannot be put there, the folder is as it was:", () => {
  /** What is in the way, and of what. */
  const cases: Record<string, [spoil: (folder: string) => void, entries: Entry[], RegExp]> = {
    "a file where a link is to be": [
      (folder) => writeFileSync(join(folder, "link"), "mine"),
      [...ALL, { name: "link", link: "/x" }],
      /a file that is no symbolic link/,
    ],
    "a directory": [
      (folder) => mkdirSync(join(folder, "link")),
      [...ALL, { name: "link", link: "/x" }],
      /a directory of that name is there/,
    ],
    "a file where a folder is to be": [
      (folder) => writeFileSync(join(folder, "sub"), "mine"),
      ALL,
      /ENOTDIR|not a directory/i,
    ],
    "a source that is gone": [() => {}, [...ALL, { name: "last", copyOf: "/nonexistent" }], /ENOENT/],
    "a source that is no file": [() => {}, [...ALL, { name: "last", copyOf: "/dev/zero" }], /not a regular file/],
    "a name that is too long": [() => {}, [...ALL, { name: "x".repeat(300), link: "/x" }], /ENAMETOOLONG/],
    // Renaming fails, after others have their names.
    "a name that another one has as a folder": [
      () => {},
      [...ALL, { name: "clash/x", text: "" }, { name: "clash", link: "/x" }],
      /./,
    ],
  };
  test.each(Object.entries(cases))("%s", (_, [spoil, entries, message]) => {
    const folder = fresh();
    mkdirSync(folder);
    symlinkSync("/former", join(folder, "one"));
    spoil(folder);
    const before = contentOf(folder);
    expect(() => putAll(folder, entries)).toThrow(message);
    expect(contentOf(folder)).toEqual(before);
  });

  test("and one that was not there is not there", () => {
    const folder = fresh();
    expect(() => putAll(folder, [...ALL, { name: "last", copyOf: "/nonexistent" }])).toThrow();
    expect(existsSync(folder)).toBe(false);
    expect(() => putAll(join(folder, "deeper"), ALL)).toThrow(/ENOENT/);
  });
});
