// Maps an object: one range is reserved for all its segments, since code in one of
// them goes by the distance to another, and each PT_LOAD is mapped over its part. A
// segment's pages are the file's, whole ones, so that two segments may show the same
// page of the file; what of the last page is behind p_filesz is zeroed where the
// segment goes on in memory (.bss), and pages of zeroes follow. As ld.so does
// (elf/dl-map-segments.h), the later segment wins where two share a page.

import { ET_EXEC, PF_R, PF_W, PF_X, PT_GNU_STACK, PT_PHDR } from "../elf/constants.ts";
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
import { PROT_EXEC, PROT_READ, PROT_WRITE } from "../process/patch.ts";
import { AT_BASE, AT_ENTRY, AT_PHDR, AT_PHENT, AT_PHNUM } from "./context.ts";
import type { Placed } from "./objects.ts";
import type { AddressSpace, Protection } from "./space.ts";

interface Pages {
  readonly start: Address;
  /** In bytes. */
  readonly length: number;
}

/** Throws LinkError where there is no room. */
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
 * The pages that are read-only once everything has been relocated; undefined where there are none. ld.so rounds both
 * ends down: what shares a page with data that is written later stays writable.
 */
export function relroPages({ image, loadBias }: { image: FileImage } & Placed): Pages | undefined {
  const { relro } = image;
  if (!relro) return undefined;
  const start = alignDown(add(loadBias, relro.p_vaddr), PAGE_SIZE);
  const length = alignDown(add(loadBias, relro.p_vaddr + relro.p_memsz), PAGE_SIZE) - start;
  return length > 0 ? { start, length } : undefined;
}

/** After everything has been relocated. */
export function protectRelro(space: AddressSpace, object: { image: FileImage } & Placed): void {
  const pages = relroPages(object);
  if (pages) space.protect(pages.start, pages.length, PROT_READ);
}

/** Where a mapped program begins. */
export const entryOf = ({ image, loadBias }: { image: FileImage } & Placed): Address =>
  add(loadBias, image.ehdr.e_entry);

/**
 * What the kernel would say of a mapped program, by type; of its path (AT_EXECFN) it is for others to say where it is.
 */
export function auxiliaryOf(program: { image: FileImage } & Placed): Map<number, bigint> {
  const { ehdr, headersAt } = program.image;
  // Without PT_PHDR the kernel goes by the segment that has them (since 5.18), and says 0 where none has.
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
 * Where an object's own program headers are mapped (AT_PHDR): by PT_PHDR, whose vaddr is that much less the load bias,
 * which is how a program that somebody else has mapped finds out its own. Undefined where it has none.
 */
export function programHeadersAt({ image, loadBias }: { image: FileImage } & Placed): Address | undefined {
  const header = image.segment(PT_PHDR);
  return header && add(loadBias, header.p_vaddr);
}

/**
 * Does it run code on its stack? A library that does not say anything (PT_GNU_STACK) is older than the question, and
 * might; a program that does not is taken at its word, by kernels since 5.8.
 */
export function wantsExecutableStack({ image, index }: { image: FileImage; index: number }): boolean {
  const stack = image.segment(PT_GNU_STACK);
  return stack ? (stack.p_flags & PF_X) !== 0 : index > 0;
}

function mapSegment(space: AddressSpace, { file }: FileImage, loadBias: Address, load: Phdr): void {
  const { p_vaddr, p_offset, p_filesz, p_memsz, p_flags } = load;
  const protection = protectionOf(p_flags);
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

const protectionOf = (flags: number): Protection =>
  (flags & PF_R ? PROT_READ : 0) | (flags & PF_W ? PROT_WRITE : 0) | (flags & PF_X ? PROT_EXEC : 0);
