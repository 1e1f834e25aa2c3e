// What reads files that others have made. Each reader returns, or throws an error that says what is wrong, and soon,
// whatever is in the file.

import { readFileSync, rmSync } from "node:fs";
import { checkFile } from "../../lib/elf/check.ts";
import { readElf32 } from "../../lib/elf/elf32.ts";
import { ElfError } from "../../lib/elf/error.ts";
import { FileBytes, openImage } from "../../lib/elf/file.ts";
import { readLibrary } from "../../lib/elf/library.ts";
import { loadedImage } from "../../lib/elf/loaded.ts";
import { findMissingVersion, undefinedIn } from "../../lib/elf/undefined.ts";
import { i386Object } from "../../lib/elf/write/i386-object.ts";
import { openableCopy } from "../../lib/elf/write/openable.ts";
import { placeholderOf } from "../../lib/elf/write/placeholder.ts";
import { stubLibraryOf } from "../../lib/elf/write/stub-library.ts";
import { LinkError } from "../../lib/link-error.ts";
import { parseMaps } from "../../lib/memory/maps.ts";
import { alignDown, alignUp, PAGE_SIZE, toAddress } from "../../lib/memory/numbers.ts";
import { closureOf } from "../../lib/tree/closure.ts";
import { Glibc } from "../../lib/tree/glibc.ts";
import { configuredDirectories } from "../../lib/tree/ld-so-conf.ts";
import { LibraryStore } from "../../lib/tree/library-store.ts";
import { Search } from "../../lib/tree/search.ts";
import { Subject } from "../../src/commands/dump/subject.ts";
import { dataOf, linesOf } from "../../src/commands/dump.ts";
import { symbolsOf, tableOf } from "../../src/commands/symbols.ts";
import { UsageError } from "../../src/diagnostics/errors.ts";
import { driverFindings } from "../../src/doctor/drivers.ts";
import { emptiedEnvironments } from "../../src/plan/scripts.ts";
import { readSettingsFiles } from "../../src/settings/file.ts";
import { everything } from "../lib/elf/everything.ts";
import type { Scratch } from "../lib/elf/scratch.ts";
import { smallImage } from "../lib/elf/small-image.ts";
import { buildSpecimens } from "../lib/elf/specimens.ts";
import { bothCaches, newCache, oldCache, sorted } from "../lib/tree/cache-bytes.ts";
import { library, SmallTree } from "../lib/tree/small-tree.ts";
import { anatomyOf, damaged, damagedText, mutate, oneOf, type Random, type Range } from "./damage.ts";

type ErrorClass = abstract new (...list: never[]) => Error;

export interface Reader {
  readonly name: string;
  /** The damaged file of some random numbers. */
  damage(next: Random): Uint8Array<ArrayBuffer>;
  /** Reads the file at a path. Returns, or throws one of the errors. */
  read(path: string): void;
  readonly errors: readonly ErrorClass[];
}

/** All of them. `scratch` has their sound files. */
export function readersIn(scratch: Scratch): Reader[] {
  return [...elfReaders(scratch), ...treeReaders(), ...textReaders(scratch)];
}

function elfReaders(scratch: Scratch): Reader[] {
  const paths = [...Object.values(buildSpecimens(scratch)), scratch.write("libsmall.so.1", smallImage().bytes)];
  const subjects = paths.map((path) => ({ bytes: new Uint8Array(readFileSync(path)), anatomy: anatomyOf(path) }));
  const damage = (next: Random) => {
    const { bytes, anatomy } = oneOf(next, subjects);
    return damaged(bytes, anatomy, next);
  };
  const reader = (name: string, read: (path: string) => void): Reader => ({ name, damage, read, errors: [ElfError] });
  return [
    reader("image", (path) => {
      using image = openImage(path);
      everything(image);
    }),
    reader("library", (path) => {
      readLibrary(path);
      checkFile(path);
      using image = openImage(path);
      for (const _ of undefinedIn(image, [image], true));
      findMissingVersion(image, () => image);
    }),
    reader("what is made of a library", (path) => {
      checkFile(path, "tables");
      using image = openImage(path);
      const names = { soname: "libmade.so", needed: [], agent: "libagent.so", attach: "attach" };
      const made = [placeholderOf(image, { ...names, owner: "hostile", status: 1 }), stubLibraryOf(image, [])];
      for (const bytes of made) openImage(scratch.write("made", bytes))[Symbol.dispose]();
      openableCopy(path);
    }),
    reader("dump", (path) => {
      using subject = new Subject(path);
      void [...linesOf(subject)].join("");
      JSON.stringify(dataOf(subject));
    }),
    reader("symbols", (path) => {
      using image = openImage(path);
      for (const isUndefined of [false, true]) tableOf(symbolsOf(image, isUndefined));
    }),
    loadedReader(),
    {
      name: "32-bit file",
      damage: (next) => {
        const bytes = new Uint8Array(i386Object("libred.so.1", "red"));
        mutate(bytes, [[0, bytes.length]], next);
        return bytes;
      },
      read: (path) => {
        using file = new FileBytes(path);
        readElf32(file);
      },
      errors: [ElfError],
    },
  ];
}

