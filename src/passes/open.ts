// Opens a host tree's libraries in their namespace, one by one in reverse
// dependency order, by their full paths: whatever a library needs is there before
// it, so glibc finds it by its soname and searches nothing by itself. Libraries
// that need each other in a circle are opened together, by an object of ours that
// needs them all by path.

import { basename } from "node:path";
import { symbolObject } from "../../lib/elf/write/symbol-object.ts";
import { dlmopen, dlmopenAll, linkMapOf, RTLD_LAZY } from "../../lib/loader/calls.ts";
import { LoadedObject } from "../../lib/loader/link-map.ts";
import { type Address, toAddress } from "../../lib/memory/numbers.ts";
import type { Linking } from "../../lib/process/process.ts";
import type { Closure, Member } from "../../lib/tree/closure.ts";
import type { Capsule, Launch } from "../launch.ts";
import { share } from "./share.ts";

export interface Opened {
  readonly path: string;
  readonly handle: Address;
}

/** Opens what a closure has and the capsule has not. The handles are the caller's: to keep, by `keep`, or to close. */
export function* openClosure(launch: Launch, capsule: Capsule, closure: Closure): Linking<Opened[]> {
  for (const soname of closure.elsewhere.keys()) yield* share(launch, capsule, soname);
  const missing = closure.members.filter(({ library }) => !capsule.opened.has(library.path));
  for (const circle of new Set(missing.flatMap((member) => (member.circle ? [member.circle] : []))))
    yield* openTogether(launch, capsule, circle);
  const paths = missing.map(({ library }) => library.path);
  launch.trace.tell("capsule", () => `opening ${paths.join(" ") || "nothing"}`);
  const handles = yield* dlmopenAll(launch.process, capsule.namespace, paths, RTLD_LAZY);
  return paths.map((path, i) => ({ path, handle: handles[i] ?? toAddress(0) }));
}

/** Has the capsule remember libraries whose handles are never closed. */
export function* keep(launch: Launch, capsule: Capsule, opened: readonly Opened[]): Linking<void> {
  for (const { path, handle } of opened)
    capsule.opened.set(path, new LoadedObject(launch.process, yield* linkMapOf(launch.process, handle)));
}

/** The object that needs them all stays; it is a page. */
function* openTogether(launch: Launch, capsule: Capsule, circle: readonly Member[]): Linking<void> {
  const { process, trace, directory } = launch;
  const paths = circle.map(({ library }) => library.path);
  const soname = `circle-of-${basename(paths[0] ?? "")}`;
  const { bytes } = symbolObject({ soname, needed: paths });
  yield* dlmopen(process, capsule.namespace, directory.write(`${capsule.token}-${soname}`, bytes), RTLD_LAZY);
  trace.tell("capsule", () => `opened together, as they need each other: ${paths.join(" ")}`);
}
