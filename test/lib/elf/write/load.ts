// For a process of its own: has glibc load what lib/elf/write makes, in new namespaces, and looks up every name of
// every version there and at the original. Prints what came of it, as JSON.
//
//   load.ts DIRECTORY LIBRARY…      sonames or paths, to be mirrored

import { dlopen } from "bun:ffi";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SHN_ABS, STT_GNU_IFUNC, STT_TLS } from "../../../../lib/elf/constants.ts";
import { isExported, typeOf } from "../../../../lib/elf/sym.ts";
import { mirrorOf } from "../../../../lib/elf/write/mirror.ts";
import type { Place } from "../../../../lib/elf/write/shared-object.ts";
import { symbolObject } from "../../../../lib/elf/write/symbol-object.ts";
import { dlmopen, LM_ID_BASE, LM_ID_NEWLM, linkMapOf, namespaceOf, RTLD_LAZY } from "../../../../lib/loader/calls.ts";
import { LoadedObject } from "../../../../lib/loader/link-map.ts";
import { cString, pointer } from "../../../../lib/memory/live.ts";
import { type Address, add, PAGE_SIZE, toAddress } from "../../../../lib/memory/numbers.ts";
import { Libc } from "../../../../lib/process/libc.ts";
import { call } from "../../../../lib/process/process.ts";

/** What has been found of one library. */
export interface Mirrored {
  compared: number;
  /** Thread-local symbols, which the mirror must not show, and how many of them it does. */
  threadLocal: number;
  threadLocalShown: number;
  indirect: number;
  /** Names for which the mirror has another address. */
  different: string[];
}

export interface Loaded {
  glibc: string;
  mirrors: Record<string, Mirrored>;
  /** Where an overridden function, and one in the zero pages, are found. */
  overrides: { address: boolean; zeroPage: boolean; sizeOfZeroPages: number; ownerOfZeroPages: boolean };
  symbolObject: { address: boolean; anyVersion: boolean; zeroPage: boolean; unknown: boolean; dependency: boolean };
}

const libc = new Libc();
const { symbols: ffi } = dlopen(Number(libc.version.split(".")[1]) < 34 ? "libdl.so.2" : "libc.so.6", {
  dlsym: { args: ["ptr", "ptr"], returns: "ptr" },
  dlvsym: { args: ["ptr", "ptr", "ptr"], returns: "ptr" },
});
const [directory = "", ...libraries] = process.argv.slice(2);

function find(handle: Address, name: Uint8Array, version?: string): number {
  const found =
    version === undefined ? ffi.dlsym(pointer(handle), name) : ffi.dlvsym(pointer(handle), name, cString(version));
  return Number(found ?? 0);
}

const open = (namespace: number, path: string): Address => libc.run(dlmopen(libc, namespace, path, RTLD_LAZY));
const objectOf = (handle: Address) => new LoadedObject(libc, libc.run(linkMapOf(libc, handle)));

/** The soname of the object that an address belongs to, as glibc sees it. */
function ownerOf(address: Address): string {
  const info = new BigUint64Array(4); // Dl_info
  libc.run(call("dladdr", address, new Uint8Array(info.buffer)));
  return libc.stringAt(toAddress(Number(info[0])));
}

let count = 0;
/** A directory each, since glibc goes by the file's name too. */
function write(name: string, bytes: Uint8Array): string {
  const path = join(directory, `${count++}`, name);
  mkdirSync(join(path, ".."));
  writeFileSync(path, bytes);
  return path;
}

// what the mirror of a libc has to have, since glibc 2.32 asserts it; abs does nothing to nobody
const early = new Map<string, Place>([["__libc_early_init", { address: libc.symbols.mustFind("abs") }]]);

