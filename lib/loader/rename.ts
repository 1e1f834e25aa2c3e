// Makes glibc use another path for an object than the one it was opened by: dladdr, debuggers and lookups by name use
// l_name, and $ORIGIN uses l_origin.

import { dirname } from "node:path";
import { readU64 } from "../memory/layout.ts";
import { findMapping, readMaps } from "../memory/maps.ts";
import { type Address, add, toAddress } from "../memory/numbers.ts";
import { setPointerIn } from "../process/process.ts";
import { LinkMap, LoadedObject } from "./link-map.ts";

/** How far into a link_map l_origin may be, in bytes; 0x358 in glibc 2.36. */
const ORIGIN_LIMIT = 1500;

/** C strings that are never freed. */
interface NewName {
  readonly path: Address;
  readonly directory: Address;
}

/**
 * l_origin is private, so it is found by its contents (2.31-2.41 have it). If it is not found, dlinfo(RTLD_DI_ORIGIN)
 * still gives the old directory.
 */
export function rename(
  { process, linkMap, path, image }: LoadedObject,
  to: NewName,
): { object: LoadedObject; hasOrigin: boolean } {
  const words = process.memory.view(linkMap, ORIGIN_LIMIT);
  const old = Buffer.from(`${dirname(path)}\0`);
  const mappings = readMaps(process.task);
  const says = (pointer: number): boolean => {
    const mapping = Number.isSafeInteger(pointer) ? findMapping(mappings, toAddress(pointer)) : undefined;
    if (!mapping?.readable || !mapping.writable || pointer + old.length > mapping.end) return false;
    const { buffer, byteOffset } = process.memory.view(toAddress(pointer), old.length);
    return old.equals(new Uint8Array(buffer, byteOffset, old.length));
  };
  let origin: number | undefined;
  for (let at = LinkMap.size; at + 8 <= words.byteLength && origin === undefined; at += 8)
    if (says(readU64(words, at))) origin = at;
  if (origin !== undefined) setPointerIn(process, add(linkMap, origin), to.directory);
  setPointerIn(process, add(linkMap, LinkMap.offsetOf.l_name), to.path);
  return { object: new LoadedObject(process, linkMap, image), hasOrigin: origin !== undefined };
}
