// A string table (gABI, "String Table"): NUL-terminated strings, named by offset.
// Tables reach megabytes (libLLVM's has 3), and a search for libraries wants a
// handful of strings, so single strings are read alone until somebody asks for
// the whole table.

import { ElfError } from "./error.ts";

const decoder = new TextDecoder();
/** Longer than nearly every soname and search path. */
const GLANCE = 256;

/** How far a table reaches whose declared size nobody keeps to: ld.so does not look at DT_STRSZ. */
interface Reach {
  /** From the table's beginning to the end of what is mapped there, in bytes: no string can be beyond. */
  room(): number;
  /** The offset of the last string that anything refers to, of those within `room` bytes. */
  last(room: number): number;
}

export class StringTable {
  #whole?: Uint8Array;
  #room?: number;
  #size?: number;

  constructor(
    readonly path: string,
    /** What the file says that it is, in bytes. */
    readonly declared: number,
    /** `length` bytes at an offset into the table, which has them. */
    readonly read: (offset: number, length: number) => DataView,
    readonly reach?: Reach,
  ) {}

  /** No string can be beyond, whatever the file says. */
  get room(): number {
    this.#room ??= this.reach ? this.reach.room() : this.declared;
    return this.#room;
  }

  /**
   * In bytes: what the file says, or as much more (patchelf 0.14 leaves DT_STRSZ as it was when it adds names) or less
   * as what is referred to. Throws ElfError where the last string has no end.
   */
  get size(): number {
    this.#size ??= this.#measure();
    return this.#size;
  }

  /** The table's bytes; from now on strings come from them. */
  get bytes(): Uint8Array {
    this.#whole ??= toBytes(this.read(0, this.size));
    return this.#whole;
  }

  /** The string at `offset` bytes. Throws ElfError where it lies outside the table or has no end in it. */
  at(offset: number): string {
    return decoder.decode(this.bytesAt(offset));
  }

  /** The string's bytes, without the NUL; a view, nothing copied. */
  bytesAt(offset: number): Uint8Array {
    if (this.#whole) {
      const end = offset < this.#whole.length ? this.#whole.indexOf(0, offset) : -1;
      if (end >= 0) return this.#whole.subarray(offset, end);
    }
    if (!(offset < this.room))
      throw new ElfError(this.path, "string table", `offset ${offset} is beyond its ${this.room} bytes`);
    for (let length = GLANCE; ; length *= 8) {
      const bytes = toBytes(this.read(offset, Math.min(length, this.room - offset)));
      const end = bytes.indexOf(0);
      if (end >= 0) return bytes.subarray(0, end);
      if (offset + length >= this.room)
        throw new ElfError(this.path, "string table", `the string at offset ${offset} has no end`);
    }
  }

  #measure(): number {
    if (!this.reach || this.room === 0) return this.declared;
    const last = this.reach.last(this.room);
    const used = last + this.bytesAt(last).length + 1;
    return this.declared <= this.room ? Math.max(this.declared, used) : used;
  }
}

const toBytes = (view: DataView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
