// Keeps placeholders from run to run, since making one takes some milliseconds. The name says which file it was made
// from, and how long it is:
//
//   FORMAT-HASH-SIZE.so    the last two in base 36

import { lstatSync, readdirSync, rmSync, utimesSync } from "node:fs";
import { dirname, join } from "node:path";
import { writeWhole } from "../../lib/own-files.ts";
import { isOurs } from "../../lib/ownership.ts";
import type { System } from "../../lib/process/system.ts";
import type { LibraryStore } from "../../lib/tree/library-store.ts";
import { unlessRefused } from "../../lib/unless.ts";
import type { Trace } from "../diagnostics/trace.ts";
import { usableCache } from "../reexec/kept-directories.ts";

/** Must change whenever the bytes of a placeholder, an agent or an auditor change. */
export const FORMAT = 8;
const DAY = 24 * 60 * 60 * 1000;
/** A kept shim that is unused for so long is removed; in milliseconds. */
const KEPT_FOR = 30 * DAY;
/** Longer than writing one takes, in milliseconds. */
const UNFINISHED_FOR = 60 * 60 * 1000;

/** The directory of kept placeholders. */
export class PlaceholderCache {
  readonly #names = new Map<string, string>();
  #isUsable = true;
  #hasGrown = false;

  private constructor(
    readonly directory: string,
    readonly trace: Trace,
    readonly listing: readonly string[],
  ) {
    for (const name of listing) {
      const [format, key] = name.split("-");
      if (format === `${FORMAT}` && key !== undefined && name.endsWith(".so")) this.#names.set(key, name);
    }
  }

  /** Beside a store of libraries; see open(). Undefined for a store that does not last. */
  static at({ file }: LibraryStore, system: System, trace: Trace): PlaceholderCache | undefined {
    return file === undefined ? undefined : PlaceholderCache.open(join(dirname(file), "shims"), system, trace);
  }

  /** Undefined if nothing can be kept or loaded there, or if others can write there: its files are loaded. */
  static open(directory: string, system: System, trace: Trace): PlaceholderCache | undefined {
    const refuse = (reason: string) => trace.log("shim", () => `${directory}: nothing is kept there${reason}`);
    const usable = usableCache(directory, system, refuse);
    return usable === undefined ? undefined : new PlaceholderCache(usable, trace, readdirSync(usable));
  }

  /** The file of that key, if it is complete. */
  find(key: string): string | undefined {
    const name = this.#names.get(key);
    if (name === undefined) return undefined;
    const path = join(this.directory, name);
    return unlessRefused(() => {
      const stat = lstatSync(path, { throwIfNoEntry: false });
      if (!stat?.isFile() || !isOurs(stat) || stat.size !== sizeIn(name)) return undefined;
      const now = Date.now();
      if (now - stat.mtimeMs > DAY) utimesSync(path, now / 1000, now / 1000);
      return path;
    });
  }

  /** Undefined if it cannot be written. */
  add(key: string, bytes: Uint8Array): string | undefined {
    if (!this.#isUsable) return undefined;
    const path = join(this.directory, `${FORMAT}-${key}-${bytes.length.toString(36)}.so`);
    const write = (): string => {
      this.#hasGrown = true;
      return writeWhole(path, bytes);
    };
    return unlessRefused(write, ({ message }) => {
      this.#isUsable = false;
      this.trace.log("shim", () => `${this.directory}: nothing more is kept there: ${message}`);
    });
  }

  /** Removes all whose keys begin so, if there are more than `most`. */
  limit(beginning: string, most: number): void {
    const names = this.listing.filter((name) => name.startsWith(`${FORMAT}-${beginning}`));
    if (names.length > most)
      for (const name of names) unlessRefused(() => rmSync(join(this.directory, name), { force: true }));
  }

  /** Removes what will not be used any more, but only when something new was added. */
  tidy(): void {
    if (!this.#hasGrown) return;
    const now = Date.now();
    for (const name of this.listing) {
      const path = join(this.directory, name);
      unlessRefused(() => {
        const { mtimeMs } = lstatSync(path);
        const age = now - mtimeMs;
        const limit = !name.endsWith(".so") ? UNFINISHED_FOR : name.startsWith(`${FORMAT}-`) ? KEPT_FOR : DAY;
        if (age > limit) rmSync(path, { force: true });
      });
    }
  }
}

/** A key for what is made from these. */
export function keyOf(parts: readonly string[]): string {
  const digest = new Bun.CryptoHasher("sha256").update(parts.join("\0")).digest();
  // Short, since most file systems store links of less than 60 bytes in the inode itself.
  return digest.readBigUInt64LE().toString(36).padStart(13, "0");
}

const sizeIn = (name: string): number => Number.parseInt(/-(\w+)\.so$/.exec(name)?.[1] ?? "", 36);
