// Writes to the slots of an object: the words that relocations change. A slot must lie entirely in a segment that the
// object's own headers make writable; otherwise nothing is written. Hot: consecutive slots are mostly adjacent, so the
// last segment and the last window are tried first.

import { PF_W } from "../elf/constants.ts";
import type { Phdr } from "../elf/phdr.ts";
import { type Address, add, toAddress, type Vaddr } from "../memory/numbers.ts";
import type { LinkObject } from "./objects.ts";
import { type AddressSpace, type Window, writeTo } from "./space.ts";
import { setValue64, type Value, value64At } from "./values.ts";

export class Slots {
  #from = 1;
  #to = 0;
  #window: Window = { start: toAddress(1), view: new DataView(new ArrayBuffer(0)) };

  constructor(
    readonly space: AddressSpace,
    readonly object: LinkObject,
  ) {}

  /** Why `size` bytes at a vaddr cannot be relocated; undefined if they can. */
  faultOf(vaddr: Vaddr, size: number): string | undefined {
    if (vaddr >= this.#from && vaddr + size <= this.#to) return undefined;
    const { loads } = this.object.image;
    const load = loads.find(({ p_vaddr, p_memsz }: Phdr) => vaddr >= p_vaddr && vaddr + size <= p_vaddr + p_memsz);
    if (!load) return "is in none of its segments";
    if ((load.p_flags & PF_W) === 0)
      return "is in a read-only segment: text relocations are not supported (compile with -fPIC)";
    this.#from = load.p_vaddr;
    this.#to = load.p_vaddr + load.p_memsz;
    return undefined;
  }

  read64(vaddr: Vaddr): Value {
    const at = add(this.object.loadBias, vaddr);
    const window = this.#at(at, 8);
    return window ? value64At(window.view, at - window.start) : value64At(this.space.read(at, 8), 0);
  }

  write64(vaddr: Vaddr, value: Value): void {
    const at = add(this.object.loadBias, vaddr);
    const window = this.#at(at, 8);
    if (window) setValue64(window.view, at - window.start, value);
    else {
      const bytes = new DataView(new ArrayBuffer(8));
      setValue64(bytes, 0, value);
      this.write(vaddr, bytes);
    }
  }

  write32(vaddr: Vaddr, value: number): void {
    const bytes = new DataView(new ArrayBuffer(4));
    bytes.setInt32(0, value, true);
    this.write(vaddr, bytes);
  }

  write(vaddr: Vaddr, bytes: DataView): void {
    const { buffer, byteOffset, byteLength } = bytes;
    writeTo(this.space, add(this.object.loadBias, vaddr), new Uint8Array(buffer, byteOffset, byteLength));
  }

  /** The window that contains a whole slot; undefined if the slot crosses into the next one. */
  #at(at: Address, size: number): Window | undefined {
    const { start, view } = this.#window;
    if (at >= start && at + size <= start + view.byteLength) return this.#window;
    this.#window = this.space.window(at);
    return at + size <= this.#window.start + this.#window.view.byteLength ? this.#window : undefined;
  }
}
