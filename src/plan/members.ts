// Whether the libraries that a capsule is to open are safe for its process.

import { type Closure, checkVersionsBeside } from "../../lib/tree/closure.ts";
import type { LibraryStore } from "../../lib/tree/library-store.ts";
import { refuseSanitizers } from "./allocators.ts";

/**
 * `isOpen`: is a file open in the capsule by that name? Throws LinkError for a sanitizer's runtime, ElfError for a
 * library that would end the process, and what open(2) throws.
 */
export function checkMembers(
  closure: Closure,
  store: LibraryStore,
  isOpen: (name: string) => boolean = () => false,
): void {
  refuseSanitizers(closure.libraries);
  for (const { path } of closure.libraries) store.check(path, "whole");
  checkVersionsBeside(closure, isOpen);
}
