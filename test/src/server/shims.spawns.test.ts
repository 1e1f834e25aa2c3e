// The directory of shims, and the one where they are kept.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { openImage } from "../../../lib/elf/file.ts";
import { symbolObject } from "../../../lib/elf/write/symbol-object.ts";
import { toAddress } from "../../../lib/memory/numbers.ts";
import { System } from "../../../lib/process/system.ts";
import { LibraryStore } from "../../../lib/tree/library-store.ts";
import { Search } from "../../../lib/tree/search.ts";
import { Trace } from "../../../src/diagnostics/trace.ts";
import { Ownership } from "../../../src/plan/ownership.ts";
import { PlaceholderCache } from "../../../src/server/placeholder-cache.ts";
import { AGENT, ATTACH, placeShims, type ShownTree } from "../../../src/server/shims.ts";
import { SmallTree } from "../../lib/tree/small-tree.ts";
import { run } from "../../support/run.ts";

const DAY = 24 * 60 * 60;

let host: SmallTree;
let runtime: SmallTree;
let scratch: SmallTree;
let keep: string;

/** Its functions are nowhere: only their names count. */
function bytesOf(soname: string, functions: readonly string[], needed: readonly string[] = []): Uint8Array {
  const places = new Map(functions.map((name) => [name, { address: toAddress(0x1000) }]));
  return symbolObject({ soname, needed, functions: places }).bytes;
}

beforeEach(() => {
  [host, runtime, scratch] = [new SmallTree(), new SmallTree(), new SmallTree()];
  keep = scratch.path("/cache/capsule/shims");
  host.add("/lib/libred.so.1.2.3", bytesOf("libred.so.1", ["red"], ["libblue.so.2", "libc.so.6", "libgreen.so.3"]));
  host.add("/lib/libred.so.1", "-> libred.so.1.2.3");
  host.add("/lib/libblue.so.2", bytesOf("libblue.so.2", ["blue"], ["libred.so.1"]));
  host.add("/lib/libgreen.so.3", bytesOf("libgreen.so.3", ["green"]));
});
afterEach(() => {
  for (const tree of [host, runtime, scratch]) tree[Symbol.dispose]();
});

let count = 0;
interface Changes {
  readonly hosts?: readonly ShownTree[];
  readonly keep?: string | undefined;
  readonly directory?: string;
}

function hostOf(isolated: readonly string[], tree = host, shared: readonly string[] = []): ShownTree {
  const search = new Search(tree.tree, [], new LibraryStore());
  const ownership = new Ownership(search, new Search(runtime.tree), [], new Set(shared));
  return { search, isolated, ownership, promised: [], environment: [], hooks: [], ahead: [] };
}

function place(changes: Changes = {}): { directory: string; files: Map<string, string> } {
  const directory = changes.directory ?? scratch.path(`/lib-${count++}`);
  if (changes.directory === undefined) mkdirSync(directory);
  const hosts = changes.hosts ?? [hostOf(["libred.so.1", "libblue.so.2", "libgrey.so.4"])];
  host.tree.refresh();
  runtime.tree.refresh();
  const kept = "keep" in changes ? changes.keep : keep;
  const placeholderCache = kept === undefined ? undefined : PlaceholderCache.open(kept, new System(), new Trace([]));
  return { directory, files: placeShims(directory, hosts, placeholderCache, new Search(runtime.tree), new Trace([])) };
}

const neededOf = (path: string | undefined): readonly string[] => {
  using image = openImage(path ?? "");
  return image.needed;
};
/** But for the directory with the files. */
const namesIn = (directory: string): string[] =>
  readdirSync(directory)
    .filter((name) => name !== "shims")
    .sort();

