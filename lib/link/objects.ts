// The objects of a link: the program and all its dependencies, in link map order.

import type { FileImage } from "../elf/file.ts";
import type { Library } from "../elf/library.ts";
import type { Address } from "../memory/numbers.ts";

/** An object whose file is open and checked. */
export interface OpenObject {
  /** Its index in the link map; the program's is 0. */
  readonly index: number;
  /** The name by which it was first requested: a soname or a path. */
  readonly name: string;
  /** The file's path without symbolic links. */
  readonly path: string;
  /** The search step that found it; undefined for the program. */
  readonly why: string | undefined;
  readonly library: Library;
  readonly image: FileImage;
  /** The indexes of its direct dependencies, in DT_NEEDED order. */
  readonly needs: readonly number[];
}

/** An object's place in the address space. */
export interface Placed {
  readonly loadBias: Address;
  /** From the start of its first page to the end of its last. */
  readonly start: Address;
  readonly end: Address;
}

/** An object's part of static TLS (variant II: below the thread pointer). */
export interface TlsBlock {
  /** From 1, in link map order. */
  readonly module: number;
  /** The block's start, in bytes below the thread pointer. */
  readonly offset: number;
  /** In bytes; all after `fileSize` is zero. */
  readonly size: number;
  readonly fileSize: number;
  readonly alignment: number;
  /** The address of the mapped initialization image. */
  readonly image: Address;
}

export interface LinkObject extends OpenObject, Placed {
  /** Undefined if it has no thread-local data. */
  readonly tls: TlsBlock | undefined;
}
