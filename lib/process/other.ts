// Another process's memory, by process_vm_readv(2): copies of what is there.

import type { Libc } from "../loader/libc.ts";
import type { Memory } from "../memory/live.ts";
import { type Address, alignDown, hex, PAGE_SIZE } from "../memory/numbers.ts";
import type { Process } from "./process.ts";

/** Memory of another process that the kernel does not let us read, or that is not there. */
export class UnreadableError extends Error {
  override readonly name = "UnreadableError";
}

export class OtherProcess implements Process {
  readonly memory: Memory = { view: (address, length) => this.#read(address, length) };

  constructor(
    readonly libc: Libc,
    readonly pid: number,
  ) {}

  stringAt(address: Address): string {
    const pieces: Uint8Array[] = [];
    for (let at = address; ; ) {
      // never across a page's end: the next one need not be there
      const length = alignDown(at, PAGE_SIZE) + PAGE_SIZE - at;
      const piece = this.#read(at, length);
      const bytes = new Uint8Array(piece.buffer);
      const end = bytes.indexOf(0);
      pieces.push(end < 0 ? bytes : bytes.subarray(0, end));
      if (end >= 0) return Buffer.concat(pieces).toString();
      at = (at + length) as Address;
    }
  }

  #read(address: Address, length: number): DataView {
    const bytes = new Uint8Array(length);
    if (length === 0) return new DataView(bytes.buffer);
    const count = this.libc.readMemory(this.pid, address, bytes);
    if (count !== length)
      throw new UnreadableError(
        `Cannot read ${length} bytes at ${hex(address)} of process ${this.pid} (${count} came)`,
      );
    return new DataView(bytes.buffer);
  }
}
