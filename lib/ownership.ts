// Which files only this user can have written.

import type { Stats } from "node:fs";

export const OTHERS_WRITE = 0o022;

/** Could only this user have written it? */
export const isOurs = ({ uid, mode }: Pick<Stats, "uid" | "mode">): boolean =>
  uid === process.getuid?.() && (mode & OTHERS_WRITE) === 0;
