// Where what is loaded or run may be kept: nobody else can have put anything there, or
// anything else in its place.

/** Of a file, as lstat(2) has it. */
export interface Owner {
  readonly uid: number;
  /** With the type. */
  readonly mode: number;
}

const [S_IFMT, S_IFDIR, S_ISVTX] = [0o170000, 0o040000, 0o1000];
const OTHERS_WRITE = 0o022;
/** Whoever is not mapped in a user namespace, as root is not in most, appears as that. */
const OVERFLOW = 65534;

/**
 * Can this user alone write to a directory, and can nobody but root and this user put another in the place of it, or of
 * one above? `path` is absolute. Links are none: where they lead has ways of its own.
 */
export function isTrusted(
  path: string,
  ownerOf: (path: string) => Owner | undefined,
  uid = process.getuid?.(),
): boolean {
  const parts = path.split("/").filter(Boolean);
  return Array.from({ length: parts.length + 1 }, (_, i) => `/${parts.slice(0, i).join("/")}`).every((directory, i) => {
    const owner = ownerOf(directory);
    if (!owner || (owner.mode & S_IFMT) !== S_IFDIR) return false;
    if (i === parts.length) return owner.uid === uid && (owner.mode & OTHERS_WRITE) === 0;
    const isSafe = (owner.mode & OTHERS_WRITE) === 0 || (owner.mode & S_ISVTX) !== 0;
    return isSafe && [0, uid, OVERFLOW].includes(owner.uid);
  });
}

/**
 * Can what a file says about a program be believed: did root, this user, or who could as well have changed the program,
 * write it, and can nobody else? `about` is the program and its directory, for a file that lies beside it.
 */
export function isTrustedFile(
  file: Owner,
  about: { readonly program: Owner; readonly directory: Owner } | undefined,
  uid = process.getuid?.(),
): boolean {
  if ((file.mode & OTHERS_WRITE) !== 0) return false;
  if (file.uid === 0 || file.uid === uid) return true;
  // Two users who are not mapped look the same, so the directory must not be open to others either.
  return about !== undefined && about.program.uid === file.uid && (about.directory.mode & OTHERS_WRITE) === 0;
}
