// Another process's memory, copied with process_vm_readv(2) and process_vm_writev(2). If the kernel refuses them (a
// security module, a system call filter), a thread of that process transfers the bytes, if one has offered to.

import { findLoadedImage, type LoadedImage } from "../elf/loaded.ts";
import { addressOf, type Memory } from "../memory/live.ts";
import { findMapping, type Mapping, readMaps } from "../memory/maps.ts";
import { type Address, add, alignDown, hex, PAGE_SIZE } from "../memory/numbers.ts";
import { ERRNO } from "../x86-64/linux.ts";
import type { Libc } from "./libc.ts";
import type { MappedObject, Process } from "./process.ts";

/** Another process's memory that the kernel does not let us access, or that does not exist. */
export class UnreadableError extends Error {
  override readonly name = "UnreadableError";
}

/** Moves bytes between that process and this one. Both methods throw UnreadableError if the process is gone. */
export interface MemoryTransport {
  read(address: Address, into: Uint8Array): void;
  write(address: Address, bytes: Uint8Array): void;
}

export class OtherProcess implements Process {
  /**
   * The id of one of its live threads: once the main thread has ended, the process id no longer gives access to the
   * process.
   */
  task: number;
  handlesAreLinkMaps?: boolean;
  readonly memory: Memory = { view: (address, length) => this.#read(address, length), isCopied: true };
  #isRefused = false;
  #mappings: Mapping[] = [];
  /** Pages that have been read, by their addresses, as long as it is held. */
  #pages: Map<Address, ArrayBuffer> | undefined;

  constructor(
    readonly libc: Libc,
    readonly pid: number,
    readonly transport?: MemoryTransport,
  ) {
    this.task = pid;
  }

  /**
   * Its asking thread waits from here to release(): what was read of its memory is not read again. The loader's lists
   * are walked many times over, and each of their entries would be a system call.
   */
  hold(): void {
    this.release();
    this.#pages = new Map();
  }

  /** It goes on: its memory and its mappings may change. */
  release(): void {
    this.#pages = undefined;
    this.#mappings = [];
  }

  /** Uses the process's mappings: the file may be in another mount namespace, or gone. */
  imageOf({ path, loadBias, dynamic }: MappedObject): LoadedImage | undefined {
    let section = findMapping(this.#mappings, dynamic);
    if (!section) {
      this.#mappings = readMaps(this.task);
      section = findMapping(this.#mappings, dynamic);
    }
    if (!section || section.path === "") return undefined;
    const first = this.#mappings.findLast(
      ({ start, offset, path }) => start <= dynamic && offset === 0 && path === section.path,
    );
    return first && findLoadedImage(path || section.path, first.start, first.end - first.start, loadBias, this.memory);
  }

  stringAt(address: Address): string {
    const pieces: Uint8Array[] = [];
    for (let at = address; ; ) {
      // never across the end of a page: the next one may not be mapped
      const length = Math.min(PIECE, alignDown(at, PAGE_SIZE) + PAGE_SIZE - at);
      const piece = this.#read(at, length);
      const bytes = new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength);
      const end = bytes.indexOf(0);
      pieces.push(end < 0 ? bytes : bytes.subarray(0, end));
      if (end >= 0) return Buffer.concat(pieces).toString();
      at = add(at, length);
    }
  }

  write(address: Address, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.#pages?.size)
      for (let page = alignDown(address, PAGE_SIZE); page < address + bytes.length; page = add(page, PAGE_SIZE))
        this.#pages.delete(page);
    this.#move("write", address, bytes);
  }

  #read(address: Address, length: number): DataView {
    const within = address % PAGE_SIZE;
    // Those that reach into another page are few.
    if (this.#pages && within + length <= PAGE_SIZE && length <= SMALL)
      return new DataView(this.#page(this.#pages, add(address, -within)), within, length);
    const bytes = new Uint8Array(length);
    if (length > 0) this.#move("read", address, bytes);
    return new DataView(bytes.buffer);
  }

  #page(pages: Map<Address, ArrayBuffer>, start: Address): ArrayBuffer {
    const known = pages.get(start);
    if (known) return known;
    const page = new Uint8Array(PAGE_SIZE);
    this.#move("read", start, page);
    // A list in a hostile process may be endless.
    if (pages.size >= MOST_PAGES) pages.clear();
    pages.set(start, page.buffer);
    return page.buffer;
  }

  #move(what: "read" | "write", address: Address, bytes: Uint8Array): void {
    const { libc, pid, task, transport } = this;
    if (transport && this.#isRefused) {
      transport[what](address, bytes);
      return;
    }
    // A struct iovec for each side.
    const length = BigInt(bytes.length);
    const local = BigUint64Array.of(BigInt(addressOf(bytes)), length);
    const remote = BigUint64Array.of(BigInt(address), length);
    const name = what === "read" ? "process_vm_readv" : "process_vm_writev";
    const count = libc.system.call(name, task, addressOf(local), 1, addressOf(remote), 1);
    if (count === bytes.length) return;
    if (transport && REFUSALS.includes(-count)) {
      this.#isRefused = true;
      transport[what](address, bytes);
      return;
    }
    throw new UnreadableError(
      `Cannot ${what} ${bytes.length} bytes at ${hex(address)} of process ${pid} (${Math.max(count, 0)} went)`,
    );
  }
}

/** errno where this process may not make the call. */
const REFUSALS: readonly number[] = [ERRNO.EPERM, ERRNO.ENOSYS, ERRNO.EACCES];

/** Reads of at most so many bytes read the whole page, while the process is held. */
const SMALL = 512;
/** How many pages are kept. */
const MOST_PAGES = 4096;

/** How many bytes of a string are read at once: most are shorter. */
const PIECE = 256;
