// An object of ours that needs others and is opened in their place: glibc maps what it
// names first, each by its path, and so finds everything else by its soname.
//
// A name that a library does not have itself (DT_NEEDED has "libR.so", and the file no
// DT_SONAME, or another one) is known to glibc only once it has found the file by that
// name (2.31-2.41). So it has to find it: the name comes right behind the path, and
// leads to the same file by a link, in a directory that is searched before all others
// (DT_RPATH). glibc sees that it has the file already, and learns the name. The library
// stays where it is to dladdr(3), $ORIGIN and debuggers.

import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { symbolObject } from "../../lib/elf/write/symbol-object.ts";
import { unlessRefused } from "../../lib/system-error.ts";
import type { Closure } from "../../lib/tree/closure.ts";
import type { Capsule, Launch } from "./launch.ts";

/** A file, and names by which glibc shall know it besides what the file says. */
export interface Named {
  readonly path: string;
  readonly names: readonly string[];
}

export const unnamed = (paths: readonly string[]): Named[] => paths.map((path) => ({ path, names: [] }));

const TOGETHER = "-together-";

/** Is it an object of ours that is only there for others, by its path? */
export const isHelper = (path: string): boolean => basename(path).includes(TOGETHER);

/**
 * An object that needs these files; a path. There is one for each list, however often it is asked for. Throws what
 * writing throws.
 */
export function together({ directory, trace }: Launch, capsule: Capsule, files: readonly Named[]): string {
  trace.log("capsule", () => `opening ${files.map(({ path }) => path).join(" ")}`);
  const links = files.flatMap(({ path, names }) => names.filter(canBeLink).map((name) => [name, path] as const));
  const needed = files.flatMap(({ path, names }) => [path, ...names.filter(canBeLink)]);
  const list = [...needed, ...links.flat()].join("\0");
  const name = `${capsule.token}${TOGETHER}${Bun.hash(list).toString(36)}.so`;
  const path = join(directory.path, name);
  const names = `${name}.names`;
  if (existsSync(path) && (links.length === 0 || existsSync(join(directory.path, names)))) return path;
  if (links.length === 0) return directory.write(name, symbolObject({ soname: name, needed }).bytes);
  const { bytes } = symbolObject({ soname: name, needed, rpath: `$ORIGIN/${names}` });
  const written = directory.write(name, bytes);
  for (const [link, file] of links)
    trace.log("capsule", () => `${file}: needed as "${link}", which is no name of its own`);
  directory.link(names, new Map(links));
  return written;
}

/** What the tree lacks, and glibc would look for on the machine (DT_AUXILIARY): there is something of that name. */
export function absentees({ directory, trace }: Launch, capsule: Capsule, { absent }: Closure): Named[] {
  const names = absent.filter((name) => !name.includes("/"));
  const paths = names.map((soname) => {
    trace.log("search", () => `${soname}: the tree does not have it, and it is optional (DT_AUXILIARY)`);
    const name = `${capsule.token}${TOGETHER}without-${soname}`;
    const path = join(directory.path, name);
    return existsSync(path) ? path : directory.write(name, symbolObject({ soname }).bytes);
  });
  return unnamed(paths);
}

/**
 * As `together`, but undefined where nothing can be written: the disk is full, the directory gone, the process at its
 * end.
 */
export function findTogether(launch: Launch, capsule: Capsule, files: readonly Named[]): string | undefined {
  return unlessRefused(
    () => together(launch, capsule, files),
    ({ message }) => launch.trace.log("capsule", () => `one behind the other: ${message}`),
  );
}

/** What ld.so would not look for in a directory cannot be linked there. */
const canBeLink = (name: string): boolean => !name.includes("/") && !name.includes("$") && ![".", ".."].includes(name);
