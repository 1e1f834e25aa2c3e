// A string table (gABI, "String Table"): NUL-terminated strings, addressed by offset. Tables reach megabytes (libLLVM's
// has 3), and a library search needs only a few strings, so strings are read one by one until the whole table is asked
// for.

import { ElfError } from "./error.ts";

const decoder = new TextDecoder();
/** Longer than nearly every soname and search path. */
const GLANCE = 256;
/** The longest string that is read, in bytes: names of C++'s templates reach a tenth of it. */
const LONGEST = 1 << 20;

/** How far a table really extends. Its declared size is unreliable: ld.so does not read DT_STRSZ. */
interface Reach {
  /** Bytes from the start of the table to the end of what is mapped there: no string can lie beyond. */
  room(): number;
  /** The offset of the last referenced string within `room` bytes. */
  last(room: number): number;
}

export class StringTable {
  #whole?: Uint8Array;
  #room?: number;
  #size?: number;

  constructor(
    readonly path: string,
    /** The declared size, in bytes. */
    readonly declared: number,
    /** Reads `length` bytes at an offset into the table, which must have them. */
    readonly read: (offset: number, length: number) => DataView,
    readonly reach?: Reach,
  ) {}

  /** No string can lie beyond this many bytes, whatever the file declares. */
  get room(): number {
    this.#room ??= this.reach ? this.reach.room() : this.declared;
    return this.#room;
  }

  /**
   * Size in bytes: as declared, or up to the end of the last referenced string if that is more (patchelf 0.14 adds
   * names without updating DT_STRSZ) or if the declared size exceeds `room`. Throws ElfError if the last string has no
   * end.
   */
  get size(): number {
    this.#size ??= this.#measure();
    return this.#size;
  }

  /** The whole table. Later lookups read from it. */
  get bytes(): Uint8Array {
    this.#whole ??= toBytes(this.read(0, this.size));
    return this.#whole;
  }

  /** The string at `offset` bytes. Throws ElfError if it lies outside the table or has no end in it. */
  at(offset: number): string {
    return decoder.decode(this.bytesAt(offset));
  }

  /** The string's bytes without the NUL; a view, not a copy. */
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
      if (length >= LONGEST)
        throw new ElfError(this.path, "string table", `the string at offset ${offset} has more than ${length} bytes`);
    }
  }

  /** Is this the string at `offset`? Throws like bytesAt. Hot: a lookup asks it of each symbol with the name's hash. */
  isAt(offset: number, name: Uint8Array): boolean {
    const whole = this.#whole && offset + name.length < this.#whole.length ? this.#whole : undefined;
    const bytes = whole ?? this.bytesAt(offset);
    const start = whole ? offset : 0;
    if (whole ? bytes[start + name.length] !== 0 : bytes.length !== name.length) return false;
    for (let i = 0; i < name.length; i++) if (bytes[start + i] !== name[i]) return false;
    return true;
  }

  #measure(): number {
    if (!this.reach || this.room === 0) return this.declared;
    const last = this.reach.last(this.room);
    const used = last + this.bytesAt(last).length + 1;
    return this.declared <= this.room ? Math.max(this.declared, used) : used;
  }
}

const toBytes = (view: DataView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