describe("in the directory", () => {
  test("each isolated library that the host tree has leads to its placeholder, by a hard link", () => {
    const { directory, files } = place();
    expect(namesIn(directory)).toEqual(["libblue.so.2", "libred.so.1"]);
    expect([...files.keys()]).toEqual(["libred.so.1", "libblue.so.2"]);
    for (const [soname, file] of files) {
      const inside = `shims/${basename(file)}`;
      expect(readlinkSync(join(directory, soname))).toBe(inside);
      expect(lstatSync(join(directory, inside)).ino).toBe(lstatSync(file).ino);
      using image = openImage(file);
      expect(image.soname).toBe(soname);
      expect(image.find(soname.slice(3, soname.indexOf(".")))).toBeDefined();
      expect(image.symbols.nameOf(image.symbols.at(image.rela.at(0).r_sym))).toBe(ATTACH);
    }
  });

  test("a placeholder needs the isolated ones of what its library needs, also in a circle, and then the agent", () => {
    const { files } = place();
    expect(neededOf(files.get("libred.so.1"))).toEqual(["libblue.so.2", AGENT]);
    expect(neededOf(files.get("libblue.so.2"))).toEqual(["libred.so.1", AGENT]);
  });

  test("those of another host tree are among them", () => {
    using other = new SmallTree();
    other.add("/lib/libgreen.so.3", bytesOf("libgreen.so.3", ["verdant"]));
    const { files } = place({ hosts: [hostOf(["libred.so.1"]), hostOf(["libgreen.so.3"], other)] });
    expect(neededOf(files.get("libred.so.1"))).toEqual(["libgreen.so.3", AGENT]);
    using image = openImage(files.get("libgreen.so.3") ?? "");
    expect(image.find("verdant")).toBeDefined();
  });

  test("what is shared has no shim, and nobody needs one", () => {
    const { directory, files } = place({ hosts: [hostOf(["libred.so.1", "libblue.so.2"], host, ["libblue.so.2"])] });
    expect(namesIn(directory)).toEqual(["libred.so.1"]);
    expect(neededOf(files.get("libred.so.1"))).toEqual([AGENT]);
  });

  test("developers' names lead to it, where they do so in the host tree or in the runtime", () => {
    host.add("/lib/libred.so", "-> libred.so.1");
    runtime.add("/lib/libblue.so.2", bytesOf("libblue.so.2", []));
    runtime.add("/lib/libblue.so", "-> libblue.so.2");
    const { directory, files } = place();
    expect(namesIn(directory)).toEqual(["libblue.so", "libblue.so.2", "libred.so", "libred.so.1"]);
    expect(readlinkSync(join(directory, "libred.so"))).toBe("libred.so.1");
    expect(readlinkSync(join(directory, "libblue.so"))).toBe("libblue.so.2");
    expect([...files.keys()]).toEqual(["libred.so.1", "libblue.so.2"]);
  });

  test("a developers' name that is another library's in the runtime stays that one's", () => {
    host.add("/lib/libred.so", "-> libred.so.1");
    runtime.add("/lib/libred.so.7", bytesOf("libred.so.7", []));
    runtime.add("/lib/libred.so", "-> libred.so.7");
    expect(namesIn(place().directory)).toEqual(["libblue.so.2", "libred.so.1"]);
  });

  test("a promised library that has gone has one with the interface of the runtime's copy, if there is one", () => {
    runtime.add("/lib/libgrey.so.4", bytesOf("libgrey.so.4", ["grey"]));
    const sonames = ["libgrey.so.4", "libgone.so.5"];
    const hosts = [{ ...hostOf(sonames), promised: sonames }];
    const { directory, files } = place({ hosts });
    expect(namesIn(directory)).toEqual(["libgrey.so.4"]);
    using image = openImage(files.get("libgrey.so.4") ?? "");
    expect(image.find("grey")).toBeDefined();
  });

  for (const [words, changes] of [
    ["kept", {}],
    ["not kept", { keep: undefined }],
  ] as const)
    test(`they can be renewed (${words}): what was replaced has another, and nothing else changes`, () => {
      host.add("/lib/libblue.so", "-> libblue.so.2");
      const { directory } = place(changes);
      const inode = (name: string) => statSync(join(directory, name)).ino;
      const [red, blue] = ["libred.so.1", "libblue.so.2"].map(inode);
      host.add("/lib/libblue.so.2", bytesOf("libblue.so.2", ["azure"]));
      rmSync(host.path("/lib/libred.so.1.2.3"));
      const names = namesIn(directory);
      place({ ...changes, directory });
      expect(namesIn(directory)).toEqual(names);
      expect(inode("libred.so.1")).toBe(red as number);
      expect(inode("libblue.so.2")).not.toBe(blue as number);
      for (const name of ["libblue.so.2", "libblue.so"]) {
        using image = openImage(join(directory, name));
        expect(image.find("azure")).toBeDefined();
      }
    });

  test("an unsound library has none, and the others have", () => {
    host.add("/lib/libblue.so.2", new TextEncoder().encode("no library"));
    expect(namesIn(place().directory)).toEqual(["libred.so.1"]);
  });
});

