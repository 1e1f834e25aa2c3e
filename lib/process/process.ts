// What linking needs of the process it works on: to see its memory, and to have
// functions called in it. A pass is a generator that yields its calls, so that it
// is written once: here each call is made at once; elsewhere it is made by a
// thread of that process which asked and waits.

import type { LoadedImage } from "../elf/loaded.ts";
import { readU64, writeU64 } from "../memory/layout.ts";
import type { Memory } from "../memory/live.ts";
import { type Address, toAddress } from "../memory/numbers.ts";

/** The functions of libc that passes call in the process. */
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

/** A word, a string that the callee only reads, or memory that it writes to and that is read back. */
type Argument = number | string | Uint8Array;

export interface Call {
  readonly name: Callable;
  /** Of a function that is called in its place, with the same arguments. */
  readonly at?: Address;
  readonly arguments: readonly Argument[];
}

/**
 * A pass, or a step of one: yields calls that can be made one behind the other, is given what they return (a word
 * each), and returns what it is for.
 */
export type Linking<Result> = Generator<readonly Call[], Result, readonly number[]>;

/** One call. */
export function* call(name: Callable, ...list: Argument[]): Linking<number> {
  const [result] = yield [{ name, arguments: list }];
  return result ?? 0;
}

/** What a loader says of an object that it has mapped. */
export interface MappedObject {
  readonly path: string;
  readonly loadBias: Address;
  /** Where its dynamic section is. */
  readonly dynamic: Address;
}

export interface Process {
  readonly pid: number;
  /** Of one of its threads that live, for /proc. */
  readonly task: number;
  readonly memory: Memory;
  /** Known once it has been looked at; see linkMapOf. */
  handlesAreLinkMaps?: boolean;
  /** The C string at an address. */
  stringAt(address: Address): string;
  /** Overwrites memory that is writable there. Throws where it is not. */
  write(address: Address, bytes: Uint8Array): void;
  /** The image of an object that is mapped there, if that can be told without its file. */
  imageOf?(object: MappedObject): LoadedImage | undefined;
}

/** The pointer stored at an address of a process. What no user address can be reads as Infinity. */
export const pointerIn = ({ memory }: Process, at: Address): Address => toAddress(readU64(memory.view(at, 8), 0));

export const u32In = ({ memory }: Process, at: Address): number => memory.view(at, 4).getUint32(0, true);

export function setPointerIn(process: Process, at: Address, value: number): void {
  const bytes = new Uint8Array(8);
  writeU64(new DataView(bytes.buffer), 0, value);
  process.write(at, bytes);
}