function mirror(library: string): Mirrored {
  const original = open(LM_ID_BASE, library);
  const { image } = objectOf(original);
  const soname = image.soname ?? library;
  const { bytes } = mirrorOf(image, { soname, overrides: early });
  const copy = open(LM_ID_NEWLM, write(soname, bytes));
  const result: Mirrored = { compared: 0, threadLocal: 0, threadLocalShown: 0, indirect: 0, different: [] };
  for (const [index, sym] of [...image.symbols].entries()) {
    if (!isExported(sym)) continue;
    const name = cString(image.symbols.nameOf(sym));
    if (sym.st_shndx === SHN_ABS || image.symbols.nameOf(sym) === "__libc_early_init") continue;
    const version = image.versionOf(index);
    for (const wanted of new Set([image.versym?.isHidden(index) ? version : undefined, version])) {
      const [theirs, ours] = [find(original, name, wanted), find(copy, name, wanted)];
      if (typeOf(sym) === STT_TLS) {
        result.threadLocal++;
        if (ours !== 0) result.threadLocalShown++;
        continue;
      }
      if (theirs !== 0) result.compared++;
      if (typeOf(sym) === STT_GNU_IFUNC) result.indirect++;
      if (ours !== theirs) result.different.push(`${image.symbols.nameOf(sym)}@${wanted}: ${ours}, not ${theirs}`);
    }
  }
  return result;
}

function overrides(): Loaded["overrides"] {
  const { image } = objectOf(open(LM_ID_BASE, "libc.so.6"));
  const wanted = libc.symbols.mustFind("abs");
  const places = new Map<string, Place>([
    ...early,
    ["dlopen", { zeroPageOffset: 0 }],
    ["getenv", { zeroPageOffset: PAGE_SIZE + 16 }],
    ["memcpy", { address: wanted }],
    ["no such function", { address: wanted }],
  ]);
  const { bytes, plan } = mirrorOf(image, { soname: "libc.so.6", overrides: places, zeroPages: 2 });
  const path = write("libc.so.6", bytes);
  const handle = open(LM_ID_NEWLM, path);
  const zeroAt = objectOf(handle).image.addressOf(plan.zeroAt);
  return {
    address: find(handle, cString("memcpy")) === wanted && find(handle, cString("memcpy"), "GLIBC_2.2.5") === wanted,
    zeroPage: find(handle, cString("getenv")) === zeroAt + PAGE_SIZE + 16,
    sizeOfZeroPages: plan.zeroSize,
    ownerOfZeroPages: ownerOf(zeroAt) === path && ownerOf(add(zeroAt, plan.zeroSize - 1)) === path,
  };
}

function ownSymbols(): Loaded["symbolObject"] {
  const wanted = libc.symbols.mustFind("abs");
  const dependency = symbolObject({
    soname: "libdependency.so.1",
    functions: new Map([["inner", { address: wanted }]]),
  });
  const functions = new Map<string, Place>([
    ["red", { address: wanted }],
    ["green", { zeroPageOffset: 24 }],
  ]);
  const needed = [write("libdependency.so.1", dependency.bytes)];
  const { bytes, plan } = symbolObject({ soname: "libown.so.1", needed, functions, zeroPages: 1 });
  const handle = open(LM_ID_NEWLM, write("libown.so.1", bytes));
  const object = objectOf(handle);
  if (libc.run(namespaceOf(libc, handle)) === LM_ID_BASE) throw new Error("It is in the base namespace");
  return {
    address: find(handle, cString("red")) === wanted,
    anyVersion: find(handle, cString("red"), "RED_1.0") === wanted,
    zeroPage: find(handle, cString("green")) === object.image.addressOf(plan.zeroAt) + 24,
    unknown: find(handle, cString("blue")) === 0,
    dependency: find(handle, cString("inner")) === wanted,
  };
}

const loaded: Loaded = {
  glibc: libc.version,
  mirrors: Object.fromEntries(libraries.map((library) => [library, mirror(library)])),
  overrides: overrides(),
  symbolObject: ownSymbols(),
};
console.log(JSON.stringify(loaded));
