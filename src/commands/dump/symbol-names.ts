// The names of symbols that relocations refer to, with versions.

import type { FileImage } from "../../../lib/elf/file.ts";
import type { SymbolTable } from "../../../lib/elf/sym.ts";
import { VersionLabels } from "../../../lib/elf/version-labels.ts";
import type { Subject } from "./subject.ts";

export class SymbolNames {
  readonly #symbols: SymbolTable | undefined;
  /** Undefined if the versions cannot be read: a name without a version is better than none. */
  readonly #labels: VersionLabels | undefined;
  readonly #known = new Map<number, string | undefined>();

  constructor(
    readonly subject: Subject,
    image: FileImage,
  ) {
    this.#symbols = subject.attempt(() => image.symbols);
    this.#labels = subject.attempt(() => {
      // Read everything that a label needs now: a failure here would recur for each label.
      void [image.versym, image.verneeds];
      return new VersionLabels(image);
    });
  }

  /** name@@VERSION or name@VERSION. Empty if the symbol has no name, undefined if the name cannot be read. */
  of(index: number): string | undefined {
    return this.#known.getOrInsertComputed(index, () => this.subject.attempt(() => this.#nameOf(index)));
  }

  #nameOf(index: number): string | undefined {
    const symbols = this.#symbols;
    return symbols && symbols.nameOf(symbols.at(index)) + (this.#labels?.suffixOf(index) ?? "");
  }
}
