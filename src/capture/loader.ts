// Where the ld.so that programs name is in a tree. A folder with a newer glibc works only with that one.

import { LinkError } from "../../lib/link-error.ts";
import { LOADER_PATH } from "../../lib/tree/glibc-names.ts";
import { openTree } from "../plan/trees.ts";
import { DEFAULT } from "../settings/source.ts";

/** A path in the tree, without symbolic links. Throws LinkError. */
export function loaderOf(directory: string): string {
  const tree = openTree({ value: directory, source: DEFAULT }, "provider");
  const path = tree.resolve(LOADER_PATH);
  if (path === undefined)
    throw new LinkError(`Cannot find "${LOADER_PATH}" in "${tree.name}": there is no such file`, {
      object: LOADER_PATH,
    });
  return tree.inside(path);
}
