import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { LdSoCache } from "../../../lib/tree/ld-so-cache.ts";
import { run } from "../elf/scratch.ts";
import { bothCaches, type Entry, I386, newCache, oldCache, sorted } from "./cache-bytes.ts";
import { SmallTree } from "./small-tree.ts";

const LDCONFIG = ["/usr/sbin/ldconfig", "/sbin/ldconfig"].find(existsSync);

/** What `ldconfig -p` prints, by soname, in its order. */
function printed(...options: string[]): Map<string, { path: string; hwcap: string | undefined }[]> {
  const row = /^\t(\S+) \(libc6,x86-64((?:, [^)]*)?)\) => (.*)$/gm;
  const found = new Map<string, { path: string; hwcap: string | undefined }[]>();
  for (const [, soname = "", more = "", path = ""] of run([LDCONFIG ?? "", ...options, "-p"]).matchAll(row)) {
    const entries = found.get(soname) ?? [];
    entries.push({ path, hwcap: /hwcap: "(.*?)"/.exec(more)?.[1] });
    found.set(soname, entries);
  }
  return found;
}

const parse = (bytes: Uint8Array): LdSoCache => {
  const cache = LdSoCache.parse(bytes);
  if (!cache) throw new Error("It is no cache");
  return cache;
};
const pathsOf = (cache: LdSoCache, soname: string): string[] => cache.find(soname).map(({ path }) => path);

const isHere = LDCONFIG !== undefined && existsSync("/etc/ld.so.cache");
describe.skipIf(!isHere)(`the cache of this machine${isHere ? "" : " (it has none, or no ldconfig)"}`, () => {
  test("has every library that ldconfig finds in it, in its order, and no other", () => {
    const cache = parse(readFileSync("/etc/ld.so.cache"));
    const theirs = printed();
    expect(theirs.size).toBeGreaterThan(20);
    for (const [soname, entries] of theirs) expect(cache.find(soname)).toEqual(entries);
    expect([...cache.sonames]).toEqual([...theirs.keys()]);
    for (const soname of theirs.keys())
      for (const other of [`${soname}x`, soname.slice(0, -1), `a${soname}`, soname.toUpperCase()])
        expect(pathsOf(cache, other)).toEqual(theirs.get(other)?.map(({ path }) => path) ?? []);
  });
});

// -r changes the root, which takes its rights.
const canWrite = LDCONFIG !== undefined && process.getuid?.() === 0;
describe.skipIf(!canWrite)(
  `caches that ldconfig writes${canWrite ? "" : " (it is not here, or we are not root)"}`,
  () => {
    const names = [
      ...["libred.so.1", "libred.so.2", "libred.so.10", "libred-2.so", "libred.so", "libred1.so.0", "libred10.so.0"],
      ...["libred+.so.1", "libRed.so.1", "ld-red.so.2", "libżółć.so.1", "libred_.so.3", "libred.so.1a"],
    ];

    for (const format of ["old", "new", "compat"])
      test(`in the format "${format}": each library is found, and nothing else`, () => {
        using tree = new SmallTree({ "/etc/ld.so.conf": new TextEncoder().encode("/opt/lib\n") });
        for (const soname of names)
          for (const place of ["/opt/lib", "/lib"]) tree.add(`${place}/${soname}`, { soname });
        run([LDCONFIG ?? "", "-r", tree.directory, "-X", "-c", format]);
        const cache = parse(readFileSync(tree.path("/etc/ld.so.cache")));
        const theirs = printed("-r", tree.directory);
        expect([...theirs.keys()].sort()).toEqual(names.toSorted());
        for (const soname of names) expect(cache.find(soname)).toEqual(theirs.get(soname) ?? []);
        for (const soname of ["libred.so.3", "libred.so.100", "lib", "", "zzz", "libred.so.1b"])
          expect(cache.find(soname)).toEqual([]);
      });

    test("with glibc-hwcaps: each entry with the name of its directory", () => {
      using tree = new SmallTree({ "/etc/ld.so.conf": new Uint8Array(0) });
      for (const directory of ["", "/glibc-hwcaps/x86-64-v2", "/glibc-hwcaps/x86-64-v3", "/glibc-hwcaps/x86-64-v4"])
        tree.add(`/lib${directory}/libred.so.1`, { soname: "libred.so.1" });
      run([LDCONFIG ?? "", "-r", tree.directory, "-X"]);
      const entries = parse(readFileSync(tree.path("/etc/ld.so.cache"))).find("libred.so.1");
      expect(entries).toEqual(printed("-r", tree.directory).get("libred.so.1") ?? []);
      expect(entries.map(({ hwcap }) => hwcap).toSorted()).toEqual(["x86-64-v2", "x86-64-v3", "x86-64-v4", undefined]);
    });
  },
);

