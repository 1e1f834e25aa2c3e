// Symbols that isolated libraries refer to and no library in their capsule defines come from the program or a library
// of its side: callbacks by name. A generated object defines them as absolute addresses. It comes last among the
// objects opened together, so that the capsule's own definitions take precedence. As natively, they are looked up in
// the global scope.

import { symbolObject } from "../../lib/elf/write/symbol-object.ts";
import { findIn } from "../../lib/loader/calls.ts";
import { type LoadedObject, linkMap } from "../../lib/loader/link-map.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import type { Linking } from "../../lib/process/process.ts";
import type { Closure } from "../../lib/tree/closure.ts";
import { lackedBy } from "../plan/lacked.ts";
import { isStandIn } from "./capsule-of.ts";
import type { Capsule, Linkage } from "./linkage.ts";

/**
 * What an object that needs a closure's libraries has to need in addition, in this order: paths and sonames. Empty if
 * the program's side defines none of the missing symbols. The capsule has the closure's mirrors. Throws what reading
 * and writing throw.
 */
export function* needsOfProgram(linkage: Linkage, capsule: Capsule, closure: Closure): Linking<string[]> {
  const { scopes, directory, trace } = linkage;
  const lacked = lackedBy(capsule, closure);
  if (!scopes || lacked.length === 0) return [];
  let standIns: readonly LoadedObject[] | undefined;
  const mirrors = [...capsule.mirrors.values()].map(({ image }) => image);
  const functions = new Map<string, { address: Address }>();
  for (const name of lacked) {
    if (mirrors.some((image) => image.find(name) !== undefined)) continue;
    const address = yield* findIn(scopes.main, name);
    if (address === undefined) continue;
    // In a placeholder, it is not the final address.
    standIns ??= [...linkMap(linkage.process, scopes.main)].filter((object) => isStandIn(linkage.capsules, object));
    if (!standIns.some(({ image }) => image.holds(address))) functions.set(name, { address });
  }
  if (functions.size === 0) return [];
  const soname = `${capsule.token}-of-the-program-${Bun.hash(JSON.stringify([...functions])).toString(36)}.so`;
  const path = directory.write(soname, symbolObject({ soname, functions }).bytes);
  trace.log("capsule", () => `of the program's side: ${[...functions.keys()].join(" ")}`);
  const open = closure.inLoadOrder.map(({ library }) => library.path).filter((file) => capsule.opened.has(file));
  return [...open, ...closure.elsewhere.keys(), path];
}
