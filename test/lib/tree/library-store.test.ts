// What is kept of library files from run to run: never more than a hint, and never wrong.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chownSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { ElfError } from "../../../lib/elf/error.ts";
import { LibraryStore } from "../../../lib/tree/library-store.ts";
import { library, SmallTree } from "./small-tree.ts";

let tree: SmallTree;
let file: string;
let kept: string;
beforeEach(() => {
  tree = new SmallTree({ "/libred.so.1": { soname: "libred.so.1" } });
  file = tree.path("/libred.so.1");
  kept = tree.path("/cache/below/store.json");
});
afterEach(() => tree[Symbol.dispose]());

/** Has one run read the library and keep what it has learned. */
function learn(): void {
  const store = new LibraryStore(kept);
  store.read(file);
  expect(store.save()).toBeUndefined();
}

describe("what one run has learned", () => {
  test("the next one knows, without a look into the file", () => {
    learn();
    expect(new LibraryStore(kept).known(file)?.library).toEqual(new LibraryStore().read(file));
  });

  test("whoever wants to know is told of each file before it is read, and of no other", () => {
    const told: string[] = [];
    const store = () => new LibraryStore(kept, (path) => told.push(path));
    const first = store();
    first.read(file);
    first.read(file);
    first.save();
    expect(told).toEqual([file]);
    store().read(file);
    expect(told).toEqual([file]);
  });

  test("is forgotten when the file is another, in size or in time", () => {
    learn();
    const { atimeMs } = statSync(file);
    writeFileSync(file, library({ soname: "libgreen.so.1", comment: "longer" }));
    expect(new LibraryStore(kept).known(file)).toBeUndefined();
    expect(new LibraryStore(kept).read(file).soname).toBe("libgreen.so.1");
    learn();
    utimesSync(file, atimeMs / 1000, 1);
    expect(new LibraryStore(kept).known(file)).toBeUndefined();
  });

  test("is nobody else's to read, or to write, whatever the umask", () => {
    const umask = process.umask(0);
    learn();
    process.umask(umask);
    expect([kept, tree.path("/cache/below"), tree.path("/cache")].map((path) => statSync(path).mode & 0o777)).toEqual([
      ...[0o600, 0o700, 0o700],
    ]);
  });

  test("is not written where nothing was learned, or nowhere is said", () => {
    expect(new LibraryStore(kept).save()).toBeUndefined();
    expect(() => statSync(kept)).toThrow("ENOENT");
    const store = new LibraryStore();
    store.read(file);
    expect(store.save()).toBeUndefined();
  });

  test("adds to what was known", () => {
    learn();
    const store = new LibraryStore(kept);
    const other = tree.add("/libgreen.so.1", { soname: "libgreen.so.1" });
    store.read(other);
    store.save();
    expect([file, other].map((path) => new LibraryStore(kept).known(path)?.library.soname)).toEqual([
      ...["libred.so.1", "libgreen.so.1"],
    ]);
  });
});

describe("a store that is not as it should be tells nothing:", () => {
  const contents: [string, string][] = [
    ["empty", ""],
    ["cut off", '{"version":1,"ent'],
    ["of another version", '{"version":-1,"entries":{}}'],
    ["without entries", "{}"],
  ];
  test.each(contents)("%s", (_, content) => {
    learn();
    writeFileSync(kept, content);
    expect(new LibraryStore(kept).known(file)).toBeUndefined();
    learn();
    expect(new LibraryStore(kept).known(file)).toBeDefined();
  });

  /** An entry in which that is something else, as JSON of the right version. */
  const changes: [string, (entry: Record<string, unknown>) => void][] = [
    ["no library", (entry) => Reflect.set(entry, "library", null)],
    ["half a library", (entry) => Reflect.set(entry, "library", { soname: "libred.so.1" })],
    ["no list of what is needed", (entry) => Reflect.deleteProperty(entry.library as object, "needed")],
    ["a needed library without a name", (entry) => Reflect.set(entry.library as object, "needed", [null])],
    ["another path", (entry) => Reflect.set(entry.library as object, "path", "/etc/passwd")],
    ["another soname", (entry) => Reflect.set(entry.library as object, "soname", "libblue.so.1")],
    ["a comparison that is none", (entry) => Reflect.set(entry, "compared", 3)],
  ];
  test.each(changes)("with an entry with %s", (_, change) => {
    learn();
    const content = JSON.parse(readFileSync(kept, "utf8")) as { entries: Record<string, Record<string, unknown>> };
    change(content.entries[file] ?? {});
    writeFileSync(kept, JSON.stringify(content));
    expect(new LibraryStore(kept).read(file)).toEqual(new LibraryStore().read(file));
    learn();
    expect(new LibraryStore(kept).known(file)).toBeDefined();
  });

  test("cut off at any length", () => {
    learn();
    const whole = readFileSync(kept);
    for (let length = 0; length < whole.length; length += 7) {
      writeFileSync(kept, whole.subarray(0, length));
      expect(new LibraryStore(kept).known(file)).toBeUndefined();
    }
  });

  test.skipIf(process.getuid?.() !== 0)("of somebody else's tells nothing (takes root)", () => {
    learn();
    expect(new LibraryStore(kept).known(file)).toBeDefined();
    chownSync(kept, 65534, 65534);
    expect(new LibraryStore(kept).known(file)).toBeUndefined();
  });

  test("in a place where nothing can be written: save() says so, and the run goes on", () => {
    const store = new LibraryStore("/proc/no/such/store.json");
    expect(store.read(file).soname).toBe("libred.so.1");
    expect(store.save()).toContain("/proc/no");
  });

  test("names that every object has are no paths", () => {
    learn();
    for (const name of ["toString", "constructor", "__proto__"])
      expect(new LibraryStore(kept).known(name)).toBeUndefined();
  });
});