const entries = sorted([
  { soname: "libred.so.1", path: "/lib/libred.so.1" },
  { soname: "libred.so.1", path: "/usr/lib/libred.so.1" },
  { soname: "libred.so.9", path: "/lib/libred.so.9" },
  { soname: "libred.so.10", path: "/lib/libred.so.10" },
  { soname: "libgreen.so.2", path: "/opt/libgreen.so.2" },
]);
const caches: Record<string, (entries: readonly Entry[]) => Uint8Array> = {
  old: (entries) => oldCache(entries),
  new: (entries) => newCache(entries),
  both: (entries) => bothCaches(entries, entries),
};

describe.each(Object.entries(caches))("the %s format, by hand", (_, write) => {
  test("finds all entries of a soname, in the cache's order", () => {
    const cache = parse(write(entries));
    expect(pathsOf(cache, "libred.so.1")).toEqual(["/lib/libred.so.1", "/usr/lib/libred.so.1"]);
    expect(pathsOf(cache, "libred.so.9")).toEqual(["/lib/libred.so.9"]);
    expect(pathsOf(cache, "libred.so.10")).toEqual(["/lib/libred.so.10"]);
    expect(pathsOf(cache, "libgreen.so.2")).toEqual(["/opt/libgreen.so.2"]);
    expect(pathsOf(cache, "libblue.so.3")).toEqual([]);
  });

  test("passes over what is for another machine", () => {
    const mixed: Entry[] = [
      { soname: "libred.so.1", path: "/lib32/libred.so.1", flags: I386 },
      { soname: "libred.so.1", path: "/lib/libred.so.1" },
    ];
    expect(pathsOf(parse(write(mixed)), "libred.so.1")).toEqual(["/lib/libred.so.1"]);
  });

  test("may be empty", () => {
    expect(pathsOf(parse(write([])), "libred.so.1")).toEqual([]);
  });

  test("may have thousands of entries", () => {
    const many = sorted(Array.from({ length: 3000 }, (_, i) => ({ soname: `lib${i}.so.${i % 7}`, path: `/lib/${i}` })));
    const cache = parse(write(many));
    for (const { soname, path } of many) expect(pathsOf(cache, soname)).toEqual([path]);
    expect(pathsOf(cache, "lib3000.so.0")).toEqual([]);
  });

  test("cut off anywhere, or with any byte changed, is read as far as it goes", () => {
    const whole = write(entries);
    const sonames = [...new Set(entries.map(({ soname }) => soname)), "", "libblue.so.3"];
    const look = (bytes: Uint8Array) => {
      const cache = LdSoCache.parse(bytes);
      for (const soname of sonames) for (const { path } of cache?.find(soname) ?? []) expect(path).toBeString();
    };
    for (let length = 0; length < whole.length; length++) look(whole.slice(0, length));
    for (let at = 0; at < whole.length; at++)
      for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
        const damaged = whole.slice();
        damaged[at] = value;
        look(damaged);
        // all four bytes of a field
        damaged.fill(value, at - (at % 4), at - (at % 4) + 4);
        look(damaged);
      }
  });

  test("is read from any part of a buffer", () => {
    const bytes = write(entries);
    const buffer = new Uint8Array(bytes.length + 13);
    buffer.set(bytes, 13);
    expect(pathsOf(parse(buffer.subarray(13)), "libred.so.9")).toEqual(["/lib/libred.so.9"]);
  });
});

