// What dlsym(3) searches for a handle, in glibc's link_map (2.31–2.41):
//
//   l_searchlist     r_list, r_nlist    the object and its dependencies, breadth first; empty until it is opened
//   l_local_scope    a pointer          to l_searchlist
//                    NULL
//
// Only dlsym and dlvsym use l_local_scope: relocations, RTLD_GLOBAL and the default scope do not. So replacing the list
// changes what a handle finds, and nothing else, and its entries may be of any namespace. Both fields are private, and
// found by their expected contents.

import { readU64 } from "../memory/layout.ts";
import { type Address, add, alignDown, PAGE_SIZE, toAddress } from "../memory/numbers.ts";
import { type Process, setPointerIn } from "../process/process.ts";
import { entriesOf, type GlobalScope } from "./namespace.ts";

/** How far into a link_map they may be; 0x390 in glibc 2.36. */
const LIMIT = 2048;
/** Of l_searchlist and its replacement, in bytes. */
const ELEMENT_SIZE = 16;

/** Their offsets in a link_map, in bytes. */
export interface ScopeOffsets {
  readonly searchList: number;
  readonly localScope: number;
}

/**
 * `scope` is the base namespace's, `main` its first link_map, and `library` the link_map of a library that the process
 * was started with: its own list is in none of its scopes but this one. Undefined if glibc does not keep them as above.
 */
export function findScopeOffsets(
  process: Process,
  scope: GlobalScope,
  main: Address,
  library: Address,
): ScopeOffsets | undefined {
  const searchList = scope.at - main;
  // A page at a time: memory after a link_map may be unmapped.
  for (let at = library; at < library + LIMIT; ) {
    const end = Math.min(alignDown(at, PAGE_SIZE) + PAGE_SIZE, library + LIMIT);
    const view = process.memory.view(at, end - at);
    for (let i = 0; i + 8 <= view.byteLength; i += 8) {
      if (readU64(view, i) !== library + searchList) continue;
      const offsets = { searchList, localScope: at + i - library };
      return [library, main].every((object) => isAsDrawn(process, object, offsets)) ? offsets : undefined;
    }
    at = toAddress(end);
  }
  return undefined;
}

/** Does an object's handle still search glibc's own list? */
export function isAsDrawn({ memory }: Process, object: Address, { searchList, localScope }: ScopeOffsets): boolean {
  const view = memory.view(add(object, localScope), 16);
  return readU64(view, 0) === object + searchList && readU64(view, 8) === 0;
}

/** An object and its dependencies, as link_maps; empty for one that was never opened itself. */
export const searchListOf = (process: Process, object: Address, { searchList }: ScopeOffsets): Address[] =>
  entriesOf(process, add(object, searchList));

/** In bytes, for `count` entries. */
export const sizeOfHandleScope = (count: number): number => ELEMENT_SIZE + 8 * count;

/** Makes dlsym search these link_maps for an object's handle. `room` is memory that is never freed. */
export function setHandleScope(
  process: Process,
  object: Address,
  { localScope }: ScopeOffsets,
  entries: readonly Address[],
  room: Address,
): void {
  const words = BigUint64Array.from([add(room, ELEMENT_SIZE), entries.length, ...entries], BigInt);
  process.write(room, new Uint8Array(words.buffer));
  setPointerIn(process, add(object, localScope), room);
}
