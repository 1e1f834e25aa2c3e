// The relocations as the page's script reads them (relocations.page.js has the same columns). Names and searches are
// stored once: thousands of relocations search the same objects with the same results, which would otherwise be most of
// the page.

import { printable } from "../../diagnostics/output.ts";
import type { ExplainedRelocation, Explanation } from "../explanation.ts";

export interface PageData {
  readonly objects: readonly {
    readonly name: string;
    readonly start: string;
    readonly end: string;
    /** Where the initial image of its thread-local block is mapped. */
    readonly tls: string | undefined;
  }[];
  readonly strings: readonly string[];
  readonly searches: readonly Search[];
  /** Rows with the columns that rowOf() gives. -1 for an absent value. */
  readonly relocations: readonly (readonly number[])[];
}

/** Objects searched, each with the answer (an index into `strings`). */
type Search = readonly (readonly number[])[];

export function pageData({ objects, relocations }: Explanation): PageData {
  const strings = new Numbered<string>();
  const searches = new Numbered<Search>();

  const rowOf = ({ object, definer, copied, searched, ...one }: ExplainedRelocation): number[] => {
    const { table, type, at, vaddr, symbol, version, addend, value, resolver } = one;
    const texts = [table, type, at, vaddr, symbol, version, addend, value, resolver, copied?.from];
    const search = searched.map((asked) => [asked.object, strings.of(asked.answer)]);
    return [object, definer ?? -1, copied?.length ?? -1, searches.of(search), ...texts.map((text) => strings.of(text))];
  };
  const rows = relocations.map(rowOf);

  return {
    objects: objects.map(({ name, start, end, tls }) => ({
      name: printable(name),
      start,
      end,
      tls: tls?.image?.start,
    })),
    strings: strings.values.map(printable),
    searches: searches.values,
    relocations: rows,
  };
}

/** Distinct values, in order of first use. */
class Numbered<Value> {
  readonly values: Value[] = [];
  readonly #numbers = new Map<string, number>();

  of(value: Value | undefined): number {
    if (value === undefined) return -1;
    return this.#numbers.getOrInsertComputed(String(value), () => this.values.push(value) - 1);
  }
}
