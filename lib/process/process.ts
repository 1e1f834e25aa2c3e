// What linking needs of the process it works on: reading its memory, and calling functions in it. A pass is a generator
// that yields its calls, so it is written once: here each call is made immediately; otherwise a thread of that process,
// which asked and waits, makes it.

import type { LoadedImage } from "../elf/loaded.ts";
import { readU64, writeU64 } from "../memory/layout.ts";
import type { Memory } from "../memory/live.ts";
import { type Address, toAddress } from "../memory/numbers.ts";

/** The libc functions that passes call in the process. */
export const CALLABLE = [
  "dlopen",
  "dlmopen",
  "dlclose",
  "dlinfo",
  "dlsym",
  "dlvsym",
  "dlerror",
  "dladdr",
  "malloc",
  "mprotect",
  "sigaction",
] as const;
export type Callable = (typeof CALLABLE)[number];

/** A word, a string that the callee only reads, or memory that the callee writes and that is read back. */
type Argument = number | string | Uint8Array;

export interface Call {
  readonly name: Callable;
  /** The address of a function to call instead, with the same arguments. */
  readonly at?: Address;
  readonly arguments: readonly Argument[];
}

/**
 * A pass, or a step of one: yields calls to make in sequence, receives their results (a word each), and returns its own
 * result.
 */
export type Linking<Result> = Generator<readonly Call[], Result, readonly number[]>;

/** Makes one call. */
export function* call(name: Callable, ...list: Argument[]): Linking<number> {
  const [result] = yield [{ name, arguments: list }];
  return result ?? 0;
}

/** A loader's record of an object that it has mapped. */
export interface MappedObject {
  readonly path: string;
  readonly loadBias: Address;
  /** The address of its dynamic section. */
  readonly dynamic: Address;
}

export interface Process {
  readonly pid: number;
  /** A live thread's id, for /proc. */
  readonly task: number;
  readonly memory: Memory;
  /** Set once determined; see linkMapOf. */
  handlesAreLinkMaps?: boolean;
  /** The C string at an address. */
  stringAt(address: Address): string;
  /** Overwrites writable memory. Throws if it is not writable. */
  write(address: Address, bytes: Uint8Array): void;
  /** The image of a mapped object, if it can be determined without its file. */
  imageOf?(object: MappedObject): LoadedImage | undefined;
}

/** The pointer stored at an address of a process. Values beyond user addresses read as Infinity. */
export const pointerIn = ({ memory }: Process, at: Address): Address => toAddress(readU64(memory.view(at, 8), 0));

export const u32In = ({ memory }: Process, at: Address): number => memory.view(at, 4).getUint32(0, true);

export function setPointerIn(process: Process, at: Address, value: number): void {
  const bytes = new Uint8Array(8);
  writeU64(new DataView(bytes.buffer), 0, value);
  process.write(at, bytes);
}
