// An image in the memory of a process, as its loader mapped it.

import { type Memory, ownMemory } from "../memory/live.ts";
import { type Address, add, alignDown, hex, PAGE_SIZE, toAddress, toVaddr, type Vaddr } from "../memory/numbers.ts";
import { PF_W, SHN_ABS } from "./constants.ts";
import { Ehdr, readEhdr } from "./ehdr.ts";
import { ElfError } from "./error.ts";
import { Image, type ImageBytes } from "./image.ts";
import { loadSegments, type Phdr, pagesOf, readPhdrs, segmentAt, sizeOfPhdrs } from "./phdr.ts";

/** How much of a read-only segment is copied at once, in bytes. Most tables are smaller. */
const PIECE = 65536;

class LoadedBytes implements ImageBytes {
  readonly #pieces = new Map<number, DataView>();

  constructor(
    readonly path: string,
    readonly loadBias: Address,
    readonly loads: readonly Phdr[],
    readonly memory: Memory,
  ) {}

  view(vaddr: Vaddr, length: number, structure: string): DataView {
    const segment = this.#segment(vaddr, structure);
    if (!(vaddr + length <= pagesOf(segment).end))
      throw new ElfError(this.path, structure, `its ${length} bytes at vaddr ${hex(vaddr)} reach beyond its segment`);
    return this.#kept(segment, vaddr, length) ?? this.memory.view(add(this.loadBias, vaddr), length);
  }

  rest(vaddr: Vaddr, structure: string, end: Vaddr): DataView {
    const segment = this.#segment(vaddr, structure);
    const inBytes = segment.p_vaddr + segment.p_memsz;
    const length = Math.min(end, vaddr < inBytes ? inBytes : pagesOf(segment).end) - vaddr;
    return this.#kept(segment, vaddr, length) ?? this.memory.view(add(this.loadBias, vaddr), length);
  }

  room(vaddr: Vaddr): number {
    const segment = segmentAt(this.loads, vaddr);
    return segment ? pagesOf(segment).end - vaddr : 0;
  }

  /** Another process's memory, copied a piece at a time. Pieces are kept, so only of read-only segments. */
  #kept({ p_vaddr, p_filesz, p_flags }: Phdr, vaddr: Vaddr, length: number): DataView | undefined {
    if (!this.memory.isCopied || p_flags & PF_W || vaddr < p_vaddr || vaddr + length > p_vaddr + p_filesz)
      return undefined;
    const start = p_vaddr + alignDown(vaddr - p_vaddr, PIECE);
    const size = Math.min(PIECE, p_vaddr + p_filesz - start);
    if (vaddr + length > start + size) return undefined;
    let piece = this.#pieces.get(start);
    if (!piece) {
      piece = this.memory.view(add(this.loadBias, start), size);
      this.#pieces.set(start, piece);
    }
    return new DataView(piece.buffer, piece.byteOffset + vaddr - start, length);
  }

  vaddrOf(pointer: number): Vaddr {
    // Absolute for most objects, still a vaddr for some: see dyn.ts.
    const vaddr = toVaddr(pointer - this.loadBias);
    return segmentAt(this.loads, vaddr) ? vaddr : toVaddr(pointer);
  }

  #segment(vaddr: Vaddr, structure: string): Phdr {
    const load = segmentAt(this.loads, vaddr);
    if (!load) throw new ElfError(this.path, structure, `vaddr ${hex(vaddr)} is in no segment`);
    return load;
  }
}

export class LoadedImage extends Image {
  constructor(
    path: string,
    readonly loadBias: Address,
    ehdr: Ehdr,
    phdrs: Phdr[],
    memory: Memory,
  ) {
    super(path, ehdr, phdrs, new LoadedBytes(path, loadBias, loadSegments(path, phdrs), memory));
  }

  addressOf(vaddr: Vaddr): Address {
    return add(this.loadBias, vaddr);
  }

  /** A symbol's address: its value with SHN_ABS, otherwise the value is a vaddr. */
  symbolAddress(index: number): Address {
    const { st_shndx, st_value } = this.symbols.at(index);
    return st_shndx === SHN_ABS ? toAddress(st_value) : this.addressOf(st_value);
  }

  vaddrAt(address: Address): Vaddr {
    return toVaddr(address - this.loadBias);
  }

  /** Is this address in one of the segments? */
  holds(address: number): boolean {
    const vaddr = address - this.loadBias;
    return this.loads.some(({ p_vaddr, p_memsz }) => vaddr >= p_vaddr && vaddr < p_vaddr + p_memsz);
  }
}

/** The address of a symbol in the first image that exports it; see Image.find. */
export const findAddress = (images: readonly LoadedImage[], name: string): Address | undefined =>
  firstAddress(images, (image) => image.find(name));

/** The same as for a reference; see Image.findReferenced. */
export const findReferencedAddress = (
  images: readonly LoadedImage[],
  name: string,
  version: string | undefined,
): Address | undefined => firstAddress(images, (image) => image.findReferenced(name, version));

function firstAddress(images: readonly LoadedImage[], find: (image: LoadedImage) => number | undefined) {
  for (const image of images) {
    const index = find(image);
    if (index !== undefined) return image.symbolAddress(index);
  }
  return undefined;
}

/**
 * The image whose file is mapped from its beginning at `start`, for at least `length` bytes. Undefined if its headers
 * are not within them: some tools put the program headers at the end of the file. Throws ElfError.
 */
export function findLoadedImage(
  path: string,
  start: Address,
  length: number,
  loadBias: Address,
  memory: Memory,
): LoadedImage | undefined {
  const ehdr = readEhdr(path, memory.view(start, Ehdr.size));
  const size = sizeOfPhdrs(path, ehdr);
  if (!(ehdr.e_phoff + size <= length)) return undefined;
  const phdrs = readPhdrs(memory.view(toAddress(start + ehdr.e_phoff), size));
  return new LoadedImage(path, loadBias, ehdr, phdrs, memory);
}

/** The image whose first page, with its headers, is at `start`. Throws ElfError if they are not in that page. */
export function loadedImage(path: string, start: Address, loadBias: Address, memory: Memory = ownMemory): LoadedImage {
  const image = findLoadedImage(path, start, PAGE_SIZE, loadBias, memory);
  if (!image) throw new ElfError(path, "program headers", "they are not in the image's first page");
  return image;
}
