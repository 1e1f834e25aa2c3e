// Files beside the library's own: index.ts in src/, index.js in the bundle, dist/.

import { dirname, join } from "node:path";

const IS_SOURCE = import.meta.path.endsWith(".ts");

/** `name` has no ending, and is below src/ or dist/. */
export function ownFile(name: string): string {
  const root = IS_SOURCE ? dirname(import.meta.dir) : import.meta.dir;
  return join(root, `${name}${IS_SOURCE ? ".ts" : ".js"}`);
}
