// The program uses RTLD_GLOBAL on an isolated library, or on one that needs isolated libraries: libraries opened later
// in the capsule find its symbols, too, as natively. The same holds for what the program is linked to. The shim is, or
// will be, in the global scope of the program's side; the library, with all its dependencies, joins its namespace's.

import { RTLD_GLOBAL, RTLD_LAZY, RTLD_NOLOAD } from "../../lib/loader/calls.ts";
import { searchListOf } from "../../lib/loader/handle-scope.ts";
import type { Linking } from "../../lib/process/process.ts";
import { findOpened } from "./capsule-of.ts";
import type { Capsule, Linkage } from "./linkage.ts";

/** The program makes these isolated libraries global. */
export function* lendGlobally({ trace, scopes }: Linkage, capsule: Capsule, sonames: readonly string[]): Linking<void> {
  const { namespace, shims, openHere } = capsule;
  const paths: string[] = [];
  for (const soname of sonames) {
    const shim = shims.get(soname);
    const library = findOpened(capsule, soname);
    if (!shim || !scopes || scopes.lent.has(shim.linkMap) || !library) continue;
    scopes.lent.add(shim.linkMap);
    paths.push(library.path);
  }
  if (paths.length === 0) return;
  const mode = RTLD_LAZY | RTLD_NOLOAD | RTLD_GLOBAL;
  yield paths.map((path) => ({ name: "dlopen" as const, at: openHere, arguments: [path, mode] }));
  trace.log("capsule", () => `global in namespace ${namespace}: ${paths.join(" ")}`);
}

/** Lends the isolated libraries whose shims are global and which are not so in their capsule, in the shims' order. */
export function* followGlobal(linkage: Linkage, capsule: Capsule): Linking<void> {
  const { process, scopes } = linkage;
  if (!scopes || [...capsule.shims.values()].every(({ linkMap }) => scopes.lent.has(linkMap))) return;
  const names = new Map([...capsule.shims].map(([soname, { linkMap }]) => [linkMap, soname]));
  const sonames = searchListOf(process, scopes.main, scopes.offsets).flatMap((linkMap) =>
    scopes.lent.has(linkMap) ? [] : (names.get(linkMap) ?? []),
  );
  yield* lendGlobally(linkage, capsule, sonames);
}
