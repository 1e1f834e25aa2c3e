// An image in a file. ELF files reach 100 MB and more, and a linker needs a few kilobytes of them, so they are read in
// small pieces with pread: with a mapping, a file truncated meanwhile would raise SIGBUS.

import { alignUp, type Offset, PAGE_SIZE, toOffset, toVaddr, type Vaddr } from "../memory/numbers.ts";
import { NotRegularError, RegularFile } from "../regular-file.ts";
import { Ehdr, readEhdr } from "./ehdr.ts";
import { ElfError } from "./error.ts";
import { Image, type ImageBytes } from "./image.ts";
import { isReadable, loadSegments, type Phdr, type Piece, pagesOf, pieceAt, readPhdrs, sizeOfPhdrs } from "./phdr.ts";

/** Size in bytes of the cached pieces that serve neighbouring reads (headers, strings). */
const PIECE = 8192;
/** The most that the tables of one file have together, in bytes. Those of the largest libraries (CUDA) have half of it. */
const MOST = 128 << 20;
/** As MOST, in bytes, for a file that takes less space on the disk than this: many file systems compress. */
const MOST_OF_SPARSE = 16 << 20;
/** In bytes: a larger program is not copied. */
export const LARGEST_COPY = 2 ** 30;
/** Of a block in st_blocks, in bytes. */
const BLOCK = 512;

/** A file's bytes by offset. */
export class FileBytes implements Disposable {
  readonly size: number;
  readonly #file: RegularFile;
  readonly #pieces = new Map<number, DataView>();
  /** Of the tables that were read: offset → length, in bytes. */
  readonly #tables = new Map<number, number>();
  #read = 0;

  /** Throws what open(2) throws (with `code` and `path`), and ElfError if it is not a regular file. */
  constructor(readonly path: string) {
    try {
      this.#file = new RegularFile(path);
    } catch (error) {
      if (!(error instanceof NotRegularError)) throw error;
      throw new ElfError(path, "file", "not a regular file", { cause: error });
    }
    this.size = this.#file.stat.size;
  }

  /** For callers that map the open file. */
  get descriptor(): number {
    return this.#file.descriptor;
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }

  /** Throws ElfError if the file does not have these bytes. */
  view(offset: Offset, length: number, structure: string): DataView {
    if (!(offset >= 0 && offset + length <= this.size))
      throw new ElfError(
        this.path,
        structure,
        `its ${length} bytes at offset ${offset} reach beyond the end of the file (${this.size} bytes)`,
      );
    const first = Math.floor(offset / PIECE);
    if (length === 0 || first !== Math.floor((offset + length - 1) / PIECE))
      return this.#table(offset, length, structure);
    let piece = this.#pieces.get(first);
    if (!piece) {
      piece = this.#table(toOffset(first * PIECE), Math.min(PIECE, this.size - first * PIECE), structure);
      this.#pieces.set(first, piece);
    }
    return new DataView(piece.buffer, offset - first * PIECE, length);
  }

  /** A string of at most `length` bytes, or up to the first NUL. Throws as view() does. */
  stringAt(offset: Offset, length: number, structure: string): string {
    const { buffer, byteOffset, byteLength } = this.view(offset, length, structure);
    const text = Buffer.from(buffer, byteOffset, byteLength);
    const end = text.indexOf(0);
    return text.toString("utf8", 0, end < 0 ? text.length : end);
  }

  /** The first `length` bytes of a program. Throws as view() does. */
  copy(length: number, structure: string): Uint8Array {
    if (length > LARGEST_COPY) throw new ElfError(this.path, structure, `its ${length} bytes are too many to copy`);
    return this.#bytes(toOffset(0), length, structure);
  }

  /** Tables may claim any size, each of them, and lie in a hole of the file. */
  #table(offset: Offset, length: number, structure: string): DataView {
    const before = this.#tables.get(offset) ?? 0;
    if (length > Math.max(before, PIECE - 1)) {
      this.#read += length - before;
      if (this.#read > this.#most)
        throw new ElfError(
          this.path,
          structure,
          `its ${length} bytes are too many to read: with its other tables, they are more than ${this.#most}`,
        );
      this.#tables.set(offset, length);
    }
    const { buffer, byteOffset, byteLength } = this.#bytes(offset, length, structure);
    return new DataView(buffer, byteOffset, byteLength);
  }

  /** See MOST. Some file systems (FUSE) do not count blocks. */
  get #most(): number {
    const { blocks } = this.#file.stat;
    return blocks === 0 ? MOST : Math.min(MOST, Math.max(MOST_OF_SPARSE, blocks * BLOCK));
  }

  #bytes(offset: Offset, length: number, structure: string): Uint8Array<ArrayBuffer> {
    const bytes = this.#file.bytes(offset, length);
    if (bytes.length < length) throw new ElfError(this.path, structure, "the file became shorter while it was read");
    return bytes;
  }
}

/** A file's bytes by vaddr, as a loader maps them: whole pages. */
class FileImageBytes implements ImageBytes {
  constructor(
    readonly file: FileBytes,
    readonly loads: readonly Phdr[],
  ) {}

