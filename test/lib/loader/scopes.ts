// For a process of its own: looks at glibc's record of namespaces and repairs one. Prints what came of it, as JSON.
//
//   scopes.ts CALLER PROVIDER USER     libraries: what the third wants the second has, and nobody says so (no DT_NEEDED);
//                                      the first opens them, since glibc goes by who calls

import { CFunction, dlopen } from "bun:ffi";
import {
  dlmopen,
  LM_ID_BASE,
  LM_ID_NEWLM,
  linkMapOf,
  namespaceOf,
  RTLD_GLOBAL,
  RTLD_LAZY,
  RTLD_NOW,
} from "../../../lib/loader/calls.ts";
import { findFinalizer } from "../../../lib/loader/finalizer.ts";
import { LoadedObject, linkMap } from "../../../lib/loader/link-map.ts";
import { Namespaces } from "../../../lib/loader/namespace.ts";
import { bytesAt, cString, pointer } from "../../../lib/memory/live.ts";
import { type Address, add, toAddress } from "../../../lib/memory/numbers.ts";
import { Libc } from "../../../lib/process/libc.ts";
import { pointerIn } from "../../../lib/process/process.ts";

export interface Scopes {
  /** The paths of the objects in the base namespace, and of those in its global scope. */
  loaded: string[];
  global: string[];
  fromTheMiddle: string[];
  afterSet: string[];
  /** Where something is not as expected: each must be false. */
  misled: Record<string, boolean>;
  repaired: boolean;
  again: boolean;
  /** What glibc says to the user, the provider, and the user again. */
  before: string;
  opened: string;
  after: string;
  inBase: boolean;
  /** Of three numbers that ld.so counts by: how many namespaces there are, and whether it has the first object. */
  counting: { readonly namespaces: number; readonly hasFirst: boolean } | undefined;
  /** The object whose code the function for the end of the process is. */
  finalizer: string;
}

const [caller = "", provider = "", user = ""] = process.argv.slice(2);
const libc = new Libc();
const open = (namespace: number, path: string, mode: number): Address => libc.run(dlmopen(libc, namespace, path, mode));
const mapOf = (handle: Address): Address => libc.run(linkMapOf(libc, handle));

const objects = [...linkMap(libc, mapOf(open(LM_ID_BASE, "libc.so.6", RTLD_LAZY)))];
const [main, second] = objects;
const loader = objects.find(({ path }) => path.endsWith("/ld-linux-x86-64.so.2") || /\/ld-[\d.]+\.so$/.test(path));
const own = objects.find(({ path }) => /\/libc[.-]/.test(path));
if (!main || !second || !loader || !own) throw new Error("This process is not as it should be");
const paths = (list: readonly LoadedObject[]): string[] => list.map(({ path }) => path);

const namespaces = new Namespaces(libc, loader.image);
const base = namespaces.baseScope(main.linkMap);
if (!base) throw new Error("The base namespace's global scope is not found");
const entries = base.entries;
const global = paths(entries.map((at) => new LoadedObject(libc, at)));

const list = libc.allocate(8 * entries.length);
bytesAt(list, 8 * entries.length).set(new Uint8Array(BigUint64Array.from(entries, BigInt).buffer));
base.set(list, entries.length);
const afterSet = paths(base.entries.map((at) => new LoadedObject(libc, at)));

/** A namespace with a libc of its own, as any other has, and how many objects are in it. */
const handle = open(LM_ID_NEWLM, caller, RTLD_LAZY);
const first = mapOf(handle);
const count = [...linkMap(libc, first)].length;

const { symbols: ffi } = dlopen("libc.so.6", { dlsym: { args: ["ptr", "ptr"], returns: "ptr" } });
const functionOf = (name: string, args: ("ptr" | "i32")[]) =>
  CFunction({ ptr: pointer(toAddress(Number(ffi.dlsym(pointer(handle), cString(name)) ?? 0))), args, returns: "ptr" });
const openInside = functionOf("open_inside", ["ptr", "i32"]);
const whyNot = functionOf("why_not", []);

/** Opens a library as code in the namespace would. */
function attempt(path: string, mode: number): string {
  return openInside(cString(path), mode) ? "opened" : libc.stringAt(toAddress(Number(whyNot())));
}

const other = new Namespaces(libc, own.image);
const misled: Scopes["misled"] = {
  "another first object": namespaces.baseScope(second.linkMap) !== undefined,
  "an image that is not ld.so's": other.baseScope(main.linkMap) !== undefined,
  "an image that is not ld.so's, for a namespace": Boolean(other.allowGlobal(main.linkMap, base, first, count)),
  "another number of objects": Boolean(namespaces.allowGlobal(main.linkMap, base, first, count + 1)),
  "another first object, for a namespace": Boolean(namespaces.allowGlobal(main.linkMap, base, second.linkMap, count)),
  "an address where nothing is a link_map": Boolean(namespaces.allowGlobal(main.linkMap, base, add(list, 8), count)),
};
const before = attempt(user, RTLD_NOW);
const repaired = Boolean(namespaces.allowGlobal(main.linkMap, base, first, [...linkMap(libc, first)].length));
const again = Boolean(namespaces.allowGlobal(main.linkMap, base, first, [...linkMap(libc, first)].length));
const opened = attempt(provider, RTLD_NOW | RTLD_GLOBAL);
const after = attempt(user, RTLD_NOW | RTLD_GLOBAL);

const number = libc.run(namespaceOf(libc, handle));
const found = namespaces.findCounting(first, number);
const counting = found && {
  namespaces: pointerIn(libc, found.count),
  hasFirst: pointerIn(libc, found.first) === main.linkMap,
};
misled["another first object, for counting"] = Boolean(namespaces.findCounting(second.linkMap, number));
misled["another number of a namespace"] = Boolean(namespaces.findCounting(first, number + 1));
misled["an image that is not ld.so's, for counting"] = Boolean(other.findCounting(first, number));
misled["an image that is not ld.so's, for the end"] = Boolean(findFinalizer(own.image));
const finalizer = findFinalizer(loader.image);

const scopes: Scopes = {
  loaded: paths(objects),
  global,
  fromTheMiddle: paths([...linkMap(libc, second.linkMap)]),
  afterSet,
  misled,
  repaired,
  again,
  before,
  opened,
  after,
  counting,
  finalizer: finalizer && loader.image.holds(finalizer) ? loader.path : "",
  inBase: libc.symbols.find("capsule_test_red") !== undefined,
};
console.log(JSON.stringify(scopes));
