// Knowledge about library files, kept between runs: reading and checking a graphics stack takes longer than linking it.
// A file is identified by its path and identity (device, inode, size, times of change), so an entry is never wrong for
// long, and the store may be lost at any time.

import { statSync } from "node:fs";
import { dirname } from "node:path";
import { type Check, checkFile } from "../elf/check.ts";
import { type Library, readLibrary } from "../elf/library.ts";
import { makeDirectories, readOwn, writeWhole } from "../own-files.ts";
import { sealed, unsealed } from "../sealed.ts";
import { unlessRefused } from "../unless.ts";

/** Must change whenever an entry's shape or the checks change. */
const VERSION = 22;
/** With more entries than this, the store starts afresh: trees come and go. */
const LIMIT = 1000;

interface StoreEntry {
  readonly identity: string;
  readonly library: Library;
  readonly check?: Check | undefined;
  /** The result of the last comparison with another file. */
  readonly compared?: { readonly other: string; readonly result: boolean } | undefined;
}

interface Kept {
  readonly entries: Readonly<Record<string, StoreEntry>>;
  /** Answers about several files together. */
  readonly together: Readonly<Record<string, readonly string[]>>;
}

export class LibraryStore {
  #kept?: Kept;
  readonly #learned = new Map<string, StoreEntry>();
  readonly #together = new Map<string, readonly string[]>();
  /** Entries whose identity has been verified in this run. */
  readonly #fresh = new Map<string, StoreEntry>();

  /**
   * `file` is the store's path; without one it lasts for this run. `reading` is given the path of each file before it
   * is read.
   */
  constructor(
    readonly file?: string,
    readonly reading: (path: string) => void = () => {},
  ) {}

  /** Verifies identities again: a file may have been replaced. */
  refresh(): void {
    this.#fresh.clear();
  }

  /** The same for all paths of one file, as ld.so identifies files by device and inode. Throws what stat(2) throws. */
  identity(path: string): string {
    return this.known(path)?.identity ?? identityOf(path);
  }

  /** Whether a file is the one that is known by that path, or nothing is known of it. */
  isCurrent(path: string): boolean {
    const fresh = this.#fresh.get(path);
    return fresh === undefined || unlessRefused(() => identityOf(path)) === fresh.identity;
  }

  /** The entry of a file that has not changed since. Throws what stat(2) throws. */
  known(path: string): StoreEntry | undefined {
    const fresh = this.#fresh.get(path);
    if (fresh) return fresh;
    this.#kept ??= this.#load();
    const { entries } = this.#kept;
    const kept = Object.hasOwn(entries, path) ? entries[path] : undefined;
    if (!kept || kept.identity !== identityOf(path)) return undefined;
    this.#fresh.set(path, kept);
    return kept;
  }

  /** Throws what open(2) throws, and ElfError. */
  read(path: string): Library {
    const known = this.known(path);
    if (known) return known.library;
    // Taken before reading: if the file is replaced meanwhile, the old contents must not get the new identity.
    const identity = identityOf(path);
    this.reading(path);
    const library = readLibrary(path);
    this.#learn(path, { identity, library });
    return library;
  }

  /** Checks once whether a loader can trust a file. Throws what open(2) throws, and ElfError. */
  check(path: string, check: Check): void {
    const before = this.known(path)?.check;
    if (before === "whole" || before === check) return;
    const identity = identityOf(path);
    this.reading(path);
    checkFile(path, check);
    this.#learn(path, { identity, library: readLibrary(path), check });
  }

  /** The result of comparing two files; calls `compare` unless it is known. Throws what `compare` and read() throw. */
  compare(path: string, other: string, compare: () => boolean): boolean {
    this.read(path);
    const before = this.known(path);
    const key = `${other} ${identityOf(other)}`;
    if (before?.compared?.other === key) return before.compared.result;
    const result = compare();
    if (before) this.#learn(path, { ...before, compared: { other: key, result } });
    return result;
  }

  /**
   * The answer to a question about several files, in their order; calls `find` unless it is known. Throws what `find`
   * and stat(2) throw.
   */
  ofAll(paths: readonly string[], question: string, find: () => readonly string[]): readonly string[] {
    const identities = paths.map((path) => this.identity(path));
    const key = new Bun.CryptoHasher("sha256").update([question, ...identities].join("\0")).digest("base64url");
    this.#kept ??= this.#load();
    const { together } = this.#kept;
    const known = this.#together.get(key) ?? (Object.hasOwn(together, key) ? together[key] : undefined);
    if (known) return known;
    const found = find();
    this.#together.set(key, found);
    return found;
  }

  /**
   * Writes what has been learned since the last save. On failure it returns the reason, and later runs find it out
   * again.
   */
  save(): string | undefined {
    if (this.file === undefined || this.#learned.size + this.#together.size === 0) return undefined;
    try {
      this.#write(this.file);
      return undefined;
    } catch (error) {
      // For example, a full disk or a read-only home.
      if ((error as NodeJS.ErrnoException).code === undefined) throw error;
      return (error as Error).message;
    }
  }

  #write(file: string): void {
    const kept = this.#load();
    const entries = { ...atMost(kept.entries), ...Object.fromEntries(this.#learned) };
    const together = { ...atMost(kept.together), ...Object.fromEntries(this.#together) };
    makeDirectories(dirname(file));
    writeWhole(file, sealed(VERSION, { entries, together } satisfies Kept));
    this.#kept = { entries, together };
    this.#learned.clear();
    this.#together.clear();
  }

  #learn(path: string, entry: StoreEntry): void {
    this.#fresh.set(path, entry);
    this.#learned.set(path, entry);
  }

  /** Missing, damaged, of another version, or another user's, which is not to be trusted: start empty. */
  #load(): Kept {
    const bytes = this.file === undefined ? undefined : readOwn(this.file);
    return ((bytes && unsealed(VERSION, bytes.toString())) as Kept | undefined) ?? { entries: {}, together: {} };
  }
}

const atMost = <Value>(kept: Readonly<Record<string, Value>>): Readonly<Record<string, Value>> =>
  Object.keys(kept).length > LIMIT ? {} : kept;

function identityOf(path: string): string {
  const { dev, ino, size, mtimeMs, ctimeMs } = statSync(path);
  return `${dev}:${ino}:${size}:${mtimeMs}:${ctimeMs}`;
}
