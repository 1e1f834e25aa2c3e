// What becomes read-only after relocation (PT_GNU_RELRO), and what is then still code.

import { add, alignDown, PAGE_SIZE, toVaddr } from "../memory/numbers.ts";
import { PF_X, PT_GNU_RELRO } from "./constants.ts";
import type { Image } from "./image.ts";
import { type PageRange, segmentAt } from "./phdr.ts";

/** Its pages, perhaps none: both ends are rounded down. */
export function relroOf({ phdrs }: Image): PageRange {
  const header = phdrs.findLast(({ p_type }) => p_type === PT_GNU_RELRO);
  if (!header || header.p_memsz === 0) return { start: toVaddr(0), end: toVaddr(0) };
  const { p_vaddr, p_memsz } = header;
  return { start: alignDown(p_vaddr, PAGE_SIZE), end: alignDown(add(p_vaddr, p_memsz), PAGE_SIZE) };
}

/** Can code be there? The rest of a segment's pages has something else, and what is not in the file is zero. */
export function isCallable(image: Image, vaddr: number): boolean {
  const load = segmentAt(image.loads, vaddr);
  if (!load || (load.p_flags & PF_X) === 0 || vaddr < load.p_vaddr || vaddr >= load.p_vaddr + load.p_filesz)
    return false;
  const { start, end } = relroOf(image);
  return vaddr < start || vaddr >= end;
}
