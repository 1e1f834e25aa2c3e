// The dynamic section (gABI, "Dynamic Section"): a list of tags and values, ended by DT_NULL. Pointer values are vaddrs
// in a file. In live memory glibc has made most of them absolute, in place, but not those of objects whose dynamic
// section is read-only (the vDSO; seen in glibc 2.31–2.41), so the code that reads memory decides how a value becomes a
// vaddr.

import { i64, layout, type Struct, u64 } from "../memory/layout.ts";
import { DT_NULL } from "./constants.ts";

export const Dyn = layout("Elf64_Dyn", { d_tag: i64, d_val: u64() });
export type Dyn = Struct<typeof Dyn>;

export class Dynamic {
  readonly #values = new Map<number, number>();
  /** DT_NULL was found. A loader reads up to it, whatever size PT_DYNAMIC gives. */
  readonly isEnded: boolean = false;
  readonly #entries: { readonly tag: number; readonly value: number; readonly at: number }[] = [];

  constructor(view: DataView) {
    for (let at = 0; at + Dyn.size <= view.byteLength; at += Dyn.size) {
      const { d_tag: tag, d_val: value } = Dyn.at(view, at);
      if (tag === DT_NULL) {
        this.isEnded = true;
        break;
      }
      this.#entries.push({ tag, value, at });
      // If a tag that may occur only once is repeated, ld.so uses the last.
      this.#values.set(tag, value);
    }
  }

  /** Tag, value and the entry's own position in the section (bytes), in order, without DT_NULL. */
  get entries(): readonly { readonly tag: number; readonly value: number; readonly at: number }[] {
    return this.#entries;
  }

  get(tag: number): number | undefined {
    return this.#values.get(tag);
  }

  /** The values of a tag that may be repeated (DT_NEEDED), in order. */
  all(tag: number): number[] {
    return this.#entries.filter((entry) => entry.tag === tag).map((entry) => entry.value);
  }
}