/** An image as it lies in memory, of which nothing may be read beyond its segments' pages. */
function loadedReader(): Reader {
  const { bytes, at } = smallImage();
  // at an address that nothing must use but through `memory`
  const start = toAddress(0x7f00_0000_0000);
  const size = alignUp(at("end"), PAGE_SIZE) + 0x1000;
  const segments: Range[] = [
    [0, alignUp(at("data"), PAGE_SIZE)],
    [alignDown(at("data"), PAGE_SIZE) + 0x1000, size],
  ];
  const tables: Range[] = [
    [at("note"), at("data")],
    [at("dynamic"), at("end")],
    [at("dynamic"), at("end")],
  ];
  return {
    name: "image in memory",
    damage: (next) => {
      const damaged = bytes.slice();
      mutate(damaged, tables, next);
      return damaged;
    },
    read: (path) => {
      const damaged = readFileSync(path);
      const mapped = new Uint8Array(size);
      mapped.set(damaged.subarray(0, at("data")));
      mapped.set(damaged.subarray(at("data")), at("data") + 0x1000);
      const view = (address: number, length: number): DataView => {
        const from = address - start;
        // What is empty is read nowhere.
        if (length !== 0 && !segments.some(([first, end]) => from >= first && from + length <= end))
          throw new Error(`${length} bytes are read at ${from}, outside the pages`);
        return new DataView(mapped.buffer, length === 0 ? 0 : from, length);
      };
      everything(loadedImage("libsmall.so.1", start, start, { view }));
    },
    errors: [ElfError],
  };
}

const CACHED = sorted([
  { soname: "libred.so.1", path: "/usr/lib/libred.so.1" },
  { soname: "libblue.so.1", path: "/usr/lib/libblue.so.1", hwcap: 1n << 62n },
  { soname: "libblue.so.1", path: "/usr/lib/libblue.so.1" },
  { soname: "libc.so.6", path: "/usr/lib/libc.so.6" },
]);