test("where both formats are there the new one counts", () => {
  const [old, other] = ["/old", "/new"].map((path) => [{ soname: "libred.so.1", path }]);
  for (const count of [0, 1, 2, 3]) {
    // an odd number of entries leaves a gap between the formats
    const first = [...(old ?? []), ...entries].slice(0, count);
    expect(pathsOf(parse(bothCaches(first, other ?? [])), "libred.so.1")).toEqual(["/new"]);
  }
});

describe("glibc-hwcaps", () => {
  const EXTENSION = 1n << 62n;
  const hwcaps = ["x86-64-v2", "x86-64-v3"];
  const levels: Entry[] = [
    { soname: "libred.so.1", path: "/lib/glibc-hwcaps/x86-64-v3/libred.so.1", hwcap: EXTENSION | 1n },
    { soname: "libred.so.1", path: "/lib/glibc-hwcaps/x86-64-v2/libred.so.1", hwcap: EXTENSION },
    { soname: "libred.so.1", path: "/lib/libred.so.1" },
  ];

  test("entries have the name of the directory that they are in", () => {
    expect(parse(newCache(levels, { hwcaps })).find("libred.so.1")).toEqual([
      { path: "/lib/glibc-hwcaps/x86-64-v3/libred.so.1", hwcap: "x86-64-v3" },
      { path: "/lib/glibc-hwcaps/x86-64-v2/libred.so.1", hwcap: "x86-64-v2" },
      { path: "/lib/libred.so.1", hwcap: undefined },
    ]);
  });

  test("an index beyond the list, or no list, is a directory that nobody knows", () => {
    const names = (bytes: Uint8Array) =>
      parse(bytes)
        .find("libred.so.1")
        .map(({ hwcap }) => hwcap);
    expect(names(newCache(levels, { hwcaps: ["x86-64-v2"] }))).toEqual(["unknown", "x86-64-v2", undefined]);
    expect(names(newCache(levels))).toEqual(["unknown", "unknown", undefined]);
  });

  test("the older way, a bit for each platform, is passed over", () => {
    const old: Entry[] = [{ soname: "libred.so.1", path: "/lib/haswell/libred.so.1", hwcap: 1n << 48n }, ...levels];
    expect(pathsOf(parse(newCache(old, { hwcaps })), "libred.so.1")).toEqual(levels.map(({ path }) => path));
  });

  test("a list that is cut off or damaged anywhere throws nothing", () => {
    const whole = newCache(levels, { hwcaps });
    for (let length = 0; length < whole.length; length++) LdSoCache.parse(whole.slice(0, length))?.find("libred.so.1");
    for (let at = 20; at < whole.length; at += 4)
      for (const value of [0, 0x7f, 0xff]) {
        const damaged = whole.slice().fill(value, at, at + 4);
        expect(LdSoCache.parse(damaged)?.find("libred.so.1").length).toBeLessThanOrEqual(3);
      }
  });
});

test("numbers are compared as numbers: 01 is 1, as for ld.so", () => {
  const cache = parse(newCache([{ soname: "libred.so.01", path: "/lib/libred.so.01" }]));
  expect(pathsOf(cache, "libred.so.1")).toEqual(["/lib/libred.so.01"]);
  expect(pathsOf(cache, "libred.so.10")).toEqual([]);
});

test("a name is not followed without an end, nor are more libraries found than one can have", () => {
  const many = Array.from({ length: 3000 }, (_, i) => ({ soname: "libred.so.1", path: `/${i}/libred.so.1` }));
  expect(pathsOf(parse(newCache(many)), "libred.so.1").length).toBe(1024);
  const cache = parse(newCache([{ soname: `libred.so.${"0".repeat(5000)}1`, path: "/lib/libred.so.1" }]));
  expect(pathsOf(cache, "libred.so.1")).toEqual([]);
  expect(pathsOf(parse(newCache([{ soname: "libred.so.1", path: `/${"a".repeat(5000)}` }])), "libred.so.1")).toEqual(
    [],
  );
});

test("other bytes are no cache", () => {
  for (const text of [
    "",
    "l",
    "ld.so-1.6.0\0\0\0\0\0",
    "glibc-ld.so.cache1.0".padEnd(60, "\0"),
    "\x7fELF".padEnd(100, "\0"),
  ])
    expect(LdSoCache.parse(new TextEncoder().encode(text))).toBeUndefined();
});
