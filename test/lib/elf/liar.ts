// A library to lie in: one field of it is changed, and the rest is sound.

import { existsSync, readFileSync } from "node:fs";
import * as elf from "../../../lib/elf/constants.ts";
import { Dyn } from "../../../lib/elf/dyn.ts";
import { Ehdr } from "../../../lib/elf/ehdr.ts";
import { type FileImage, openImage } from "../../../lib/elf/file.ts";
import { Phdr } from "../../../lib/elf/phdr.ts";
import { Rela } from "../../../lib/elf/rela.ts";
import { Sym } from "../../../lib/elf/sym.ts";
import { alignUp, toOffset } from "../../../lib/memory/numbers.ts";
import { plain } from "./everything.ts";
import { run, type Scratch } from "./scratch.ts";

/** `blue` is what its thread-local variables add up to, 1. */
const SOURCE = `
__thread int red = 1;
__thread int green[100];
int *table[] = { (int *)table, (int *)&table[2], 0 };
extern int puts(const char *);
int say(void) { return puts("red"); }
int blue(void) { return red + green[0]; }
static void __attribute__((constructor)) begin(void) { puts("begin"); }
static void __attribute__((destructor)) finish(void) { puts("finish"); }
`;

/** The library, linked as `options` say. */
export function specimen(scratch: Scratch, name: string, ...options: string[]): string {
  const map = scratch.write("lie.map", "LIE_1 { global: *; };\n");
  const object = scratch.path("lie.o");
  if (!existsSync(object)) scratch.compile("lie.o", SOURCE, "-c", "-fPIC", "-O1");
  const flags = ["-shared", "-Wl,--hash-style=both", `-Wl,--version-script=${map}`];
  run(["cc", "-o", scratch.path(name), object, ...flags, ...options]);
  return scratch.path(name);
}

/** A copy of an image to lie in. Structures read and write its bytes. */
export class Liar {
  bytes: Uint8Array<ArrayBuffer>;
  view: DataView<ArrayBuffer>;
  readonly #image: FileImage;

  constructor(readonly path: string) {
    using image = openImage(path);
    this.#image = image;
    this.bytes = new Uint8Array(readFileSync(path));
    this.view = new DataView(this.bytes.buffer);
  }

  /** The last header of that type. */
  segment(type: number): Phdr {
    const { phdrs, ehdr } = this.#image;
    const index = phdrs.findLastIndex(({ p_type }) => p_type === type);
    if (index < 0) throw new Error(`No segment has type ${type}`);
    return Phdr.at(this.view, ehdr.e_phoff + index * Phdr.size);
  }

  /** The headers of that type. */
  all(type: number): Phdr[] {
    const { phdrs, ehdr } = this.#image;
    return phdrs.flatMap(({ p_type }, i) =>
      p_type === type ? [Phdr.at(this.view, ehdr.e_phoff + i * Phdr.size)] : [],
    );
  }

  each(type: number, values: Partial<Phdr>): void {
    for (const phdr of this.all(type)) Object.assign(phdr, values);
  }

  swap(one: Phdr | undefined, other: Phdr | undefined): void {
    if (!one || !other) throw new Error("There are not so many headers");
    const before = plain(Phdr, one);
    Object.assign(one, plain(Phdr, other));
    Object.assign(other, before);
  }

  set length(length: number) {
    this.bytes = this.bytes.slice(0, length);
    this.view = new DataView(this.bytes.buffer);
  }

  /** To the end of the file; where they were there is nonsense. */
  moveHeaders(): void {
    const { e_phoff, e_phnum } = this.#image.ehdr;
    const size = e_phnum * Phdr.size;
    const at = alignUp(this.bytes.length, 8);
    const bytes = new Uint8Array(at + size);
    bytes.set(this.bytes);
    bytes.copyWithin(at, e_phoff, e_phoff + size);
    bytes.fill(0xcc, e_phoff, e_phoff + size);
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer);
    Ehdr.at(this.view).e_phoff = toOffset(at);
  }

  entry(tag: number): Dyn {
    return Dyn.at(this.view, this.placeOf(tag));
  }

  /** Where in the file an entry of the dynamic section is. */
  placeOf(tag: number): number {
    const found = this.#image.dynamic.entries.find((entry) => entry.tag === tag);
    if (!found) throw new Error(`The dynamic section has no entry ${tag}`);
    return this.segment(elf.PT_DYNAMIC).p_offset + found.at;
  }

  set(tag: number, value: number): void {
    this.entry(tag).d_val = value;
  }

  /** The entry's tag becomes one that nobody reads. */
  remove(tag: number): void {
    this.entry(tag).d_tag = 0x6000_0000;
  }

  /** Where in the file the table is that an entry points to, and `distance` bytes further on. */
  table(tag: number, distance = 0): number {
    const vaddr = this.entry(tag).d_val;
    const load = this.#image.loads.find(({ p_vaddr, p_filesz }) => vaddr >= p_vaddr && vaddr < p_vaddr + p_filesz);
    if (!load) throw new Error(`Nothing is loaded at ${vaddr}`);
    return vaddr - load.p_vaddr + load.p_offset + distance;
  }

  word(at: number): number {
    return this.view.getUint32(at, true);
  }

  setWord(at: number, value: number): void {
    this.view.setUint32(at, value, true);
  }

  symbol(name: string): Sym {
    return Sym.at(this.view, this.table(elf.DT_SYMTAB, Sym.size * this.indexOf(name)));
  }

  /** Of a symbol that it has or refers to. */
  indexOf(name: string): number {
    using image = openImage(this.path);
    return Array.from(image.symbols, (sym) => image.symbols.nameOf(sym)).indexOf(name);
  }

  relocation(tag: number): Rela {
    return Rela.at(this.view, this.table(tag));
  }

  get gnuBuckets(): number {
    const table = this.table(elf.DT_GNU_HASH);
    return table + 16 + 8 * this.word(table + 8);
  }

  get sysvChains(): number {
    const table = this.table(elf.DT_HASH);
    return table + 8 + 4 * this.word(table);
  }
}
