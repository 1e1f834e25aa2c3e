// The relocations as the page's script reads them (relocations.page.js lists the columns too). Names and searches are
// stored once: thousands of relocations search the same objects with the same results, which would otherwise be most of
// the page.

import { printable } from "../../diagnostics/output.ts";
import type { ExplainedRelocation, Explanation } from "../explanation.ts";

export interface PageData {
  readonly objects: readonly PageObject[];
  readonly strings: readonly string[];
  /** Objects searched and answers (indices into `strings`), alternating. */
  readonly searches: readonly (readonly number[])[];
  /** Rows with the columns that rowOf() gives. -1 for an absent value. */
  readonly relocations: readonly (readonly number[])[];
}

interface PageObject {
  readonly name: string;
  readonly start: string;
  readonly end: string;
  /** Where the initial image of its thread-local block is mapped. */
  readonly tls: string | undefined;
}

export function pageData(explanation: Explanation): PageData {
  const strings = new Numbered<string>(String);
  const searches = new Numbered<readonly number[]>((search) => search.join());

  const rowOf = (relocation: ExplainedRelocation): number[] => [
    relocation.object,
    strings.of(relocation.table),
    strings.of(relocation.type),
    strings.of(relocation.at),
    strings.of(relocation.vaddr),
    strings.of(relocation.symbol),
    strings.of(relocation.version),
    strings.of(relocation.addend),
    relocation.definer ?? -1,
    strings.of(relocation.value),
    strings.of(relocation.copied?.from),
    relocation.copied?.length ?? -1,
    strings.of(relocation.resolver),
    searches.of(relocation.searched.flatMap(({ object, answer }) => [object, strings.of(answer)])),
  ];
  const relocations = explanation.relocations.map(rowOf);

  return {
    objects: explanation.objects.map(({ name, start, end, tls }) => ({
      ...{ name: printable(name), start, end },
      tls: tls?.image?.start,
    })),
    strings: strings.values.map(printable),
    searches: searches.values,
    relocations,
  };
}

/** Distinct values, in order of first use. */
class Numbered<Value> {
  readonly values: Value[] = [];
  readonly #numbers = new Map<string, number>();

  constructor(readonly keyOf: (value: Value) => string) {}

  of(value: Value | undefined): number {
    if (value === undefined) return -1;
    const key = this.keyOf(value);
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    this.#numbers.set(key, this.values.length);
    return this.values.push(value) - 1;
  }
}
