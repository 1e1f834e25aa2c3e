// Files next to the library's own: index.ts in src/, or index.js in the built dist/. An application that bundles the
// library leaves them behind.

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { LinkError } from "../../lib/link-error.ts";

const IS_SOURCE = import.meta.path.endsWith("src/library/own-file.ts");

/** `name` has no extension, and is relative to src/ or dist/. Throws LinkError if the file does not exist. */
export function ownFile(name: string): string {
  const root = IS_SOURCE ? dirname(import.meta.dir) : import.meta.dir;
  const path = join(root, `${name}${IS_SOURCE ? ".ts" : ".js"}`);
  if (existsSync(path)) return path;
  throw new LinkError(
    `Cannot find "${path}", which belongs to capsule: it cannot be part of a bundle (bun build --external capsule)`,
    { object: path },
  );
}

/** The Bun that runs the command: this one, unless this is a compiled executable. Throws LinkError if there is none. */
export function ownBun(): string {
  if (!Bun.main.startsWith("/$bunfs/")) return process.execPath;
  const path = Bun.which("bun");
  if (path) return path;
  throw new LinkError(
    "Cannot find bun: an executable that was made by bun build --compile needs one on PATH for capsule",
    { object: "bun" },
  );
}
