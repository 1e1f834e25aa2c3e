// This process's own memory as an address space to link in.

import type { FileBytes } from "../elf/file.ts";
import { LinkError } from "../link-error.ts";
import { viewAt } from "../memory/live.ts";
import { type Address, add, alignUp, hex, type Offset, PAGE_SIZE, toAddress } from "../memory/numbers.ts";
import type { Libc } from "../process/libc.ts";
import { protect } from "../process/patch.ts";
import type { AddressSpace, Protection, Window } from "./space.ts";

interface Range {
  readonly start: Address;
  readonly end: Address;
}

export class OwnSpace implements AddressSpace {
  /** What this object has mapped; reads elsewhere are refused. */
  readonly #ranges: Range[] = [];

  constructor(readonly libc: Libc) {}

  reserve(length: number, alignment: number, at?: Address): Address {
    const size = alignUp(toAddress(length), PAGE_SIZE);
    if (at !== undefined) return this.libc.pages.reserve(size, at);
    // The kernel returns whole pages; the excess of an aligned range stays reserved and costs nothing.
    const slack = alignment > PAGE_SIZE ? alignment : 0;
    return alignUp(this.libc.pages.reserve(size + slack), Math.max(alignment, PAGE_SIZE));
  }

  mapFile(at: Address, length: number, protection: Protection, file: FileBytes, offset: Offset): void {
    this.libc.pages.mapFile(at, length, protection, file.descriptor, offset);
    this.#add(at, length);
  }

  mapZeroes(at: Address, length: number, protection: Protection): void {
    this.libc.pages.mapZeroes(at, length, protection);
    this.#add(at, length);
  }

  protect(at: Address, length: number, protection: Protection): void {
    this.libc.run(protect([{ start: at, length, protection }]));
  }

  read(at: Address, length: number): DataView {
    this.#rangeOf(at, length);
    return viewAt(at, length);
  }

  window(at: Address): Window {
    const { start, end } = this.#rangeOf(at, 1);
    return { start, view: viewAt(start, end - start) };
  }

  /** Adjacent ranges are merged: a slot may span the file's pages and the following ones. */
  #add(at: Address, length: number): void {
    const end = add(at, length);
    const touching = this.#ranges.filter((range) => range.start <= end && range.end >= at);
    const start = Math.min(at, ...touching.map((range) => range.start));
    const last = Math.max(end, ...touching.map((range) => range.end));
    for (const range of touching) this.#ranges.splice(this.#ranges.indexOf(range), 1);
    this.#ranges.push({ start: toAddress(start), end: toAddress(last) });
  }

  #rangeOf(at: Address, length: number): Range {
    const found = this.#ranges.find(({ start, end }) => at >= start && at + length <= end);
    if (!found) throw new LinkError(`Cannot read ${hex(at)}: nothing is mapped there`);
    return found;
  }
}
