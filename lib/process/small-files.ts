// Small files through libc's own functions, for early checks of whether there is anything to do, before other modules
// load: node:fs takes 2 ms to load (Bun 1.4.5).

import { FFIType, dlopen as ffi, read } from "bun:ffi";
import { cString, pointer } from "../memory/live.ts";
import { type Address, add } from "../memory/numbers.ts";

const { ptr, i32, i64, u64 } = FFIType;

/** How many bytes are read at once. */
const PIECE = 65536;
/** Its offset in struct dirent. */
const D_NAME = 19;

export class SmallFiles {
  readonly #libc = ffi("libc.so.6", {
    open: { args: [ptr, i32], returns: i32 },
    read: { args: [i32, ptr, u64], returns: i64 },
    close: { args: [i32], returns: i32 },
    statx: { args: [i32, ptr, i32, i32, ptr], returns: i32 },
    readlink: { args: [ptr, ptr, u64], returns: i64 },
    opendir: { args: [ptr], returns: ptr },
    readdir: { args: [ptr], returns: ptr },
    closedir: { args: [ptr], returns: i32 },
  }).symbols;

  /** Undefined if it cannot be read. */
  bytes(path: string): Uint8Array | undefined {
    const O_CLOEXEC = 0x80000;
    const descriptor = this.#libc.open(cString(path), O_CLOEXEC);
    if (descriptor < 0) return undefined;
    const pieces: Uint8Array[] = [];
    for (;;) {
      const piece = new Uint8Array(PIECE);
      const count = Number(this.#libc.read(descriptor, piece, PIECE));
      if (count <= 0) {
        this.#libc.close(descriptor);
        return count < 0 ? undefined : Buffer.concat(pieces);
      }
      pieces.push(piece.subarray(0, count));
    }
  }

  /** Like lstat(2); undefined if it fails. */
  owner(path: string): { readonly uid: number; readonly mode: number } | undefined {
    const [AT_FDCWD, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS] = [-100, 0x100, 0x7ff];
    // struct statx
    const [SIZE, UID, MODE] = [256, 20, 28];
    const bytes = new Uint8Array(SIZE);
    const stat = new DataView(bytes.buffer);
    if (this.#libc.statx(AT_FDCWD, cString(path), AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, bytes) !== 0)
      return undefined;
    return { uid: stat.getUint32(UID, true), mode: stat.getUint16(MODE, true) };
  }

  /** Empty if it cannot be read. */
  text(path: string): string {
    return Buffer.from(this.bytes(path) ?? []).toString("latin1");
  }

  /** A symbolic link's target; undefined if it is not a link. */
  link(path: string): string | undefined {
    const target = new Uint8Array(PIECE);
    const length = Number(this.#libc.readlink(cString(path), target, PIECE));
    return length < 0 ? undefined : Buffer.from(target.subarray(0, length)).toString();
  }

  /** A directory's entries; empty if it cannot be read. */
  names(path: string): string[] {
    const directory = this.#libc.opendir(cString(path));
    if (directory === null) return [];
    const names: string[] = [];
    for (let entry = this.#libc.readdir(directory); entry !== null; entry = this.#libc.readdir(directory))
      names.push(nameAt(add(Number(entry) as Address, D_NAME)));
    this.#libc.closedir(directory);
    return names.filter((name) => name !== "." && name !== "..");
  }
}

function nameAt(address: Address): string {
  let name = "";
  for (let i = 0; ; i++) {
    const byte = read.u8(pointer(address), i);
    if (byte === 0) return name;
    name += String.fromCharCode(byte);
  }
}