  view(vaddr: Vaddr, length: number, structure: string): DataView {
    const { load, end } = this.#piece(vaddr, structure);
    const { p_vaddr, p_filesz, p_offset } = load;
    const offset = toOffset(vaddr - p_vaddr + p_offset);
    const isShort = p_offset + p_filesz > this.file.size;
    if (vaddr >= p_vaddr && vaddr + length <= Math.min(end, p_vaddr + p_filesz) && !isShort)
      return this.file.view(offset, length, structure);
    if (vaddr + length <= end) return this.#padded(load, vaddr, length, structure);
    // file.view reports the truncation
    if (isShort && vaddr + length <= pagesOf(load).end) return this.file.view(offset, length, structure);
    throw new ElfError(
      this.file.path,
      structure,
      `its ${length} bytes at vaddr 0x${vaddr.toString(16)} reach beyond its segment`,
    );
  }

  rest(vaddr: Vaddr, structure: string, end: Vaddr): DataView {
    const { load, end: last } = this.#piece(vaddr, structure);
    const { p_vaddr, p_filesz } = load;
    const inBytes = vaddr < p_vaddr + p_filesz ? Math.min(p_vaddr + p_filesz, last) : last;
    return this.view(vaddr, Math.max(0, Math.min(end, inBytes) - vaddr), structure);
  }

  room(vaddr: Vaddr): number {
    const piece = this.#find(vaddr);
    return piece && isReadable(piece.load) ? piece.end - vaddr : 0;
  }

  vaddrOf(pointer: number): Vaddr {
    return toVaddr(pointer);
  }

  /**
   * Bytes that extend into the rest of a segment's pages: the file's, but zeroes after its end and in place of .bss.
   * Behind a .bss that ends in the same page are the file's again.
   */
  #padded({ p_vaddr, p_filesz, p_memsz, p_offset }: Phdr, vaddr: Vaddr, length: number, structure: string): DataView {
    const offset = toOffset(vaddr - p_vaddr + p_offset);
    const inFile = Math.max(0, Math.min(length, this.file.size - offset));
    const view = inFile > 0 ? this.file.view(offset, inFile, structure) : undefined;
    const bytes = new Uint8Array(length);
    if (view) bytes.set(new Uint8Array(view.buffer, view.byteOffset, inFile));
    const [bss, end] = [p_filesz, p_memsz].map((size) => Math.max(0, p_vaddr + size - vaddr));
    return new DataView(bytes.fill(0, bss, end).buffer);
  }

  #piece(vaddr: Vaddr, structure: string): Piece {
    const piece = this.#find(vaddr);
    const at = `vaddr 0x${vaddr.toString(16)}`;
    if (!piece) {
      const cut = pieceAt(this.loads, vaddr)?.load;
      const isCutOff = cut !== undefined && vaddr < cut.p_vaddr + cut.p_filesz;
      const where = isCutOff ? `beyond the end of the file (${this.file.size} bytes)` : "in no segment of the file";
      throw new ElfError(this.file.path, structure, `${at} is ${where}`);
    }
    if (!isReadable(piece.load))
      throw new ElfError(this.file.path, structure, `${at} is in a segment that may not be read`);
    return piece;
  }

  #find(vaddr: Vaddr): Piece | undefined {
    const piece = pieceAt(this.loads, vaddr);
    if (!piece) return undefined;
    const end = Math.min(piece.end, this.#endOf(piece.load));
    return vaddr < end ? { ...piece, end: toVaddr(end) } : undefined;
  }

  /** The end of what is mapped from the file for a segment, rounded up to a page, which the file need not fill. */
  #endOf({ p_vaddr, p_filesz, p_offset }: Phdr): number {
    if (p_filesz === 0) return 0;
    return Math.min(alignUp(p_vaddr + p_filesz, PAGE_SIZE), p_vaddr - p_offset + alignUp(this.file.size, PAGE_SIZE));
  }
}

/** An image whose file is open. Dispose of it after reading. */
export class FileImage extends Image implements Disposable {
  constructor(
    readonly file: FileBytes,
    ehdr: Ehdr,
    phdrs: Phdr[],
  ) {
    super(file.path, ehdr, phdrs, new FileImageBytes(file, loadSegments(file.path, phdrs)));
  }

  [Symbol.dispose](): void {
    this.file[Symbol.dispose]();
  }
}

/** The headers of an ELF file, even a statically linked one. Throws as FileBytes does, and ElfError. */
export function readHeaders(file: FileBytes): { ehdr: Ehdr; phdrs: Phdr[] } {
  const head = file.view(toOffset(0), Math.min(Ehdr.size, file.size), "ELF header");
  const ehdr = readEhdr(file.path, head);
  const size = sizeOfPhdrs(file.path, ehdr);
  return { ehdr, phdrs: readPhdrs(file.view(ehdr.e_phoff, size, "program headers")) };
}

/** Opens a dynamically linked program or shared object. Throws what open(2) throws, and ElfError. */
export function openImage(path: string): FileImage {
  const file = new FileBytes(path);
  try {
    const { ehdr, phdrs } = readHeaders(file);
    return new FileImage(file, ehdr, phdrs);
  } catch (error) {
    file[Symbol.dispose]();
    throw error;
  }
}
