// Files and directories of our own that others, or a later run, rely on: written whole, of a mode that no umask
// changes, and believed only if they are what was written. Nothing else in src and lib writes a file or makes a
// directory.

import {
  chmodSync,
  closeSync,
  fchmodSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { LinkError } from "./link-error.ts";
import { isOurs } from "./ownership.ts";
import { RegularFile } from "./regular-file.ts";
import { unlessRefused } from "./unless.ts";

interface Written {
  /** By default 0600. */
  readonly mode?: number | undefined;
  /** On the disk, too, before it has its name: for what is not checked when it is read. */
  readonly isSynced?: boolean;
}

/**
 * Readers see the whole old file or the whole new one. Returns the path. Throws what writing throws, and leaves no
 * temporary file then.
 */
export function writeWhole(
  path: string,
  content: string | Uint8Array,
  { mode = 0o600, isSynced }: Written = {},
): string {
  const fresh = join(dirname(path), `.${process.pid}-${Math.random().toString(36).slice(2)}.new`);
  const descriptor = openSync(fresh, "wx", mode);
  try {
    try {
      fchmodSync(descriptor, mode);
      writeFileSync(descriptor, content);
      if (isSynced) fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(fresh, path);
    return path;
  } catch (error) {
    unlessRefused(() => unlinkSync(fresh));
    throw error;
  }
}

/** More bytes than any file that is kept. */
const MOST_KEPT = 64 * 2 ** 20;

/** What writeWhole() has left if it was killed. */
export const isUnfinished = (name: string): boolean => /^\.\d+-[a-z\d]*\.new$/.test(name);

/** The content of a file that only this user can have written; undefined for anything else, such as a FIFO. */
export function readOwn(path: string): Buffer | undefined {
  return unlessRefused(() => {
    using file = new RegularFile(path);
    return isOurs(file.stat) && file.stat.size <= MOST_KEPT ? file.bytes(0, file.stat.size) : undefined;
  });
}

/** Makes a directory, of mode 0700, if it is missing. Throws what making it throws. */
export function makeDirectory(path: string): void {
  try {
    mkdirSync(path, 0o700);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return;
    throw error;
  }
  chmodSync(path, 0o700);
}

/** As makeDirectory(), with those above it. */
export function makeDirectories(path: string): void {
  if (isThere(path)) return;
  makeDirectories(dirname(path));
  makeDirectory(path);
}

/** Makes a directory whose name begins with `prefix`, as mkdtemp(3). Returns its path. Throws what making it throws. */
export function makeFreshDirectory(prefix: string): string {
  const path = mkdtempSync(prefix);
  chmodSync(path, 0o700);
  return path;
}

/** True also for a dangling link. */
export const isThere = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;

/** Something to be in a folder. `name` is a path in it. */
export type Entry = { readonly name: string } & (
  | { readonly link: string }
  /** A path of this machine. */
  | { readonly copyOf: string }
  | { readonly text: string }
);

/** The names of entries, by what was done about them. */
export interface Changes {
  readonly made: readonly string[];
  readonly replaced: readonly string[];
  /** They were there, and the same. */
  readonly kept: readonly string[];
}

/** Of a folder that others use, and the files in it: no umask changes them. */
const FOLDER_MODE = 0o755;
const FILE_MODE = 0o644;

/**
 * Puts all entries into a folder, or none of them. What is as it should be is not touched, nor is what has another
 * name. The folder is made if it is missing, but not those above it. Throws LinkError if a link would take the place of
 * a file, or anything that of a directory, and what writing throws; the folder is as before then.
 */
export function putAll(folder: string, entries: readonly Entry[]): Changes {
  using undo = new Undo();
  if (makeFolder(folder)) undo.add(() => rmdirSync(folder));
  removeStages(folder);
  const changes = changesIn(folder, entries);
  const fresh = entries.filter(({ name }) => !changes.kept.includes(name));
  if (fresh.length > 0) {
    // Inside, so that renaming is possible whatever is mounted there.
    const stage = makeFreshDirectory(join(folder, STAGE));
    undo.always(() => rmSync(stage, { recursive: true }));
    // Everything that takes time, or can fail for want of space, comes before the first name changes.
    const staged = fresh.map((entry, i) => [entry.name, makeEntry(join(stage, `${i}`), entry)] as const);
    for (const [i, [name, path]] of staged.entries()) {
      for (const directory of directoriesAbove(folder, name))
        if (makeFolder(directory)) undo.add(() => rmdirSync(directory));
      const target = join(folder, name);
      const former = join(stage, `${i}.former`);
      const isOther = changes.replaced.includes(name);
      if (isOther) linkSync(target, former);
      renameSync(path, target);
      undo.add(() => (isOther ? renameSync(former, target) : unlinkSync(target)));
    }
  }
  undo.forget();
  return changes;
}

/** Of directories in which entries are made: mkdtemp(3) adds six characters. */
const STAGE = ".capsule-";
/** No run is at work for so long. */
const ABANDONED_MS = 3_600_000;

/** What runs have left that were killed. */
function removeStages(folder: string): void {
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(STAGE) || name.length !== STAGE.length + 6) continue;
    const path = join(folder, name);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    const isLeft = stat?.isDirectory() && isOurs(stat) && Date.now() - stat.mtimeMs > ABANDONED_MS;
    if (isLeft) unlessRefused(() => rmSync(path, { recursive: true }));
  }
}

