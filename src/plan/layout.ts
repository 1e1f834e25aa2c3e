// How a host tree is laid out: directories that the user names, and those in which distributions without /usr/lib and
// ld.so.cache keep drivers.

import { readdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { ElfError } from "../../lib/elf/error.ts";
import { LinkError } from "../../lib/link-error.ts";
import type { Layout } from "../../lib/tree/layout.ts";
import type { LibraryStore } from "../../lib/tree/library-store.ts";
import type { Tree } from "../../lib/tree/tree.ts";
import { SystemFault, unless, unlessRefused } from "../../lib/unless.ts";
import { DRIVER_PLACES } from "../profiles/profiles.ts";
import type { FurtherDirectories } from "../settings/tree-options.ts";

/** Directories that the tree does not have are left out. Nothing is read in a tree without driver directories. */
export function layoutOf(tree: Tree, { libraries, shares }: FurtherDirectories, store: LibraryStore): Layout {
  const there = (directories: readonly string[]) => [...new Set(directories.filter((path) => isDirectory(tree, path)))];
  const inTree = (path: string) => (tree.root !== "" && tree.holds(path) ? tree.inside(path) : path);
  const places = DRIVER_PLACES.filter((place) => resolved(tree, place) !== undefined);
  const own = there(places.map((place) => `${place}/lib`));
  return {
    first: there(libraries.map(inTree)),
    last: there([...own, ...own.flatMap((directory) => besideDrivers(tree, directory, store))]),
    shares: there([...shares.map(inTree), ...places.map((place) => `${place}/share`)]),
  };
}

const isDirectory = (tree: Tree, path: string): boolean => {
  const real = resolved(tree, path);
  return real !== undefined && unlessRefused(() => statSync(real))?.isDirectory() === true;
};

/** Undefined also if links loop or leave the tree. */
const resolved = (tree: Tree, path: string): string | undefined =>
  unless([LinkError, SystemFault], () => tree.resolve(path));

/** Drivers that glvnd opens by name, and libgbm. */
const DRIVERS = /^(lib(GLX|EGL)_\w+\.so\.0|libgbm\.so\.1)$/;

/**
 * The directories of the driver files themselves and their search paths: the program has to use the same libX11 as a
 * driver, and all have to use its libc.
 */
function besideDrivers(tree: Tree, directory: string, store: LibraryStore): string[] {
  const real = resolved(tree, directory);
  const names = (real && unlessRefused(() => readdirSync(real))) || [];
  return names
    .filter((name) => DRIVERS.test(name))
    .flatMap((name) => {
      const path = resolved(tree, `${directory}/${name}`);
      return path === undefined ? [] : [dirname(tree.inside(path)), ...searchPathOf(path, tree, store)];
    });
}

function searchPathOf(path: string, tree: Tree, store: LibraryStore): string[] {
  // Opening the file reports an error.
  const { runpath, rpath } = unless([ElfError, SystemFault], () => store.read(path)) ?? {};
  const elements = (runpath ?? rpath ?? "").split(":").filter((element) => /^(\/|\$\{?ORIGIN)/.test(element));
  return elements.map((element) => element.replace(/\$(ORIGIN|\{ORIGIN\})/g, dirname(tree.inside(path))));
}
