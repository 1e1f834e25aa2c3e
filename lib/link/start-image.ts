// Links a program into an image of its process: a static executable that contains the program and all its dependencies
// at their final addresses, relocated, with the code that starts it (start.ts). The kernel maps it, with no loader in
// between. This is for fixed-address programs, whose addresses may be taken in this process.
//
// Kernels before 6.17 accept no more program headers than fit a page, which is 73. So neighbouring areas are one
// segment, in a sparse file, and the start code gives each area its own protection.

import { ET_EXEC, PF_R, PF_W, PF_X, PT_GNU_STACK, PT_LOAD } from "../elf/constants.ts";
import { Ehdr } from "../elf/ehdr.ts";
import { emitHeaders, type Segment, sizeOfHeaders } from "../elf/write/shared-object.ts";
import { type Address, add, alignUp, PAGE_SIZE, toAddress, toVaddr } from "../memory/numbers.ts";
import { PROT_EXEC, PROT_READ, PROT_WRITE } from "../process/patch.ts";
import type { Search } from "../tree/search.ts";
import { AT_EXECFN } from "./context.ts";
import type { LinkOptions } from "./link.ts";
import { auxiliaryOf, wantsExecutableStack } from "./map.ts";
import { type Area, SimulatedSpace } from "./simulated-space.ts";
import { prepareStart, type Started, type WriteFile, wholePages } from "./start.ts";
import type { Range } from "./start-code.ts";

/**
 * Far from where the kernel puts stacks, libraries and heaps; our own pages go upwards from OURS, libraries downwards
 * from LIBRARIES.
 */
const LIBRARIES = toAddress(0x2aaa_aaaa_a000);
export const OURS = toAddress(0x3000_0000_0000);

/** Areas nearer to each other than this, in bytes, share a segment. */
const NEAR = 2 ** 30;
/**
 * From this many bytes on, zeroes get their own mapping: a hole in the file takes memory twice when it is written to.
 */
const MANY_ZEROES = 2 ** 16;

/** A file as its non-zero parts, by offset. Their sources stay open until it is disposed of. */
export interface SparseFile extends Disposable {
  readonly size: number;
  readonly parts: readonly { readonly offset: number; readonly bytes: Uint8Array }[];
}

/** `executed` is the path by which the program was found. Throws like link(). */
export function startImage(
  search: Search,
  program: string,
  executed: string,
  write: WriteFile,
  options: LinkOptions = {},
): SparseFile {
  const space = new SimulatedSpace(LIBRARIES);
  let next = OURS;
  const reserve = (length: number, alignment: number): Address => {
    const start = alignUp(next, alignment);
    next = add(start, wholePages(length));
    space.setAside(start, next);
    return start;
  };
  const memory = (own: readonly Range[]) => {
    const areas = space.areas.filter((area) => !isOf(own, area));
    return {
      zeroes: areas.flatMap((area) => longZeroes(space, area)),
      areas: areas.map(({ start, end, protection }) => ({ start, length: end - start, protection })),
    };
  };
  const started = prepareStart(
    {
      ...{ space, reserve, write, executed, memory },
      auxiliary: (object, path) => auxiliaryOf(object).set(AT_EXECFN, BigInt(path)),
    },
    search,
    program,
    options,
  );
  try {
    return { ...emitImage(space, started), [Symbol.dispose]: () => started[Symbol.dispose]() };
  } catch (error) {
    started[Symbol.dispose]();
    throw error;
  }
}

function clustersIn(space: SimulatedSpace, own: readonly Range[]): Cluster[] {
  const clusters: Cluster[] = [];
  for (const area of space.areas) {
    // Reserved space between distant segments is left out.
    if (area.protection === 0 && area.end - area.start >= NEAR) continue;
    const isOurs = isOf(own, area);
    const last = clusters.at(-1);
    const protection = isOurs ? area.protection : PROT_READ;
    if (!isOurs && last && !last.isOurs && area.start - last.end < NEAR) last.end = area.end;
    else clusters.push({ start: area.start, end: area.end, isOurs, protection });
  }
  return clusters;
}

const isOf = (own: readonly Range[], { start }: Area): boolean =>
  own.some((range) => start >= range.start && start < range.start + range.length);

/** A segment of the image. */
interface Cluster {
  readonly start: Address;
  end: Address;
  readonly isOurs: boolean;
  readonly protection: number;
}

/** Runs of unwritten pages in an area without a file. */
function longZeroes(space: SimulatedSpace, { start, end, protection, backing }: Area): Range[] {
  if (backing || protection === 0) return [];
  const zeroes: Range[] = [];
  let from = start;
  const until = (to: Address) => {
    if (to - from >= MANY_ZEROES) zeroes.push({ start: from, length: to - from, protection });
  };
  for (const page of space.writtenPages(start, end)) {
    until(page);
    from = add(page, PAGE_SIZE);
  }
  until(end);
  return zeroes;
}

function emitImage(space: SimulatedSpace, { own, start: entry, objects }: Started): Omit<SparseFile, keyof Disposable> {
  const clusters = clustersIn(space, own);
  let size = wholePages(sizeOfHeaders(clusters.length + 1));
  const parts: { offset: number; bytes: Uint8Array }[] = [];
  const segments = clusters.map(({ start, end, isOurs, protection }): Segment => {
    let filesz = end - start;
    const contents = [...space.contents(start, end)];
    // Trailing zeroes, such as long thread-local data, take no space in the file.
    if (isOurs) filesz = Math.max(0, ...contents.map(({ at, bytes }) => at + bytes.length - start));
    for (const { at, bytes } of contents) parts.push({ offset: size + at - start, bytes });
    const segment = {
      ...{ type: PT_LOAD, flags: flagsOf(protection), vaddr: start, offset: size },
      ...{ filesz, memsz: end - start, align: PAGE_SIZE },
    };
    size += wholePages(filesz);
    return segment;
  });
  const stack = PF_R | PF_W | (objects.some(wantsExecutableStack) ? PF_X : 0);
  const headers = new Uint8Array(sizeOfHeaders(segments.length + 1));
  const view = new DataView(headers.buffer);
  emitHeaders(view, [...segments, { type: PT_GNU_STACK, flags: stack, vaddr: 0, filesz: 0, memsz: 0, align: 16 }]);
  const ehdr = Ehdr.at(view);
  ehdr.e_type = ET_EXEC;
  ehdr.e_entry = toVaddr(entry);
  return { size, parts: [{ offset: 0, bytes: headers }, ...parts] };
}

const flagsOf = (protection: number): number =>
  (protection & PROT_READ ? PF_R : 0) | (protection & PROT_WRITE ? PF_W : 0) | (protection & PROT_EXEC ? PF_X : 0);
