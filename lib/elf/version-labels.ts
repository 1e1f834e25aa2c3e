// Symbols with their versions, as tools write them: name@@VERSION is what an unversioned reference gets; name@VERSION
// is any other defined version, or a needed one.

import type { Image } from "./image.ts";

export class VersionLabels {
  readonly #own: ReadonlySet<number>;

  /** Throws ElfError. */
  constructor(readonly image: Image) {
    // Symbols with versions of others are those it needs from them, and its copies of their objects.
    this.#own = new Set(image.verdefs.filter(({ isBase }) => !isBase).map(({ index }) => index));
  }

  isDefault(symbol: number): boolean {
    const { versym } = this.image;
    return versym !== undefined && this.#own.has(versym.at(symbol)) && !versym.isHidden(symbol);
  }

  /** What to write after a symbol's name; empty if it has no version. */
  suffixOf(symbol: number): string {
    const version = this.image.versionOf(symbol);
    return version === undefined ? "" : `${this.isDefault(symbol) ? "@@" : "@"}${version}`;
  }
}
