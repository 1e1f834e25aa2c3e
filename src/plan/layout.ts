// How a host tree is laid out: the directories that the user names, and those that
// distributions have for drivers where there is no /usr/lib and no ld.so.cache.

import { readdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { ElfError } from "../../lib/elf/error.ts";
import { LinkError } from "../../lib/link-error.ts";
import { unlessRefused } from "../../lib/system-error.ts";
import type { Layout } from "../../lib/tree/layout.ts";
import type { LibraryStore } from "../../lib/tree/library-store.ts";
import type { Tree } from "../../lib/tree/tree.ts";
import { DRIVER_PLACES } from "../profiles/profiles.ts";
import type { FurtherDirectories } from "../settings/tree-options.ts";

/** Of what is named only what the tree has. Nothing is read in a tree without drivers' directories. */
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

/** Undefined also where links loop, or lead out of the tree. */
function resolved(tree: Tree, path: string): string | undefined {
  try {
    return unlessRefused(() => tree.resolve(path));
  } catch (error) {
    if (error instanceof LinkError) return undefined;
    throw error;
  }
}

/** What glvnd opens by their names, and what these hand to programs. */
const DRIVERS = /^(lib(GLX|EGL)_\w+\.so\.0|libgbm\.so\.1)$/;

/**
 * Where the drivers in a directory really are, and where they find what they need: a driver's libX11 has to be the
 * program's, too, and its libc everybody's.
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
  try {
    const { runpath, rpath } = store.read(path);
    const elements = (runpath ?? rpath ?? "").split(":").filter((element) => /^(\/|\$\{?ORIGIN)/.test(element));
    return elements.map((element) => element.replace(/\$(ORIGIN|\{ORIGIN\})/g, dirname(tree.inside(path))));
  } catch (error) {
    // Whoever opens it is told.
    if (error instanceof ElfError || (error as NodeJS.ErrnoException).code !== undefined) return [];
    throw error;
  }
}
