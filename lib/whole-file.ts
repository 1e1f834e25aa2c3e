// Files that somebody else may read at any time: what is there by the name is whole, the
// old one or the new one.

import { renameSync, rmSync, writeFileSync } from "node:fs";

/** Nobody else may read it (0600). Throws what writing throws, and leaves nothing else behind then. */
export function writeWhole(path: string, content: string | Uint8Array): void {
  const fresh = `${path}.${process.pid}-${performance.now()}`;
  try {
    writeFileSync(fresh, content, { mode: 0o600, flag: "wx" });
    renameSync(fresh, path);
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  }
}
