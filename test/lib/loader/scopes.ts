// For a process of its own: looks at glibc's record of namespaces and repairs one. Prints what came of it, as JSON.
//
//   scopes.ts PROVIDER USER     libraries: what the second wants the first has, and nobody says so (no DT_NEEDED)

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
import { LinkError } from "../../../lib/loader/error.ts";
import { Libc } from "../../../lib/loader/libc.ts";
import { LoadedObject, linkMap } from "../../../lib/loader/link-map.ts";
import { Namespaces } from "../../../lib/loader/namespace.ts";
import { bytesAt } from "../../../lib/memory/live.ts";
import { type Address, add } from "../../../lib/memory/numbers.ts";

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
  /** What glibc says to the user before and behind the provider. */
  before: string;
  after: string;
  inBase: boolean;
}

const [provider = "", user = ""] = process.argv.slice(2);
const libc = new Libc();
const open = (namespace: number, path: string, mode: number): Address => libc.run(dlmopen(libc, namespace, path, mode));
const mapOf = (handle: Address): Address => libc.run(linkMapOf(libc, handle));

const objects = [...linkMap(libc, mapOf(open(LM_ID_BASE, "libc.so.6", RTLD_LAZY)))];
const [main, second] = objects;
const loader = objects.find(({ path }) => path.endsWith("/ld-linux-x86-64.so.2") || /\/ld-[\d.]+\.so$/.test(path));
const own = objects.find(({ path }) => /\/libc[.-]/.test(path));
if (!main || !second || !loader || !own) throw new Error("This process is not as it should be");
const paths = (list: readonly LoadedObject[]): string[] => list.map(({ path }) => path);

const namespaces = new Namespaces(loader.image);
const base = namespaces.baseScope(main.linkMap);
if (!base) throw new Error("The base namespace's global scope is not found");
const entries = base.entries;
const global = paths(entries.map((at) => new LoadedObject(libc, at)));

const list = libc.allocate(8 * entries.length);
bytesAt(list, 8 * entries.length).set(new Uint8Array(BigUint64Array.from(entries, BigInt).buffer));
base.set(list, entries.length);
const afterSet = paths(base.entries.map((at) => new LoadedObject(libc, at)));

/** A namespace with one object that needs nothing, and how many it has then (ld.so is one). */
const handle = open(LM_ID_NEWLM, provider, RTLD_LAZY);
const namespace = libc.run(namespaceOf(libc, handle));
const first = mapOf(handle);
const count = [...linkMap(libc, first)].length;

function attempt(mode: number): string {
  try {
    open(namespace, user, mode);
    return "opened";
  } catch (error) {
    if (error instanceof LinkError) return error.message;
    throw error;
  }
}

const other = new Namespaces(own.image);
const misled = {
  "another first object": namespaces.baseScope(second.linkMap) !== undefined,
  "an image that is not ld.so's": other.baseScope(main.linkMap) !== undefined,
  "an image that is not ld.so's, for a namespace": Boolean(other.allowGlobal(main.linkMap, base, first, count)),
  "another number of objects": Boolean(namespaces.allowGlobal(main.linkMap, base, first, count + 1)),
  "another first object, for a namespace": Boolean(namespaces.allowGlobal(main.linkMap, base, second.linkMap, count)),
  "an address where nothing is a link_map": Boolean(namespaces.allowGlobal(main.linkMap, base, add(list, 8), count)),
};
const before = attempt(RTLD_NOW);
const repaired = Boolean(namespaces.allowGlobal(main.linkMap, base, first, [...linkMap(libc, first)].length));
const again = Boolean(namespaces.allowGlobal(main.linkMap, base, first, [...linkMap(libc, first)].length));
open(namespace, provider, RTLD_NOW | RTLD_GLOBAL);
const after = attempt(RTLD_NOW | RTLD_GLOBAL);

const scopes: Scopes = {
  loaded: paths(objects),
  global,
  fromTheMiddle: paths([...linkMap(libc, second.linkMap)]),
  afterSet,
  misled,
  repaired,
  again,
  before,
  after,
  inBase: libc.findSymbol("capsule_test_red") !== undefined,
};
console.log(JSON.stringify(scopes));
