// Where placeholders are kept from run to run, as making one takes some milliseconds:
// each under a name that says of which file it was made and how long it is:
//
//   FORMAT-HASH-SIZE.so    the last two in base 36

import { lstatSync, readdirSync, rmSync, utimesSync } from "node:fs";
import { join } from "node:path";
import type { System } from "../../lib/process/system.ts";
import { unlessRefused } from "../../lib/system-error.ts";
import { writeWhole } from "../../lib/whole-file.ts";
import type { Trace } from "../diagnostics/trace.ts";
import { isOurs } from "../directories/private-directory.ts";
import { usableCache } from "../reexec/kept-directories.ts";

/** Another number whenever the bytes of a placeholder change. */
const FORMAT = 6;
const DAY = 24 * 60 * 60 * 1000;
/** Unused for so long, a kept shim is removed; in milliseconds. */
const KEPT_FOR = 30 * DAY;
/** As long as nobody takes to write one. */
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

  /** Undefined where nothing can be kept or loaded, or where others can write: what is in there would be loaded. */
  static open(directory: string, system: System, trace: Trace): PlaceholderCache | undefined {
    const refuse = (reason: string) => trace.log("shim", () => `${directory}: nothing is kept there${reason}`);
    const usable = usableCache(directory, system, refuse);
    return usable === undefined ? undefined : new PlaceholderCache(usable, trace, readdirSync(usable));
  }

  /** The file of that name, if it is whole. */
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

  /** Undefined where it cannot be written. */
  add(key: string, bytes: Uint8Array): string | undefined {
    if (!this.#isUsable) return undefined;
    const path = join(this.directory, `${FORMAT}-${key}-${bytes.length.toString(36)}.so`);
    const write = (): string => {
      writeWhole(path, bytes);
      this.#hasGrown = true;
      return path;
    };
    return unlessRefused(write, ({ message }) => {
      this.#isUsable = false;
      this.trace.log("shim", () => `${this.directory}: nothing more is kept there: ${message}`);
    });
  }

  /** Removes what nobody will use any more; only now and then, when there is something new. */
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

const sizeIn = (name: string): number => Number.parseInt(/-(\w+)\.so$/.exec(name)?.[1] ?? "", 36);
