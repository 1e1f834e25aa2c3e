// Files beside the library's own: index.ts in src/, index.js in the bundle, dist/. Who has
// put the library into a bundle of his own has left them behind.

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { LinkError } from "../../lib/link-error.ts";

const IS_SOURCE = import.meta.path.endsWith("src/library/own-file.ts");

/** `name` has no ending, and is below src/ or dist/. Throws LinkError where there is no such file. */
export function ownFile(name: string): string {
  const root = IS_SOURCE ? dirname(import.meta.dir) : import.meta.dir;
  const path = join(root, `${name}${IS_SOURCE ? ".ts" : ".js"}`);
  if (existsSync(path)) return path;
  throw new LinkError(
    `Cannot find "${path}", which belongs to capsule: it cannot be part of a bundle (bun build --external capsule)`,
    { object: path },
  );
}

/**
 * The Bun that runs the command: this one, unless it is a launcher that was compiled. Throws LinkError where there is
 * none.
 */
export function ownBun(): string {
  if (!Bun.main.startsWith("/$bunfs/")) return process.execPath;
  const path = Bun.which("bun");
  if (path) return path;
  throw new LinkError(
    "Cannot find bun: an executable that was made by bun build --compile needs one on PATH for capsule",
    {
      object: "bun",
    },
  );
}
