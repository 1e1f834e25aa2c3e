// Symbols with their versions, as tools write them: name@@VERSION is what a reference
// without a version gets, name@VERSION any other that is defined, or one that is needed.

import type { Image } from "./image.ts";

export class VersionLabels {
  readonly #own: ReadonlySet<number>;

  /** Throws ElfError. */
  constructor(readonly image: Image) {
    // By the versions of others are what it needs of them, and its copies of their objects.
    this.#own = new Set(image.verdefs.filter(({ isBase }) => !isBase).map(({ index }) => index));
  }

  isDefault(symbol: number): boolean {
    const { versym } = this.image;
    return versym !== undefined && this.#own.has(versym.at(symbol)) && !versym.isHidden(symbol);
  }

  /** What to write behind a symbol's name; empty where it has no version. */
  suffixOf(symbol: number): string {
    const version = this.image.versionOf(symbol);
    return version === undefined ? "" : `${this.isDefault(symbol) ? "@@" : "@"}${version}`;
  }
}
