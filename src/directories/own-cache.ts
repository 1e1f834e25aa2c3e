// Whether the user's cache is this user's own. With the HOME of somebody else (sudo -E), root would leave files there
// that the other user cannot remove, or write to wherever a link of theirs leads.

import { lstatSync, statSync } from "node:fs";
import { unlessRefused } from "../../lib/unless.ts";
import { OVERFLOW } from "./trusted.ts";
import { cacheOf } from "./user-cache.ts";

/**
 * Where knowledge of libraries is kept; undefined without a home, or in somebody else's. What looks at thousands has a
 * file of its own, as a run reads all of its.
 */
export function storeFile(name: "libraries" | "captured" = "libraries"): string | undefined {
  const cache = cacheOf(process.env);
  return cache !== undefined && isOwnCache(cache) ? `${cache}/${name}.json` : undefined;
}

/** Is the directory this user's, or would it be made in one of this user's or root's? `path` is absolute. */
export function isOwnCache(path: string, uid = process.getuid?.()): boolean {
  const isOwn = (owner: number) => [0, uid, OVERFLOW].includes(owner);
  const parts = path.split("/").filter(Boolean);
  const look = (): boolean => {
    let last = statSync("/");
    for (let i = 1; i <= parts.length; i++) {
      const part = `/${parts.slice(0, i).join("/")}`;
      const stat = lstatSync(part, { throwIfNoEntry: false });
      if (!stat) break;
      // Whoever has a directory can replace what is in it. Only root could be led anywhere by that.
      if ((uid === 0 || stat.isSymbolicLink()) && !isOwn(stat.uid)) return false;
      last = stat.isSymbolicLink() ? statSync(part) : stat;
    }
    return isOwn(last.uid);
  };
  return unlessRefused(look) ?? false;
}
