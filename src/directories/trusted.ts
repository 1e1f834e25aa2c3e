// Which places are safe for files to load or run: nobody else can have written or replaced anything there.

import { OTHERS_WRITE } from "../../lib/ownership.ts";

/** A file's owner, from lstat(2). */
export interface Owner {
  readonly uid: number;
  /** Including the file type. */
  readonly mode: number;
}

const [S_IFMT, S_IFDIR, S_ISVTX] = [0o170000, 0o040000, 0o1000];
/** Users that a user namespace does not map appear as this one; in most, root is one of them. */
export const OVERFLOW = 65534;

type OwnerOf = (path: string) => Owner | undefined;

/**
 * Can only this user write to a directory, and only root and this user replace it or a directory above? `path` is
 * absolute. Symbolic links are refused: the way to their target would have to be checked, too.
 */
export function isTrusted(path: string, ownerOf: OwnerOf, uid = process.getuid?.()): boolean {
  const owner = ownerOf(path);
  if (!owner || !isDirectory(owner) || owner.uid !== uid || (owner.mode & OTHERS_WRITE) !== 0) return false;
  return openedAbove(path.slice(0, path.lastIndexOf("/")), ownerOf, uid) === undefined;
}

/**
 * The first directory on the way to this one, or itself, in which others may replace what this user has made; undefined
 * if there is none. `path` is absolute.
 */
export function openedAbove(path: string, ownerOf: OwnerOf, uid = process.getuid?.()): string | undefined {
  const parts = path.split("/").filter(Boolean);
  const all = Array.from({ length: parts.length + 1 }, (_, i) => `/${parts.slice(0, i).join("/")}`);
  // The owner of the root directory has the system's own files, too, whoever that is.
  const trusted = [0, uid, OVERFLOW, ownerOf("/")?.uid];
  return all.find((directory) => {
    const owner = ownerOf(directory);
    if (!owner || !isDirectory(owner) || !trusted.includes(owner.uid)) return true;
    return (owner.mode & OTHERS_WRITE) !== 0 && (owner.mode & S_ISVTX) === 0;
  });
}

const isDirectory = ({ mode }: Owner): boolean => (mode & S_IFMT) === S_IFDIR;

/**
 * Can a file about a program be trusted: did root, this user, or a user who could have changed the program itself write
 * it, and nobody else? `about` is the program and its directory, for a file beside it.
 */
export function isTrustedFile(
  file: Owner,
  about: { readonly program: Owner; readonly directory: Owner } | undefined,
  uid = process.getuid?.(),
): boolean {
  if ((file.mode & OTHERS_WRITE) !== 0) return false;
  if (file.uid === 0 || file.uid === uid) return true;
  // Two unmapped users look the same, so the directory must not be open to others either.
  return about !== undefined && about.program.uid === file.uid && (about.directory.mode & OTHERS_WRITE) === 0;
}
