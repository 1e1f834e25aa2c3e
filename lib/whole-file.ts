// Files that others may read at any time: a reader sees the whole old file or the whole new one.

import { renameSync, rmSync, writeFileSync } from "node:fs";

/** Returns the path. The file's mode is 0600. Throws what writing throws, and leaves no temporary file then. */
export function writeWhole(path: string, content: string | Uint8Array): string {
  const fresh = `${path}.${process.pid}-${performance.now()}`;
  try {
    writeFileSync(fresh, content, { mode: 0o600, flag: "wx" });
    renameSync(fresh, path);
    return path;
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  }
}
