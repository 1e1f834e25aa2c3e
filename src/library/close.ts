// Removes a capsule's libraries from the process: closes every handle held here. glibc then unloads what nothing else
// holds.

import { dlclose } from "../../lib/loader/calls.ts";
import { type LoadedObject, linkMap } from "../../lib/loader/link-map.ts";
import type { Linking } from "../../lib/process/process.ts";
import { LIBC } from "../../lib/tree/glibc-names.ts";
import type { Capsule } from "../passes/linkage.ts";
import { isHelper } from "../passes/together.ts";
import { isShared } from "../profiles/shared-set.ts";
import type { Embedding } from "./embedding.ts";

/**
 * Returns the paths of the host's libraries that stay. `isUsed`: a library outside the capsule has bound to one of its
 * shims and may still call what that shows, so everything stays. Throws LinkError if glibc refuses.
 */
export function* vacateNamespace(
  { process, directory, base, hide }: Embedding,
  { mirrors, opened, shims }: Capsule,
): Linking<{ readonly paths: readonly string[]; readonly isUsed: boolean }> {
  const libc = mirrors.get(LIBC);
  if (!libc) return { paths: [], isUsed: false };
  // Recognized by path, since the server has opened some of them at a library's request.
  const isOurs = ({ path }: LoadedObject) => path.startsWith(`${directory.path}/`);
  const objects = [...linkMap(process, libc.linkMap)];
  const ours = objects.filter(isOurs);
  const record = base.namespaces.recordOf(objects[0]?.linkMap ?? libc.linkMap, objects.length);
  const shown = ours.filter(({ path, linkMap }) => !isHelper(path) && linkMap !== libc.linkMap);
  const hostsIn = (objects: readonly LoadedObject[]) =>
    objects.filter((each) => !isOurs(each) && !isShared(each.image.soname ?? "")).map(({ path }) => path);
  for (const { linkMap } of [...shims.values()].reverse()) yield* dlclose(process, linkMap);
  if ([...linkMap(process, base.bun.linkMap)].some(isOurs)) return { paths: hostsIn(objects), isUsed: true };
  // Dependents before dependencies. libc's mirror comes last: it contains the agent, which any destructor may ask.
  for (const { linkMap } of [
    ...ours.filter(({ path }) => isHelper(path)),
    ...[...opened.values()].reverse(),
    ...shown.reverse(),
    libc,
  ])
    yield* dlclose(process, linkMap);
  const first = record === undefined ? undefined : base.namespaces.findFirst(record);
  if (first === undefined) hide();
  return { paths: first === undefined ? [] : hostsIn([...linkMap(process, first)]), isUsed: false };
}