/** What has to be done in reverse unless all goes well. */
class Undo implements Disposable {
  #steps: { readonly step: () => void; readonly isAlways: boolean }[] = [];

  add(step: () => void): void {
    this.#steps.push({ step, isAlways: false });
  }
  always(step: () => void): void {
    this.#steps.push({ step, isAlways: true });
  }
  forget(): void {
    this.#steps = this.#steps.filter(({ isAlways }) => isAlways);
  }
  /** One that fails is no reason to leave the others out. */
  [Symbol.dispose](): void {
    for (const { step } of this.#steps.reverse()) unlessRefused(step);
  }
}

/** What putAll() would do. Throws as it does for what is in the way. */
export function changesIn(folder: string, entries: readonly Entry[]): Changes {
  const changes = { made: [] as string[], replaced: [] as string[], kept: [] as string[] };
  for (const entry of entries) {
    const path = join(folder, entry.name);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    const refuse = (what: string) =>
      new LinkError(`Cannot put "${entry.name}" into "${folder}": ${what} of that name is there already`, {
        object: path,
      });
    if (stat?.isDirectory()) throw refuse("a directory");
    if (stat && !stat.isSymbolicLink() && "link" in entry) throw refuse("a file that is no symbolic link");
    const kind = stat === undefined ? "made" : isAlready(path, stat.isSymbolicLink(), entry) ? "kept" : "replaced";
    changes[kind].push(entry.name);
  }
  return changes;
}

function isAlready(path: string, isLink: boolean, entry: Entry): boolean {
  if ("link" in entry) return isLink && readlinkSync(path) === entry.link;
  if (isLink) return false;
  using file = new RegularFile(path);
  if ("text" in entry) {
    const text = Buffer.from(entry.text);
    return file.stat.size === text.length && file.bytes(0, text.length).equals(text);
  }
  using source = new RegularFile(entry.copyOf);
  if (file.stat.size !== source.stat.size || modeOf(source) !== (file.stat.mode & 0o777)) return false;
  for (let at = 0; at < source.stat.size; at += PIECE)
    if (!file.bytes(at, PIECE).equals(source.bytes(at, PIECE))) return false;
  return true;
}

/** Bytes that are copied or compared at once. */
const PIECE = 1 << 20;

/** Libraries need not be executable, but some are run as programs. */
const modeOf = ({ stat }: RegularFile): number => FILE_MODE | (stat.mode & 0o111);

function makeEntry(path: string, entry: Entry): string {
  if ("link" in entry) symlinkSync(entry.link, path);
  else if ("text" in entry) writeWhole(path, entry.text, { mode: FILE_MODE });
  else copyFile(entry.copyOf, path);
  return path;
}

function copyFile(from: string, to: string): void {
  using source = new RegularFile(from);
  const descriptor = openSync(to, "wx", 0o600);
  try {
    for (let at = 0; at < source.stat.size; at += PIECE) {
      const piece = source.bytes(at, PIECE);
      if (piece.length === 0) break;
      for (let done = 0; done < piece.length; ) done += writeSync(descriptor, piece, done);
    }
    fchmodSync(descriptor, modeOf(source));
  } finally {
    closeSync(descriptor);
  }
}

/** Of an entry: those between it and the folder, from the top. */
function directoriesAbove(folder: string, name: string): string[] {
  const parts = name.split("/").slice(0, -1);
  return parts.map((_, i) => join(folder, ...parts.slice(0, i + 1)));
}

/** Returns whether it was missing. Throws what making it throws. */
function makeFolder(path: string): boolean {
  try {
    mkdirSync(path, FOLDER_MODE);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
  chmodSync(path, FOLDER_MODE);
  return true;
}