/** Readers of a tree, one file of which is damaged. */
function treeReaders(): Reader[] {
  const tree = new SmallTree({
    "/usr/lib/libred.so.1": { soname: "libred.so.1", needed: ["libblue.so.1", "libc.so.6"] },
    "/usr/lib/libblue.so.1": { soname: "libblue.so.1" },
    "/usr/lib/libc.so.6": { soname: "libc.so.6" },
    "/usr/lib/libvulkan.so.1": { soname: "libvulkan.so.1" },
    "/opt/libgreen.so.1": { soname: "libgreen.so.1", runpath: "$ORIGIN/../usr/lib:/opt", needed: ["libred.so.1"] },
  });
  process.once("exit", () => tree[Symbol.dispose]());
  const search = () => {
    const searched = new Search(tree.tree);
    for (const soname of ["libred.so.1", "libblue.so.1", "libnone.so.1"]) searched.find(soname, undefined);
    void Glibc.of(searched)?.name;
    closureOf(searched, ["libred.so.1", "/opt/libgreen.so.1"], () => false);
  };
  const reader = (name: string, place: string, sound: readonly Uint8Array[], look: () => unknown): Reader => ({
    name,
    damage: (next) => {
      const bytes = new Uint8Array(oneOf(next, sound));
      if (next(2) === 0) return damagedText(bytes, WORDS, next);
      mutate(bytes, [[0, bytes.length]], next);
      return bytes;
    },
    read: (path) => {
      tree.add(place, new Uint8Array(readFileSync(path)));
      try {
        look();
      } finally {
        rmSync(tree.path(place));
      }
    },
    errors: [ElfError, LinkError],
  });
  const bytes = (...lines: string[]) => [Buffer.from(lines.join("\n"))];
  const caches = [oldCache(CACHED), newCache(CACHED, { hwcaps: ["x86-64-v2"] }), bothCaches(CACHED, CACHED)];
  const conf = bytes(
    "include /etc/ld.so.conf.d/*.conf ld.so.conf",
    "# red",
    "/opt/lib",
    "/usr/lib=libc6",
    "hwcap 1 sse",
  );
  const loader = bytes("\x7fELF\0/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/\0end");
  const said = {
    soname: "libpurple.so.1",
    needed: ["libred.so.1"],
    runpath: "$ORIGIN:/opt:$LIB/$PLATFORM",
    comment: "x",
  };
  const purple = () => closureOf(new Search(tree.tree), ["/opt/libpurple.so.1"], () => false);
  const icd = bytes('{"file_format_version": "1.0.0", "ICD": {"library_path": "libred.so.1", "api_version": "1.3"}}');
  const drivers = () => driverFindings(new Search(tree.tree), ["gl", "egl", "vulkan", "cl"], new Set(["vulkan"]));
  return [
    reader("ld.so.cache", "/etc/ld.so.cache", caches, search),
    reader("ld.so.conf", "/etc/ld.so.conf", conf, () => configuredDirectories(tree.tree)),
    reader("ld.so", "/lib64/ld-linux-x86-64.so.2", loader, search),
    reader("search paths", "/opt/libpurple.so.1", [library(said)], purple),
    reader("manifest", "/usr/share/vulkan/icd.d/red.json", icd, drivers),
  ];
}

/** Readers of texts: files of users, and our own that are kept. */
function textReaders(scratch: Scratch): Reader[] {
  const text = (name: string, sound: string, errors: readonly ErrorClass[], read: (path: string) => void): Reader => ({
    ...{ name, errors, read },
    damage: (next) => damagedText(new Uint8Array(Buffer.from(sound)), WORDS, next),
  });
  const small = scratch.write("libkept.so.1", smallImage().bytes);
  const kept = scratch.path("kept.json");
  const store = new LibraryStore(kept);
  store.check(small, "whole");
  store.save();
  return [
    text("settings", SETTINGS, [UsageError], (path) => void readSettingsFiles(path, undefined, {})),
    text("script", SCRIPT, [], (path) => void emptiedEnvironments("sh", [path])),
    text("store of libraries", readFileSync(kept, "utf8"), [], (path) => void new LibraryStore(path).read(small)),
    text(
      "maps of a process",
      readFileSync("/proc/self/maps", "latin1").slice(0, 4000),
      [],
      (path) => void parseMaps(readFileSync(path, "latin1")),
    ),
  ];
}

const SETTINGS = `host = "/srv/trees/debian-12"
profile = ["gl", "overlay"]
mode = "attached"

[libraries]                        # host trees of single libraries
"libvulkan.so.1" = "trees/vulkan"  # relative to this file

[profiles.overlay]
isolate = ["libgamemode.so.0"]
[profiles.overlay.environment]
MESA_LOADER_DRIVER_OVERRIDE = "zink"
VK_ADD_LAYER_PATH = { directories = ["/etc/vulkan/layers", "/usr/share/vulkan/layers"] }
`;
const SCRIPT = `#!/bin/sh
# starts the game
exec env -i HOME="$HOME" sh -c 'cd "\${0%/*}"; ./game --fullscreen' "$0" "$@"
unset LD_AUDIT LD_LIBRARY_PATH; bash -c "exec -c ./game"
`;
/** What damage to a text inserts. */
const WORDS = [
  ...["\0", "\n", "\\", '"', "'", "[", "]", "{", "}", "=", "$(", "`", "*", "../", "/", ":", "#", "\ud800", "é"],
  ...["include /etc/ld.so.conf\n", "$ORIGIN", "$LIB", "1e999", "null", "[[a]]\n", "a.b.c = 1\n", '"""', "env -S "],
];
