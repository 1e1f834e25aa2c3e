// The release of a library, as far as its file says it.

import { basename } from "node:path";

/** What is behind ".so." in a file's name, or before ".so" ("libc-2.31.so"); empty where it says nothing. */
export function versionIn(path: string): string {
  const name = basename(path);
  return /\.so\.(\d[\w.+-]*)$/.exec(name)?.[1] ?? /-(\d[\w.+-]*)\.so$/.exec(name)?.[1] ?? "";
}
