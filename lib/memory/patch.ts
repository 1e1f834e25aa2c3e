// Writing to memory that others own: the one way. Writes are collected, checked
// against what is mapped, and only then made. Pages that are read-only (RELRO)
// are writable for the time of the write alone and get back exactly the
// protection that they had.

import { bytesAt } from "./live.ts";
import { findMapping, type Mapping, readMaps } from "./maps.ts";
import { type Address, alignDown, alignUp, hex, PAGE_SIZE, toAddress } from "./numbers.ts";

export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const PROT_EXEC = 4;

/** Changes the protection of whole pages; throws where the kernel refuses. */
export type Protect = (start: Address, length: number, protection: number) => void;

export const protectionOf = ({ readable, writable, executable }: Mapping): number =>
  (readable ? PROT_READ : 0) | (writable ? PROT_WRITE : 0) | (executable ? PROT_EXEC : 0);

/** Pages that may be written until the end of the scope: `using window = new WritableWindow(…)`. */
export class WritableWindow implements Disposable {
  readonly #restore: (() => void) | undefined;

  constructor(protect: Protect, mapping: Mapping, start: Address, end: Address) {
    if (mapping.writable) return;
    const first = alignDown(start, PAGE_SIZE);
    const length = alignUp(end, PAGE_SIZE) - first;
    // Without PROT_EXEC: no page of ours is ever writable and executable at once.
    protect(first, length, PROT_READ | PROT_WRITE);
    this.#restore = () => protect(first, length, protectionOf(mapping));
  }

  [Symbol.dispose](): void {
    this.#restore?.();
  }
}

/** Writes that are made together, or, where one of them cannot be, not at all. */
export class Patch {
  readonly #writes: { readonly at: Address; readonly bytes: Uint8Array }[] = [];

  get length(): number {
    return this.#writes.length;
  }

  set(at: Address, bytes: Uint8Array): void {
    this.#writes.push({ at, bytes });
  }

  setPointer(at: Address, value: Address): void {
    this.set(at, new Uint8Array(new BigUint64Array([BigInt(value)]).buffer));
  }

  /**
   * Makes the writes, with one window a mapping. Throws, with nothing written, where an address is not mapped.
   * Returns how many windows had to be opened.
   */
  apply(protect: Protect, mappings: readonly Mapping[] = readMaps()): number {
    const byMapping = new Map<Mapping, { at: Address; bytes: Uint8Array }[]>();
    for (const write of this.#writes) {
      const mapping = findMapping(mappings, write.at);
      if (!mapping || write.at + write.bytes.length > mapping.end)
        throw new Error(`Cannot write ${write.bytes.length} bytes at ${hex(write.at)}: they are not mapped as one`);
      const together = byMapping.get(mapping);
      if (together) together.push(write);
      else byMapping.set(mapping, [write]);
    }
    let windows = 0;
    for (const [mapping, writes] of byMapping) {
      const start = toAddress(Math.min(...writes.map(({ at }) => at)));
      const end = toAddress(Math.max(...writes.map(({ at, bytes }) => at + bytes.length)));
      using _window = new WritableWindow(protect, mapping, start, end);
      for (const { at, bytes } of writes) bytesAt(at, bytes.length).set(bytes);
      if (!mapping.writable) windows++;
    }
    return windows;
  }
}

/** Copies bytes within memory that is writable already. */
export function copy(from: Address, to: Address, length: number): void {
  bytesAt(to, length).set(bytesAt(from, length));
}
