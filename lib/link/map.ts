// Maps an object. One range is reserved for all its segments, since code addresses other segments by distance, and each
// PT_LOAD is mapped over its part. A segment maps whole pages of the file, so two segments may show the same page. If
// the segment continues in memory after p_filesz (.bss), the rest of the last page is zeroed and pages of zeroes
// follow. As in ld.so (elf/dl-map-segments.h), the later segment wins if two share a page.

import { ET_EXEC, PF_X, PT_GNU_STACK, PT_PHDR } from "../elf/constants.ts";
import type { FileImage } from "../elf/file.ts";
import type { Phdr } from "../elf/phdr.ts";
import {
  type Address,
  add,
  alignDown,
  alignUp,
  isPowerOfTwo,
  PAGE_SIZE,
  toAddress,
  toOffset,
} from "../memory/numbers.ts";
import { PROT_READ, PROT_WRITE, protectionOfFlags } from "../process/patch.ts";
import { AT_BASE, AT_ENTRY, AT_PHDR, AT_PHENT, AT_PHNUM } from "./context.ts";
import type { Placed } from "./objects.ts";
import type { AddressSpace, Protection } from "./space.ts";

interface Pages {
  readonly start: Address;
  /** In bytes. */
  readonly length: number;
}

/** Throws LinkError if there is no room. */
export function mapObject(space: AddressSpace, image: FileImage): Placed {
  const { loads, ehdr } = image;
  const first = alignDown(loads[0]?.p_vaddr ?? 0, PAGE_SIZE);
  const length = alignUp(image.end, PAGE_SIZE) - first;
  const alignment = Math.max(PAGE_SIZE, ...loads.map(({ p_align }) => p_align).filter(isPowerOfTwo));
  const isFixed = ehdr.e_type === ET_EXEC;
  const start = space.reserve(length, alignment, isFixed ? toAddress(first) : undefined);
  const loadBias = toAddress(start - first);
  for (const load of loads) mapSegment(space, image, loadBias, load);
  return { loadBias, start, end: add(start, length) };
}

/**
 * The pages that become read-only after relocation; undefined if there are none. As in ld.so, both ends are rounded
 * down: a page shared with data that is written later stays writable.
 */
export function relroPages({ image, loadBias }: { image: FileImage } & Placed): Pages | undefined {
  const { relro } = image;
  if (!relro) return undefined;
  const start = alignDown(add(loadBias, relro.p_vaddr), PAGE_SIZE);
  const length = alignDown(add(loadBias, relro.p_vaddr + relro.p_memsz), PAGE_SIZE) - start;
  return length > 0 ? { start, length } : undefined;
}

/** To be called after all relocation. */
export function protectRelro(space: AddressSpace, object: { image: FileImage } & Placed): void {
  const pages = relroPages(object);
  if (pages) space.protect(pages.start, pages.length, PROT_READ);
}

/** The address of a mapped program's entry. */
export const entryOf = ({ image, loadBias }: { image: FileImage } & Placed): Address =>
  add(loadBias, image.ehdr.e_entry);

/** The kernel's auxiliary values for a mapped program, by type; the caller adds the address of its path (AT_EXECFN). */
export function auxiliaryOf(program: { image: FileImage } & Placed): Map<number, bigint> {
  const { ehdr, headersAt } = program.image;
  // Without PT_PHDR, the kernel uses the segment that contains the headers (since 5.18), or 0 if none does.
  const held = headersAt === undefined ? undefined : add(program.loadBias, headersAt);
  return new Map([
    [AT_PHDR, BigInt(programHeadersAt(program) ?? held ?? 0)],
    [AT_PHENT, BigInt(ehdr.e_phentsize)],
    [AT_PHNUM, BigInt(ehdr.e_phnum)],
    [AT_BASE, 0n],
    [AT_ENTRY, BigInt(entryOf(program))],
  ]);
}

/**
 * The address of an object's own program headers (AT_PHDR), from PT_PHDR; undefined if it has none. PT_PHDR's vaddr is
 * this address less the load bias, which is how a program mapped by another loader computes its own load bias.
 */
export function programHeadersAt({ image, loadBias }: { image: FileImage } & Placed): Address | undefined {
  const header = image.segment(PT_PHDR);
  return header && add(loadBias, header.p_vaddr);
}

/**
 * Does it need an executable stack? A library without PT_GNU_STACK predates the header and might; for a program without
 * one, kernels since 5.8 assume it does not.
 */
export function wantsExecutableStack({ image, index }: { image: FileImage; index: number }): boolean {
  const stack = image.segment(PT_GNU_STACK);
  return stack ? (stack.p_flags & PF_X) !== 0 : index > 0;
}

function mapSegment(space: AddressSpace, { file }: FileImage, loadBias: Address, load: Phdr): void {
  const { p_vaddr, p_offset, p_filesz, p_memsz, p_flags } = load;
  const protection = protectionOfFlags(p_flags);
  const start = add(loadBias, p_vaddr);
  const page = alignDown(start, PAGE_SIZE);
  const endOfFile = add(start, p_filesz);
  const end = alignUp(add(start, p_memsz), PAGE_SIZE);
  const zeroes = alignUp(endOfFile, PAGE_SIZE);
  if (zeroes > page) space.mapFile(page, zeroes - page, protection, file, toOffset(p_offset - (start - page)));
  if (p_memsz > p_filesz) clear(space, endOfFile, zeroes, page, protection);
  if (end > zeroes) space.mapZeroes(zeroes, end - zeroes, protection);
}

function clear(space: AddressSpace, from: Address, to: Address, page: Address, protection: Protection): void {
  if (from === to) return;
  const isWritable = (protection & PROT_WRITE) !== 0;
  if (!isWritable) space.protect(page, to - page, protection | PROT_WRITE);
  for (let at = from; at < to; ) {
    const { start, view } = space.window(at);
    const end = Math.min(to, start + view.byteLength);
    new Uint8Array(view.buffer, view.byteOffset + at - start, end - at).fill(0);
    at = toAddress(end);
  }
  if (!isWritable) space.protect(page, to - page, protection);
}
