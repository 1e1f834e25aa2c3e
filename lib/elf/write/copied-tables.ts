// The tables used to link to an object: symbols, names, hashes and versions, copied byte for byte, so that the hash
// tables stay valid and no string is read.

import { DT_GNU_HASH, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_VERDEF, DT_VERSYM } from "../constants.ts";
import type { Image } from "../image.ts";
import { Sym } from "../sym.ts";
import { verdefsSize } from "../versions.ts";
import type { Table } from "./shared-object.ts";
import type { StringTableWriter } from "./string-table.ts";

export interface CopiedTables {
  readonly tables: Table[];
  /** The bytes of two of them, for changes. */
  readonly symbols: Uint8Array;
  readonly versions: Uint16Array | undefined;
  readonly verdefCount: number;
}

/**
 * `strings` starts with the source's, and already has all additions. Leaves room for `more` symbols after the source's,
 * in the hash tables, too, which do not count them. Throws ElfError if the source's tables cannot be read.
 */
export function copyTables(source: Image, strings: StringTableWriter, more = 0): CopiedTables {
  const { symbols, gnuHash, sysvHash, versym, verdefs } = source;
  const symbolBytes = copyOf(symbols.view, symbols.view.byteLength, more * Sym.size);
  const versions = versym && new Uint16Array(copyOf(versym.view, versym.view.byteLength, more * 2).buffer);
  const tables: Table[] = [
    { tag: DT_SYMTAB, bytes: symbolBytes },
    { tag: DT_STRTAB, bytes: strings.bytes },
  ];
  if (gnuHash) tables.push({ tag: DT_GNU_HASH, bytes: copyOf(gnuHash.view, gnuHash.size, more * 4) });
  if (sysvHash) tables.push({ tag: DT_HASH, bytes: copyOf(sysvHash.view, sysvHash.size, more * 4) });
  if (versions) tables.push({ tag: DT_VERSYM, bytes: new Uint8Array(versions.buffer) });
  const verdefCount = verdefs.length;
  const { verdefView } = source;
  if (verdefCount > 0 && verdefView)
    tables.push({ tag: DT_VERDEF, bytes: copyOf(verdefView, verdefsSize(source.path, verdefView)) });
  return { tables, symbols: symbolBytes, versions, verdefCount };
}

/** Appends `more` zero bytes. */
export function copyOf(view: DataView, size = view.byteLength, more = 0): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size + more);
  bytes.set(new Uint8Array(view.buffer, view.byteOffset, size));
  return bytes;
}
