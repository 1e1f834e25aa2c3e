// The names of symbols that relocations are about, with versions.

import type { FileImage } from "../../../lib/elf/file.ts";
import type { SymbolTable } from "../../../lib/elf/sym.ts";
import { VersionLabels } from "../../../lib/elf/version-labels.ts";
import type { Subject } from "./subject.ts";

export class SymbolNames {
  readonly #symbols: SymbolTable | undefined;
  /** Undefined where the versions cannot be read: a name without one is better than none. */
  readonly #labels: VersionLabels | undefined;
  readonly #known = new Map<number, string | undefined>();

  constructor(
    readonly subject: Subject,
    image: FileImage,
  ) {
    this.#symbols = subject.attempt(() => image.symbols);
    this.#labels = subject.attempt(() => {
      // All that a label takes, now: what fails here would fail for each of them.
      void [image.versym, image.verneeds];
      return new VersionLabels(image);
    });
  }

  /** name@@VERSION or name@VERSION; empty where it has no name, undefined where that cannot be read. */
  of(index: number): string | undefined {
    if (this.#known.has(index)) return this.#known.get(index);
    const name = this.subject.attempt(() => this.#nameOf(index));
    this.#known.set(index, name);
    return name;
  }

  #nameOf(index: number): string | undefined {
    const symbols = this.#symbols;
    return symbols && symbols.nameOf(symbols.at(index)) + (this.#labels?.suffixOf(index) ?? "");
  }
}
