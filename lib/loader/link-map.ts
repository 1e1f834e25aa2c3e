// glibc's list of the objects in a namespace (<link.h>, struct link_map): the five public members. The rest is private
// and differs by version.

import { FileBytes, readHeaders } from "../elf/file.ts";
import { LoadedImage } from "../elf/loaded.ts";
import { i64, layout, type Struct, u32, u64 } from "../memory/layout.ts";
import { type Address, toAddress } from "../memory/numbers.ts";
import type { Process } from "../process/process.ts";

export const LinkMap = layout("link_map", {
  // negative for an object mapped below the addresses that it was linked for
  l_addr: i64,
  l_name: u64<Address>(),
  l_ld: u64<Address>(),
  l_next: u64<Address>(),
  l_prev: u64<Address>(),
});
export type LinkMap = Struct<typeof LinkMap>;

/** The start of _r_debug, which debuggers use. */
const RDebug = layout("r_debug", {
  r_version: u32,
  padding: u32,
  r_map: u64<Address>(),
});

/** The first object of the base namespace, from the address of _r_debug. */
export const firstLinkMap = ({ memory }: Process, debug: Address): Address =>
  RDebug.at(memory.view(debug, RDebug.size)).r_map;

/** An object that the loader has. Its image is read on demand. */
export class LoadedObject {
  readonly loadBias: Address;
  /** Where its dynamic section is. */
  readonly dynamic: Address;
  /** The path it was opened by; "" for the program that the process was started with. */
  readonly path: string;
  #image?: LoadedImage;

  constructor(
    readonly process: Process,
    /** Where its link_map is. */
    readonly linkMap: Address,
    image?: LoadedImage,
    fields = fieldsAt(process, linkMap),
  ) {
    if (image) this.#image = image;
    this.loadBias = toAddress(fields.l_addr);
    this.dynamic = fields.l_ld;
    this.path = process.stringAt(fields.l_name);
  }

  /** The kernel's own object, which has no file. */
  get isVdso(): boolean {
    return this.path.startsWith("linux-vdso");
  }

  /**
   * Throws ElfError, and what open(2) throws. Unless the process supplies the image, the headers come from the file,
   * since memory does not say where they are.
   */
  get image(): LoadedImage {
    this.#image ??= this.process.imageOf?.(this) ?? this.#fromFile();
    return this.#image;
  }

  #fromFile(): LoadedImage {
    const path = this.path || `/proc/${this.process.task}/exe`;
    using file = new FileBytes(path);
    const { ehdr, phdrs } = readHeaders(file);
    return new LoadedImage(path, this.loadBias, ehdr, phdrs, this.process.memory);
  }
}

const fieldsAt = ({ memory }: Process, linkMap: Address): LinkMap => LinkMap.at(memory.view(linkMap, LinkMap.size));

/**
 * The objects of a namespace in load order, starting from any of them. In a namespace made by dlmopen, ld.so's entry
 * says where it is only since glibc 2.35; before, it is skipped.
 */
export function* linkMap(process: Process, member: Address): Generator<LoadedObject> {
  let first = member;
  let fields = fieldsAt(process, member);
  for (; fields.l_prev !== 0; fields = fieldsAt(process, first)) first = fields.l_prev;
  for (let at = first; ; fields = fieldsAt(process, at)) {
    // Another process's memory is copied: once for each object.
    if (fields.l_ld !== 0) yield new LoadedObject(process, at, undefined, fields);
    at = fields.l_next;
    if (at === 0) return;
  }
}
