// glibc's record of an object's thread-local storage, in its link_map after the public members (2.31–2.41):
//
//   l_tls_initimage_size    PT_TLS: p_filesz
//   l_tls_blocksize                 p_memsz
//   l_tls_align                     p_align
//   l_tls_firstbyte_offset          p_vaddr modulo p_align
//   l_tls_offset            how far below the thread pointer its block is; 0 if never asked for
//   l_tls_modid             as dlinfo gives it
//
// Its offset differs by version, so it is found by its expected contents, and whatever does not look as above is left
// alone.

import type { Phdr } from "../elf/phdr.ts";
import { i64, layout, u64 } from "../memory/layout.ts";
import { findMapping, readMaps } from "../memory/maps.ts";
import { type Address, add } from "../memory/numbers.ts";
import type { Linking, Process } from "../process/process.ts";
import { tlsModuleOf } from "./calls.ts";

const TlsRecord = layout("link_map's l_tls_…", {
  l_tls_initimage_size: u64(),
  l_tls_blocksize: u64(),
  l_tls_align: u64(),
  l_tls_firstbyte_offset: u64(),
  l_tls_offset: i64,
  l_tls_modid: u64(),
});

/** l_tls_offset of a block that can no longer be in static TLS. */
const FORCED_DYNAMIC = -1;
/** How far into a link_map the record may be; 0x410 in glibc 2.36. */
const LIMIT = 2048;

/** Offset of the record in a link_map, in bytes. */
type RecordOffset = number;

/** Finds it from an object that has a PT_TLS; undefined if glibc does not keep it as above. */
export function* findTlsRecord(process: Process, linkMap: Address, tls: Phdr): Linking<RecordOffset | undefined> {
  const module = yield* tlsModuleOf(process, linkMap);
  const mapping = findMapping(readMaps(process.task), linkMap);
  if (module === 0 || !mapping) return undefined;
  const view = process.memory.view(linkMap, Math.min(LIMIT, mapping.end - linkMap));
  const firstByte = tls.p_vaddr % Math.max(tls.p_align, 1);
  for (let offset = 0; offset + TlsRecord.size <= view.byteLength; offset += 8) {
    const record = TlsRecord.at(view, offset);
    if (record.l_tls_modid !== module || record.l_tls_blocksize !== tls.p_memsz) continue;
    if (record.l_tls_initimage_size !== tls.p_filesz || record.l_tls_align !== tls.p_align) continue;
    if (record.l_tls_firstbyte_offset === firstByte) return offset;
  }
  return undefined;
}

/**
 * Lets an object without thread-local storage define another object's variables: a relocation or dlsym that finds one
 * of them reads only the object's module and offset. The borrower must never be closed, as glibc would free the module
 * with it.
 */
export function lendTls(process: Process, owner: Address, borrower: Address, at: RecordOffset): void {
  const viewOf = (linkMap: Address): DataView => process.memory.view(add(linkMap, at), TlsRecord.size);
  const { l_tls_offset, l_tls_modid } = TlsRecord.at(viewOf(owner));
  const view = viewOf(borrower);
  const record = TlsRecord.at(view);
  if (record.l_tls_blocksize !== 0 || record.l_tls_modid !== 0) return;
  record.l_tls_modid = l_tls_modid;
  // glibc would allocate room for the borrower, which needs none.
  record.l_tls_offset = l_tls_offset === 0 ? FORCED_DYNAMIC : l_tls_offset;
  process.write(add(borrower, at), new Uint8Array(view.buffer, view.byteOffset, TlsRecord.size));
}
