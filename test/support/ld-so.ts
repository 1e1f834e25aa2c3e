// What a tree's own ld.so says of a program or a library of the tree, with the tree as its root.

import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { ElfError } from "../../lib/elf/error.ts";
import { type Library, readLibrary } from "../../lib/elf/library.ts";
import type { Tree } from "../../lib/tree/tree.ts";
import { unlessRefused } from "../../lib/unless.ts";

const LOADER = "/lib64/ld-linux-x86-64.so.2";

export interface Listed {
  /** Paths of this machine in the order of loading, ld.so and the file itself not among them. */
  readonly paths: readonly string[];
  /** The names that it has not found. */
  readonly missing: readonly string[];
}

/** Another tree than / takes root: chroot(2). Throws where ld.so does not say anything. */
export function listedByLdSo(tree: Tree, path: string): Listed {
  const command = [...(tree.root === "" ? [] : ["chroot", tree.root]), LOADER, "--list", tree.inside(path)];
  const { stdout, stderr } = Bun.spawnSync(command, { env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" } });
  const text = stdout.toString();
  if (text === "") throw new Error(`"${command.join(" ")}" says nothing: ${stderr}`);
  const found = Array.from(text.matchAll(/(?:=> |^\t)(\/\S+) \(0x/gm), ([, inTree = ""]) => tree.resolve(inTree) ?? "");
  const missing = Array.from(text.matchAll(/^\t(\S+) => not found$/gm), ([, name = ""]) => name);
  const loader = tree.resolve(LOADER);
  return { paths: found.filter((file) => file !== loader && file !== path), missing };
}

/** Our own answer in the same terms: what `self` needs. */
export function filesOf(tree: Tree, members: readonly { readonly library: Library }[], self: Library): string[] {
  const loader = tree.resolve(LOADER);
  return members.map(({ library }) => library.path).filter((path) => path !== loader && path !== self.path);
}

/** Where a tree has programs and libraries. */
export const DIRECTORIES = [
  ...["/usr/bin", "/usr/sbin", "/usr/games", "/usr/lib/systemd"],
  ...["/usr/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu/dri", "/usr/lib/x86_64-linux-gnu/vdpau"],
];

/** The dynamically linked files of some directories of a tree, each once, by what they are without links. */
export function linkedFiles(tree: Tree, directories: readonly string[]): Library[] {
  return filesIn(tree, directories)
    .map(linked)
    .filter((library) => library !== undefined);
}

/** The files of some directories of a tree, each once, as paths of this machine without links. */
export function filesIn(tree: Tree, directories: readonly string[]): string[] {
  const paths = new Set<string>();
  for (const directory of directories) {
    const real = tree.resolve(directory);
    for (const name of (real && unlessRefused(() => readdirSync(real))) || []) {
      const path = tree.resolve(join(directory, name));
      if (path !== undefined && statSync(path).isFile()) paths.add(path);
    }
  }
  return [...paths];
}

function linked(path: string): Library | undefined {
  try {
    return readLibrary(path);
  } catch (error) {
    // Scripts, static programs, linker scripts, what may not be read.
    if (error instanceof ElfError || (error as NodeJS.ErrnoException).code !== undefined) return undefined;
    throw error;
  }
}