describe("check()", () => {
  test("looks once, and knows it in the next run", () => {
    const store = new LibraryStore(kept);
    store.check(file, "tables");
    expect(store.known(file)?.check).toBe("tables");
    store.check(file, "whole");
    store.check(file, "tables");
    expect(store.known(file)?.check).toBe("whole");
    store.save();
    expect(new LibraryStore(kept).known(file)?.check).toBe("whole");
  });

  test("throws for what is unsound, each time, and keeps nothing of it", () => {
    const bad = tree.add("/bad.so", library({ soname: "bad" }).slice(0, 200));
    const store = new LibraryStore(kept);
    for (let i = 0; i < 2; i++) expect(() => store.check(bad, "whole")).toThrow(ElfError);
    expect(store.known(bad)).toBeUndefined();
  });
});

describe("a comparison of two files", () => {
  const compare = (other: string, result: boolean): [result: boolean, isMade: boolean] => {
    const store = new LibraryStore(kept);
    let isMade = false;
    const answer = store.compare(file, other, () => {
      isMade = true;
      return result;
    });
    expect(store.save()).toBeUndefined();
    return [answer, isMade];
  };

  test("is made once", () => {
    const other = tree.add("/libblue.so.1", { soname: "libblue.so.1" });
    expect(compare(other, true)).toEqual([true, true]);
    expect(compare(other, false)).toEqual([true, false]);
  });

  test("is made again when one of them is another file", () => {
    const other = tree.add("/libblue.so.1", { soname: "libblue.so.1" });
    expect(compare(other, true)).toEqual([true, true]);
    tree.add("/libblue.so.1", { soname: "libblue.so.1", comment: "longer" });
    expect(compare(other, false)).toEqual([false, true]);
    tree.add("/libred.so.1", { soname: "libred.so.1", comment: "longer" });
    expect(compare(other, true)).toEqual([true, true]);
  });
});

describe("an answer about several files", () => {
  const ask = (store: LibraryStore, answer: string, paths = [file, tree.path("/libgreen.so.1")]) =>
    store.ofAll(paths, "colour", () => [answer]);
  beforeEach(() => tree.add("/libgreen.so.1", library({ soname: "libgreen.so.1" })));

  test("is found once, and kept", () => {
    const store = new LibraryStore(kept);
    expect(ask(store, "brown")).toEqual(["brown"]);
    expect(store.save()).toBeUndefined();
    expect(ask(store, "another")).toEqual(["brown"]);
    expect(ask(new LibraryStore(kept), "another")).toEqual(["brown"]);
  });

  test("is another for other files, in another order, to another question, and when one has changed", () => {
    const store = new LibraryStore(kept);
    ask(store, "brown");
    store.save();
    const next = new LibraryStore(kept);
    expect(ask(next, "red", [file])).toEqual(["red"]);
    expect(ask(next, "reversed", [tree.path("/libgreen.so.1"), file])).toEqual(["reversed"]);
    expect(next.ofAll([file, tree.path("/libgreen.so.1")], "size", () => ["2"])).toEqual(["2"]);
    writeFileSync(file, library({ soname: "libred.so.1", comment: "longer" }));
    expect(ask(new LibraryStore(kept), "changed")).toEqual(["changed"]);
  });
});
