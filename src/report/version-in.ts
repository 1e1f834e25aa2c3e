// The release of a library, as given by its file name.

import { basename } from "node:path";

/** The text after ".so." in a file name, or before ".so" ("libc-2.31.so"). Empty if there is none. */
export function versionIn(path: string): string {
  const name = basename(path);
  return /\.so\.(\d[\w.+-]*)$/.exec(name)?.[1] ?? /-(\d[\w.+-]*)\.so$/.exec(name)?.[1] ?? "";
}
