// A simulated address space: what a process would have mapped, and what a linker would have written. File pages stay in
// the files; a page is copied on the first write, so libLLVM (100 MB) costs only its relocated pages. Addresses are
// like those that the kernel gives without randomization (personality(2), ADDR_NO_RANDOMIZE): programs from one address
// upwards, libraries from another downwards, each right below the previous one.

import type { FileBytes } from "../elf/file.ts";
import { LinkError } from "../link-error.ts";
import {
  type Address,
  add,
  alignDown,
  alignUp,
  hex,
  type Offset,
  PAGE_SIZE,
  toAddress,
  toOffset,
} from "../memory/numbers.ts";
import { type AddressSpace, PROT_NONE, type Protection, type Window } from "./space.ts";

const PROGRAMS = toAddress(0x555555554000);
const LIBRARIES = toAddress(0x7ffff7fff000);
/** The last page of user memory cannot be mapped. */
const LIMIT = toAddress(2 ** 47 - PAGE_SIZE);

/** Pages of one mapping: of a file from an offset on, or of zeroes. */
export interface Area {
  readonly start: Address;
  readonly end: Address;
  readonly protection: Protection;
  readonly backing: { readonly file: FileBytes; readonly offset: Offset } | undefined;
}

export class SimulatedSpace implements AddressSpace {
  /** In ascending order, without overlaps. */
  #areas: Area[] = [];
  /** The pages that have been written to, by page number. */
  readonly #written = new Map<number, Window>();
  #top: Address;
  #hasProgram = false;

  /** `libraries` is the address below which libraries are placed, downwards. */
  constructor(libraries = LIBRARIES) {
    this.#top = libraries;
  }

  get areas(): readonly Area[] {
    return this.#areas;
  }

  /** The first reservation is the program, at any address it requests; all others are libraries. */
  reserve(length: number, alignment: number, at?: Address): Address {
    const size = alignUp(length, PAGE_SIZE);
    const start = at ?? this.#room(size, Math.max(alignment, PAGE_SIZE));
    this.#hasProgram = true;
    this.setAside(start, add(start, size));
    return start;
  }

  /** Reserves pages that belong to neither program nor library. Throws LinkError if there is no room. */
  setAside(start: Address, end: Address): void {
    const taken = this.#areas.find((area) => area.start < end && area.end > start);
    if (taken || !(start >= 0) || end > LIMIT)
      throw new LinkError(
        `Cannot reserve ${end - start} bytes at ${hex(start)}: ${taken ? "they are taken" : "no such memory"}`,
      );
    this.#replace({ start, end, protection: PROT_NONE, backing: undefined });
  }

  mapFile(at: Address, length: number, protection: Protection, file: FileBytes, offset: Offset): void {
    this.#replace({ start: at, end: add(at, length), protection, backing: { file, offset } });
  }

  mapZeroes(at: Address, length: number, protection: Protection): void {
    this.#replace({ start: at, end: add(at, length), protection, backing: undefined });
  }

  protect(at: Address, length: number, protection: Protection): void {
    const end = add(at, length);
    for (const area of this.#areas.filter(({ start, end: last }) => start < end && last > at)) {
      const start = toAddress(Math.max(area.start, at));
      this.#insert({ ...part(area, start, toAddress(Math.min(area.end, end))), protection });
    }
  }

  read(at: Address, length: number): DataView {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const from = add(at, done);
      const page = alignDown(from, PAGE_SIZE);
      const count = Math.min(length - done, page + PAGE_SIZE - from);
      const written = this.#written.get(page / PAGE_SIZE)?.view ?? this.#unwritten(page);
      bytes.set(new Uint8Array(written.buffer, written.byteOffset + from - page, count), done);
      done += count;
    }
    return new DataView(bytes.buffer);
  }

  window(at: Address): Window {
    const start = alignDown(at, PAGE_SIZE);
    let window = this.#written.get(start / PAGE_SIZE);
    if (!window) {
      window = { start, view: this.#unwritten(start) };
      this.#written.set(start / PAGE_SIZE, window);
    }
    return window;
  }

  /** Pages that have been written to, in ascending order. */
  writtenPages(start: Address, end: Address): Address[] {
    return [...this.#written.values()]
      .map((window) => window.start)
      .filter((page) => page >= start && page < end)
      .sort((one, other) => one - other);
  }

  /** All contents that may not be zero, in ascending order: file data, and pages that have been written to. */
  *contents(start: Address, end: Address): Generator<{ readonly at: Address; readonly bytes: Uint8Array }> {
    for (const area of this.#areas) {
      const [from, to] = [toAddress(Math.max(area.start, start)), toAddress(Math.min(area.end, end))];
      if (from >= to) continue;
      const own = this.#fileBytes(area, from, to);
      if (own.length > 0) yield { at: from, bytes: own };
      for (const page of this.writtenPages(from, to)) {
        const { buffer, byteOffset, byteLength } = this.window(page).view;
        yield { at: page, bytes: new Uint8Array(buffer, byteOffset, byteLength) };
      }
    }
  }

  /** The file's bytes of an area. */
  #fileBytes({ start, backing }: Area, from: Address, to: Address): Uint8Array {
    if (!backing) return new Uint8Array();
    const { file } = backing;
    const offset = toOffset(backing.offset + from - start);
    const count = Math.min(to - from, Math.max(0, file.size - offset));
    if (count <= 0) return new Uint8Array();
    const { buffer, byteOffset } = file.view(offset, count, "mapped pages");
    return new Uint8Array(buffer, byteOffset, count);
  }

  /** How many bytes have been copied because of writes. */
  get copied(): number {
    return this.#written.size * PAGE_SIZE;
  }

  #room(size: number, alignment: number): Address {
    if (!this.#hasProgram) return alignUp(PROGRAMS, alignment);
    this.#top = alignDown(add(this.#top, -size), alignment);
    return this.#top;
  }

  /** A page as it was mapped, as a copy. */
  #unwritten(start: Address): DataView {
    const area = this.#areas.find((candidate) => start >= candidate.start && start < candidate.end);
    if (!area) throw new LinkError(`Cannot read ${hex(start)}: nothing is mapped there`);
    const page = new Uint8Array(PAGE_SIZE);
    page.set(this.#fileBytes(area, start, add(start, PAGE_SIZE)));
    return new DataView(page.buffer);
  }

  #replace(area: Area): void {
    // An area may be far larger than its written pages, so this loop goes through those.
    for (const [page, { start }] of this.#written)
      if (start >= area.start && start < area.end) this.#written.delete(page);
    this.#insert(area);
  }

  #insert(area: Area): void {
    const around = this.#areas.flatMap((other) => {
      if (other.end <= area.start || other.start >= area.end) return [other];
      const sides = [];
      if (other.start < area.start) sides.push(part(other, other.start, area.start));
      if (other.end > area.end) sides.push(part(other, area.end, other.end));
      return sides;
    });
    this.#areas = [...around, area].sort((one, other) => one.start - other.start);
  }
}

function part(area: Area, start: Address, end: Address): Area {
  const backing = area.backing && {
    file: area.backing.file,
    offset: toOffset(area.backing.offset + start - area.start),
  };
  return { start, end, protection: area.protection, backing };
}