describe("what is kept", () => {
  test("is for its owner only, and used again as it is", () => {
    const first = place();
    const identities = () => namesIn(keep).map((name) => [name, lstatSync(join(keep, name)).ino]);
    const before = identities();
    expect(before).toHaveLength(2);
    expect(statSync(keep).mode & 0o777).toBe(0o700);
    for (const name of namesIn(keep)) expect(statSync(join(keep, name)).mode & 0o777).toBe(0o600);
    expect(place().files).toEqual(first.files);
    expect(identities()).toEqual(before);
  });

  test("is not for another file, of the same name", () => {
    const before = place().files.get("libblue.so.2");
    host.add("/lib/libblue.so.2", bytesOf("libblue.so.2", ["azure"]));
    const after = place().files.get("libblue.so.2");
    expect(after).not.toBe(before);
    using image = openImage(after ?? "");
    expect(image.find("azure")).toBeDefined();
  });

  test("is not for other needs", () => {
    const before = place().files.get("libred.so.1");
    expect(place({ hosts: [hostOf(["libred.so.1"])] }).files.get("libred.so.1")).not.toBe(before);
  });

  test.each([0, 100, 4096])("is made anew where only %i bytes are left of it", (size) => {
    const { files } = place();
    const file = files.get("libred.so.1") ?? "";
    const whole = readFileSync(file);
    truncateSync(file, size);
    expect(place().files).toEqual(files);
    expect(readFileSync(file)).toEqual(whole);
  });

  test("is made anew where others could have written it", () => {
    const { files } = place();
    const file = files.get("libred.so.1") ?? "";
    const { ino } = statSync(file);
    chmodSync(file, 0o666);
    place();
    expect(statSync(file).ino).not.toBe(ino);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test("is removed when it was not used for long, or is of another format, once something is added", () => {
    place();
    const age = (name: string, days: number) => {
      const time = Date.now() / 1000 - days * DAY;
      if (!namesIn(keep).includes(name)) writeFileSync(join(keep, name), "");
      utimesSync(join(keep, name), time, time);
    };
    const [used = "", unused = ""] = namesIn(keep);
    age(used, 29);
    age(unused, 31);
    age("0-ancient-5.so", 2);
    age("9-newer-5.so", 0);
    age("1-key-5.so.4711-1.5", 1);
    age("1-key-5.so.4711-2.5", 0);
    const untouched = namesIn(keep);
    host.add("/lib/libblue.so.2", bytesOf("libblue.so.2", ["blue"], ["libred.so.1"]));
    place({ hosts: [] });
    expect(namesIn(keep)).toEqual(untouched);
    place({ hosts: [hostOf(["libgreen.so.3"])] });
    const added = namesIn(keep).filter((name) => !untouched.includes(name));
    expect(added).toHaveLength(1);
    expect(namesIn(keep)).toEqual(["9-newer-5.so", "1-key-5.so.4711-2.5", used, ...added].sort());
  });

  test("counts as used when it was", () => {
    const file = place().files.get("libred.so.1") ?? "";
    const time = Date.now() / 1000 - 20 * DAY;
    utimesSync(file, time, time);
    place();
    expect(Date.now() - statSync(file).mtimeMs).toBeLessThan(DAY * 1000);
  });
});

describe("where nothing can be kept, they are in the directory itself", () => {
  const expectOwn = ({ directory, files }: ReturnType<typeof place>) => {
    expect(namesIn(directory)).toEqual(["libblue.so.2", "libred.so.1"]);
    for (const [soname, file] of files) {
      expect(file).toBe(join(directory, soname));
      expect(lstatSync(file).isFile()).toBe(true);
    }
  };

  test("without a home", () => expectOwn(place({ keep: undefined })));

  test("with something else in the place of the cache", () => {
    scratch.add("/cache", new Uint8Array(1));
    expectOwn(place());
  });

  test("with a cache into which others can write", () => {
    mkdirSync(keep, { recursive: true });
    chmodSync(keep, 0o777);
    expectOwn(place());
    expect(namesIn(keep)).toEqual([]);
  });

  test("with a cache that takes no more", () => {
    // Longer than a file's name may be, whatever is in it.
    expectOwn(place({ keep: `${scratch.path("/cache")}/${"x".repeat(250)}/${"y".repeat(250)}${"z".repeat(20)}` }));
  });

  test("and where they cannot be there either, the error says what can be done", () => {
    const directory = scratch.path("/missing");
    for (const options of [{ directory }, { directory, keep: undefined }])
      expect(() => place(options)).toThrow(
        `Cannot write to "${directory}": it is not there (TMPDIR says which directory to use)`,
      );
  });
});

/** As place(), for a process of its own: HOST RUNTIME KEEP DIRECTORY */
const SCRIPT = `
  import { System } from "${join(import.meta.dir, "../../../lib/process/system.ts")}";
  import { PlaceholderCache } from "${join(import.meta.dir, "../../../src/server/placeholder-cache.ts")}";
  import { placeShims } from "${join(import.meta.dir, "../../../src/server/shims.ts")}";
  import { Search } from "${join(import.meta.dir, "../../../lib/tree/search.ts")}";
  import { Tree } from "${join(import.meta.dir, "../../../lib/tree/tree.ts")}";
  import { Trace } from "${join(import.meta.dir, "../../../src/diagnostics/trace.ts")}";
  const [host, runtime, keep, directory] = process.argv.slice(-4);
  const isolated = ["libred.so.1", "libblue.so.2", "libgreen.so.3"];
  const hosts = [{ search: new Search(new Tree(host)), isolated, ownership: { isShared: () => false } }];
  try {
    const placeholderCache = PlaceholderCache.open(keep, new System(), new Trace([]));
    const files = placeShims(directory, hosts, placeholderCache, new Search(new Tree(runtime)), new Trace([]));
    console.log([...files.values()].map((file) => file.startsWith(keep) ? "kept" : "not kept").join(", "));
  } catch (error) {
    console.log(error.message);
  }
`;
const command = (directory: string): string[] => {
  mkdirSync(directory);
  return [process.execPath, "-e", SCRIPT, host.tree.root, runtime.tree.root, keep, directory];
};

test("several that make the same at once do not get in each other's way", async () => {
  const directories = Array.from({ length: 4 }, (_, i) => scratch.path(`/at-once-${i}`));
  const outcomes = await Promise.all(directories.map((directory) => run(command(directory))));
  for (const { stdout } of outcomes) expect(stdout).toBe("kept, kept, kept\n");
  expect(namesIn(keep).map((name) => /^\d+-\w{13}-\w+\.so$/.test(name))).toEqual([true, true, true]);
  for (const directory of directories)
    for (const name of namesIn(directory)) {
      using image = openImage(join(directory, name));
      expect(image.soname).toBe(name);
    }
});

describe.skipIf(process.getuid?.() !== 0)("on a file system that lacks something (takes root)", () => {
  const on = (options: string) => (place: string, argv: string[]) => [
    ...["unshare", "--mount", "sh", "-c", `mount -t tmpfs -o ${options},mode=700 none "${place}" && exec "$@"`, "sh"],
    ...argv,
  ];
  const inSmall = on("size=8k");

  test("none is kept where ld.so could not load it", async () => {
    mkdirSync(keep, { recursive: true });
    const directory = scratch.path("/directory");
    const { stdout } = await run(on("noexec")(keep, command(directory)));
    expect(stdout).toBe("not kept, not kept, not kept\n");
  });

  test("those that do not fit are in the directory itself", async () => {
    mkdirSync(keep, { recursive: true });
    const directory = scratch.path("/directory");
    const { stdout } = await run(inSmall(keep, command(directory)));
    expect(stdout).toBe("kept, not kept, not kept\n");
    for (const name of ["libred.so.1", "libblue.so.2", "libgreen.so.3"]) {
      using image = openImage(join(directory, name));
      expect(image.soname).toBe(name);
    }
  });

  test("which may be on one, too", async () => {
    rmSync(scratch.path("/cache"), { recursive: true, force: true });
    scratch.add("/cache", new Uint8Array(1));
    const directory = scratch.path("/directory");
    const { stdout } = await run(inSmall(directory, command(directory)));
    expect(stdout).toBe(`Cannot write to "${directory}": its disk is full (TMPDIR says which directory to use)\n`);
  });
});
