// An image in the memory of a process, as its loader has mapped it.

import { type Memory, ownMemory } from "../memory/live.ts";
import { type Address, add, alignDown, hex, PAGE_SIZE, toAddress, toVaddr, type Vaddr } from "../memory/numbers.ts";
import { PF_W, SHN_ABS } from "./constants.ts";
import { Ehdr, readEhdr } from "./ehdr.ts";
import { ElfError } from "./error.ts";
import { Image, type ImageBytes } from "./image.ts";
import { loadSegments, type Phdr, readPhdrs, sizeOfPhdrs } from "./phdr.ts";

/** What is copied at once of a segment that nobody writes to, in bytes: most tables are smaller. */
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
    const { p_vaddr, p_memsz } = segment;
    if (!(vaddr + length <= p_vaddr + p_memsz))
      throw new ElfError(this.path, structure, `its ${length} bytes at vaddr ${hex(vaddr)} reach beyond its segment`);
    return this.#kept(segment, vaddr, length) ?? this.memory.view(add(this.loadBias, vaddr), length);
  }

  rest(vaddr: Vaddr, structure: string, end: Vaddr): DataView {
    const segment = this.#segment(vaddr, structure);
    const length = Math.min(end, segment.p_vaddr + segment.p_memsz) - vaddr;
    return this.#kept(segment, vaddr, length) ?? this.memory.view(add(this.loadBias, vaddr), length);
  }

  /** Another process's memory is copied a piece at a time, as far as it stays as it is. */
  #kept({ p_vaddr, p_filesz, p_flags }: Phdr, vaddr: Vaddr, length: number): DataView | undefined {
    if (!this.memory.isCopied || p_flags & PF_W || vaddr + length > p_vaddr + p_filesz) return undefined;
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
    // Absolute for most objects, as it was linked for some: see dyn.ts.
    return toVaddr(pointer >= this.loadBias ? pointer - this.loadBias : pointer);
  }

  #segment(vaddr: Vaddr, structure: string): Phdr {
    const load = this.loads.find(({ p_vaddr, p_memsz }) => vaddr >= p_vaddr && vaddr < p_vaddr + p_memsz);
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

  /** Where a symbol is: SHN_ABS says an address, everything else a vaddr. */
  symbolAddress(index: number): Address {
    const { st_shndx, st_value } = this.symbols.at(index);
    return st_shndx === SHN_ABS ? toAddress(st_value) : this.addressOf(st_value);
  }

  vaddrAt(address: Address): Vaddr {
    return toVaddr(address - this.loadBias);
  }

  /** Does one of the segments hold this address? */
  holds(address: number): boolean {
    const vaddr = address - this.loadBias;
    return this.loads.some(({ p_vaddr, p_memsz }) => vaddr >= p_vaddr && vaddr < p_vaddr + p_memsz);
  }
}

/** The address of a symbol in the first image that exports it; see Image.find. */
export function findAddress(images: readonly LoadedImage[], name: string, version?: string): Address | undefined {
  for (const image of images) {
    const index = image.find(name, version);
    if (index !== undefined) return image.symbolAddress(index);
  }
  return undefined;
}

/** The image whose first page is at `start`, where its ELF header is mapped too. Throws ElfError where it is not. */
export function loadedImage(path: string, start: Address, loadBias: Address, memory: Memory = ownMemory): LoadedImage {
  const ehdr = readEhdr(path, memory.view(start, Ehdr.size));
  const size = sizeOfPhdrs(path, ehdr);
  if (ehdr.e_phoff + size > PAGE_SIZE)
    throw new ElfError(path, "program headers", "they are not in the image's first page");
  const phdrs = readPhdrs(memory.view(toAddress(start + ehdr.e_phoff), size));
  return new LoadedImage(path, loadBias, ehdr, phdrs, memory);
}
