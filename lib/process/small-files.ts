// Small files by system calls, for early checks of whether there is anything to do, before other modules load: node:fs
// takes 2 ms to load (Bun 1.4.5).

import { addressOf, cString } from "../memory/live.ts";
import type { System } from "./system.ts";

/** How many bytes are read at once. */
const PIECE = 65536;
const [O_CLOEXEC, O_DIRECTORY] = [0x80000, 0x10000] as const;
const [AT_FDCWD, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS] = [-100, 0x100, 0x7ff] as const;
/** Of struct statx, in bytes: its size, and where members are. */
const [STATX_SIZE, STX_UID, STX_MODE] = [256, 20, 28] as const;
/** Offsets in the kernel's struct linux_dirent64, in bytes. */
const [D_RECLEN, D_NAME] = [16, 19] as const;

export class SmallFiles {
  constructor(readonly system: System) {}

  /** Undefined if it cannot be read. */
  bytes(path: string): Uint8Array | undefined {
    return this.#read("read", path, 0);
  }

  /** Like lstat(2); undefined if it fails. */
  owner(path: string): { readonly uid: number; readonly mode: number } | undefined {
    const [name, stat] = [cString(path), new DataView(new ArrayBuffer(STATX_SIZE))];
    const [file, into] = [addressOf(name), addressOf(stat)];
    if (this.system.call("statx", AT_FDCWD, file, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, into) !== 0) return undefined;
    return { uid: stat.getUint32(STX_UID, true), mode: stat.getUint16(STX_MODE, true) };
  }

  /** Empty if it cannot be read. */
  text(path: string): string {
    return Buffer.from(this.bytes(path) ?? []).toString("latin1");
  }

  /** A symbolic link's target; undefined if it is not a link. */
  link(path: string): string | undefined {
    const [name, target] = [cString(path), Buffer.alloc(PIECE)];
    const length = this.system.call("readlink", addressOf(name), addressOf(target), PIECE);
    return length < 0 ? undefined : target.toString("utf8", 0, length);
  }

  /** A directory's entries; empty if it cannot be read. */
  names(path: string): string[] {
    const entries = Buffer.from(this.#read("getdents64", path, O_DIRECTORY) ?? []);
    const names: string[] = [];
    for (let at = 0; at < entries.length; at += entries.readUInt16LE(at + D_RECLEN))
      names.push(entries.toString("latin1", at + D_NAME, entries.indexOf(0, at + D_NAME)));
    return names.filter((name) => name !== "." && name !== "..");
  }

  /** All that a system call finds in an open file. */
  #read(call: "read" | "getdents64", path: string, flags: number): Uint8Array | undefined {
    const name = cString(path);
    const descriptor = this.system.call("open", addressOf(name), flags | O_CLOEXEC);
    if (descriptor < 0) return undefined;
    const pieces: Uint8Array[] = [];
    let count = 0;
    do {
      const piece = new Uint8Array(PIECE);
      count = this.system.call(call, descriptor, addressOf(piece), PIECE);
      pieces.push(piece.subarray(0, Math.max(count, 0)));
    } while (count > 0);
    this.system.call("close", descriptor);
    return count < 0 ? undefined : Buffer.concat(pieces);
  }
}
