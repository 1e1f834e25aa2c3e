// Pointers that a host library has kept. Its constructors ran before the program was loaded, and may have stored the
// address of an object that the program copies, in data or on the heap, or registered a destructor for it. No
// relocation records where, so we scan every word of writable data and of glibc's main heap, and redirect each address
// in such an object to the program's copy. Natively, the object is copied before any constructor runs. Pointers that
// are only on a thread's stack or in thread-local data are not found.

import { PF_W } from "../../lib/elf/constants.ts";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { findMapping, readMaps } from "../../lib/memory/maps.ts";
import { type Address, add, alignUp, toAddress } from "../../lib/memory/numbers.ts";
import type { Patch } from "../../lib/process/patch.ts";
import type { Process } from "../../lib/process/process.ts";
import type { Copy } from "./copy-objects.ts";

/** Collects the writes into `patch`. Returns how many pointers it found. */
export function redirectEscaped(
  process: Process,
  images: readonly LoadedImage[],
  copies: readonly Copy[],
  patch: Patch,
): number {
  if (copies.length === 0) return 0;
  const before = patch.length;
  const mappings = readMaps(process.task);
  // The writable parts between `start` and `end`, where constructors could have written.
  const scan = (start: Address, end: Address): void => {
    for (let at = alignUp(start, 8); at < end; ) {
      const mapping = findMapping(mappings, at);
      if (!mapping) return;
      const stop = toAddress(Math.min(end, mapping.end));
      if (mapping.writable) scanWords(process, at, stop - at, copies, patch);
      at = stop;
    }
  };
  for (const image of images)
    for (const { p_vaddr, p_memsz, p_flags } of image.loads)
      if (p_flags & PF_W) scan(image.addressOf(p_vaddr), image.addressOf(add(p_vaddr, p_memsz)));
  for (const { start, end, path } of mappings) if (path === "[heap]") scan(start, end);
  return patch.length - before;
}

// Hot: a heap has some 100,000 words. In 32-bit halves, since a number cannot hold every 64-bit value.
function scanWords(process: Process, at: Address, length: number, copies: readonly Copy[], patch: Patch): void {
  const { buffer, byteOffset } = process.memory.view(at, length);
  const words = new Uint32Array(buffer, byteOffset, Math.floor(length / 8) * 2);
  const low = Math.min(...copies.map(({ from }) => from));
  const high = Math.max(...copies.map(({ from, size }) => from + size));
  const firstHalf = Math.floor(low / HALF);
  const lastHalf = Math.floor(high / HALF);
  for (let i = 1; i < words.length; i += 2) {
    const half = words[i] as number;
    if (half < firstHalf || half > lastHalf) continue;
    const value = half * HALF + (words[i - 1] as number);
    if (value < low || value > high) continue;
    // Code keeps the end of an array as often as its beginning. If another object starts there, it is that object's.
    const object =
      copies.find(({ from, size }) => value >= from && value < from + size) ??
      copies.find(({ from, size }) => value === from + size);
    if (object) patch.setPointer(add(at, 4 * (i - 1)), add(object.to, value - object.from));
  }
}

const HALF = 2 ** 32;
