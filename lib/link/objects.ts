// What is linked: the program and all that it needs, in the order of the link map.

import type { FileImage } from "../elf/file.ts";
import type { Library } from "../elf/library.ts";
import type { Address } from "../memory/numbers.ts";
import type { SymbolTables } from "./symbol-tables.ts";

/** An object whose file is open and checked. */
export interface OpenObject {
  /** Its place in the link map; the program's is 0. */
  readonly index: number;
  /** By which it was asked for first: a soname or a path. */
  readonly name: string;
  /** Of the file, without symbolic links. */
  readonly path: string;
  /** Which step of the search gave it; undefined for the program. */
  readonly why: string | undefined;
  readonly library: Library;
  readonly image: FileImage;
  readonly tables: SymbolTables;
  /** What it needs itself, by index, in the order of DT_NEEDED. */
  readonly needs: readonly number[];
}

/** Where an object is in the address space. */
export interface Placed {
  readonly loadBias: Address;
  /** From its first page to its last. */
  readonly start: Address;
  readonly end: Address;
}

/** An object's part of static TLS (variant II: below the thread pointer). */
export interface TlsBlock {
  /** From 1 on, in the order of the link map. */
  readonly module: number;
  /** How far below the thread pointer the block begins, in bytes. */
  readonly offset: number;
  /** In bytes; all behind `fileSize` is zero. */
  readonly size: number;
  readonly fileSize: number;
  readonly alignment: number;
  /** Where what each thread's block begins as is mapped. */
  readonly image: Address;
}

export interface LinkObject extends OpenObject, Placed {
  /** undefined where it has no thread-local data. */
  readonly tls: TlsBlock | undefined;
}
