// A string table (gABI, "String Table"): NUL-terminated strings, named by offset.
// Tables reach megabytes (libLLVM's has 3), and a search for libraries wants a
// handful of strings, so single strings are read alone until somebody asks for
// the whole table.

import { ElfError } from "./error.ts";

const decoder = new TextDecoder();
/** Longer than nearly every soname and search path. */
const GLANCE = 256;

export class StringTable {
  #whole?: Uint8Array;

  constructor(
    readonly path: string,
    readonly size: number,
    /** `length` bytes at an offset into the table, which has them. */
    readonly read: (offset: number, length: number) => DataView,
  ) {}

  /** The table's bytes; from now on strings come from them. */
  get bytes(): Uint8Array {
    this.#whole ??= toBytes(this.read(0, this.size));
    return this.#whole;
  }

  /** Throws ElfError where the table does not end its last string: then none of its offsets can run over. */
  check(): void {
    if (this.read(this.size - 1, 1).getUint8(0) !== 0)
      throw new ElfError(this.path, "string table", `its ${this.size} bytes do not end with a NUL`);
  }

  /** The string at `offset` bytes. Throws ElfError where it lies outside the table or has no end in it. */
  at(offset: number): string {
    return decoder.decode(this.bytesAt(offset));
  }

  /** The string's bytes, without the NUL; a view, nothing copied. */
  bytesAt(offset: number): Uint8Array {
    if (!(offset < this.size))
      throw new ElfError(this.path, "string table", `offset ${offset} is beyond its ${this.size} bytes`);
    if (!this.#whole) {
      const glance = toBytes(this.read(offset, Math.min(GLANCE, this.size - offset)));
      const end = glance.indexOf(0);
      if (end >= 0) return glance.subarray(0, end);
    }
    const end = this.bytes.indexOf(0, offset);
    if (end < 0) throw new ElfError(this.path, "string table", `the string at offset ${offset} has no end`);
    return this.bytes.subarray(offset, end);
  }
}

const toBytes = (view: DataView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
