// A generated object that needs others and is opened instead of them: glibc maps what it names first, each by its path,
// and then finds everything else by soname.
//
// If a library does not itself carry a name (DT_NEEDED has "libR.so", and the file has no DT_SONAME or another one),
// glibc learns the name only by finding the file under it (2.31-2.41). So the name directly follows the path, and
// resolves to the same file through a link in a directory that is searched before all others (DT_RPATH). glibc sees
// that the file is already loaded, and learns the name. dladdr(3), $ORIGIN and debuggers still see the library in its
// place.

import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { symbolObject } from "../../lib/elf/write/symbol-object.ts";
import type { Closure } from "../../lib/tree/closure.ts";
import { unlessRefused } from "../../lib/unless.ts";
import type { Capsule, Linkage } from "./linkage.ts";

/** A file, and the names that glibc shall know it by in addition to its own. */
export interface Named {
  readonly path: string;
  readonly names: readonly string[];
}

export const unnamed = (paths: readonly string[]): Named[] => paths.map((path) => ({ path, names: [] }));

const TOGETHER = "-together-";

/** Whether a path is that of a generated object that only loads others. */
export const isHelper = (path: string): boolean => basename(path).includes(TOGETHER);

/** Writes an object that needs these files, the same for equal lists. Returns its path. Throws what writing throws. */
export function together({ directory, trace }: Linkage, capsule: Capsule, files: readonly Named[]): string {
  trace.log("capsule", () => `opening ${files.map(({ path }) => path).join(" ")}`);
  const links = files.flatMap(({ path, names }) => names.filter(canBeLink).map((name) => [name, path] as const));
  const needed = files.flatMap(({ path, names }) => [path, ...names.filter(canBeLink)]);
  const list = [...needed, ...links.flat()].join("\0");
  const name = `${capsule.token}${TOGETHER}${Bun.hash(list).toString(36)}.so`;
  const path = join(directory.path, name);
  const names = `${name}.names`;
  if (existsSync(path) && (links.length === 0 || existsSync(join(directory.path, names)))) return path;
  const rpath = links.length > 0 ? { rpath: `$ORIGIN/${names}` } : {};
  const written = directory.write(name, symbolObject({ soname: name, needed, ...rpath }).bytes);
  for (const [link, file] of links)
    trace.log("capsule", () => `${file}: needed as "${link}", which is no name of its own`);
  if (links.length > 0) directory.link(names, new Map(links));
  return written;
}

/** Empty stand-ins for what the tree lacks and glibc would otherwise search on the machine (DT_AUXILIARY). */
export function absentees({ directory, trace }: Linkage, capsule: Capsule, { absent }: Closure): Named[] {
  const names = absent.filter((name) => !name.includes("/"));
  const paths = names.map((soname) => {
    trace.log("search", () => `${soname}: the tree does not have it, and it is optional (DT_AUXILIARY)`);
    const name = `${capsule.token}${TOGETHER}without-${soname}`;
    const path = join(directory.path, name);
    return existsSync(path) ? path : directory.write(name, symbolObject({ soname }).bytes);
  });
  return unnamed(paths);
}

/** As `together`, but undefined if nothing can be written: a full disk, no directory, the process is exiting. */
export function findTogether(linkage: Linkage, capsule: Capsule, files: readonly Named[]): string | undefined {
  return unlessRefused(
    () => together(linkage, capsule, files),
    ({ message }) => linkage.trace.log("capsule", () => `one behind the other: ${message}`),
  );
}

/** Names that ld.so would not search in a directory cannot be links there. */
const canBeLink = (name: string): boolean => !name.includes("/") && !name.includes("$") && ![".", ".."].includes(name);
