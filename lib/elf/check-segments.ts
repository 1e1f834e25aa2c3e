// Checks what a loader maps, and what it reads of the program headers themselves.

import { add, alignUp, isPowerOfTwo, PAGE_SIZE, toVaddr } from "../memory/numbers.ts";
import * as elf from "./constants.ts";
import { ElfError } from "./error.ts";
import type { FileImage } from "./file.ts";
import { Nhdr } from "./notes.ts";
import { isReadable, type PageRange, Phdr, pagesOf, segmentAt } from "./phdr.ts";
import { relroOf } from "./relro.ts";

/** User memory ends here. */
const ADDRESS_LIMIT = 2 ** 47;
/** In bytes. A sparse file can claim any size, and each note may be small. */
const LARGEST_NOTES = 2 ** 20;

/** Throws ElfError. */
export function checkSegments(image: FileImage): void {
  checkLoads(image);
  checkTls(image);
  checkHeaders(image);
  checkProperties(image);
  const { path, loads, dynamicSegment } = image;
  if (!isMapped(loads, relroOf(image))) throw new ElfError(path, "PT_GNU_RELRO", "its pages are not in the image");
  // ld.so makes its pointers absolute then (since 2.35; before, always).
  if (dynamicSegment.p_flags & elf.PF_W && !((segmentAt(loads, image.dynamicAt)?.p_flags ?? 0) & elf.PF_W))
    throw new ElfError(path, "PT_DYNAMIC", "it is to be written to, and its segment may not be");
}

function checkLoads({ path, loads, file }: FileImage): void {
  for (const { p_offset, p_vaddr, p_filesz, p_memsz, p_align } of loads) {
    const fault = (text: string) => new ElfError(path, "PT_LOAD", text);
    // A segment that has no page in the file may give any offset. After the end of the file there are zeroes up to the
    // end of its last page, and SIGBUS beyond that.
    const hasPage = p_filesz > 0 || (p_memsz > 0 && p_vaddr % PAGE_SIZE !== 0);
    if (hasPage && !(p_offset + Math.max(1, p_filesz) <= alignUp(file.size, PAGE_SIZE)))
      throw fault(`its ${p_filesz} bytes at offset ${p_offset} reach beyond the end of the file (${file.size} bytes)`);
    if (!(p_vaddr + p_memsz < ADDRESS_LIMIT)) throw fault("it reaches beyond the address space");
    // glibc 2.36 and newer ignore an alignment that is not a power of two; 2.31 rejects it itself
    if (isPowerOfTwo(p_align) && p_align >= ADDRESS_LIMIT) throw fault("p_align is larger than the address space");
    // glibc maps whole pages, and rejects this itself
    if ((p_vaddr - p_offset) % PAGE_SIZE !== 0) throw fault("p_vaddr and p_offset are not congruent");
  }
}

function checkTls({ path, phdrs, loads }: FileImage): void {
  for (const { p_type, p_vaddr, p_filesz, p_memsz, p_align } of phdrs) {
    if (p_type !== elf.PT_TLS || p_memsz === 0) continue;
    const fault = (text: string) => new ElfError(path, "PT_TLS", text);
    if (!(p_align < ADDRESS_LIMIT)) throw fault("p_align is larger than the address space");
    if (!(p_memsz < ADDRESS_LIMIT)) throw fault("p_memsz is larger than the address space");
    if (p_filesz > 0) {
      // ld.so takes 0 for a place that it has yet to know, and copies from there.
      if (p_vaddr === 0) throw fault("it is at vaddr 0");
      const load = segmentAt(loads, p_vaddr, p_filesz);
      if (!load) throw fault("it is in no segment");
      if (!isReadable(load)) throw fault("it is in a segment that may not be read");
    }
    if (p_filesz > p_memsz) throw fault("p_filesz is larger than p_memsz");
  }
}

/**
 * ld.so reads the program headers in memory: where PT_PHDR says, or else in the first segment that has them. (Failing
 * that, it copies them.)
 */
function checkHeaders({ path, ehdr, phdrs, loads }: FileImage): void {
  const size = ehdr.e_phnum * Phdr.size;
  const header = phdrs.findLast(({ p_type }) => p_type === elf.PT_PHDR);
  const has = (load: Phdr) => {
    const { start } = pagesOf(load);
    const end = alignUp(load.p_vaddr + load.p_filesz, PAGE_SIZE);
    const offset = load.p_offset - (load.p_vaddr - start);
    return offset <= ehdr.e_phoff && end - start + offset >= ehdr.e_phoff + size;
  };
  const load = loads.find(has);
  const at = header?.p_vaddr || (load && add(load.p_vaddr, ehdr.e_phoff - load.p_offset));
  if (at === undefined) return;
  const mapped = segmentAt(loads, at, size);
  if (!mapped || !isReadable(mapped))
    throw new ElfError(path, "program headers", "they are in no segment that may be read");
}

/**
 * ld.so looks for properties in notes that are aligned to 8 bytes, from the last header on (since 2.33): in each
 * PT_GNU_PROPERTY, and in PT_NOTEs up to the first that has some.
 */
function checkProperties(image: FileImage): void {
  let isFound = false;
  for (let i = image.phdrs.length - 1; i >= 0; i--) {
    const phdr = image.phdrs[i] as Phdr;
    if (phdr.p_align !== 8) continue;
    if (phdr.p_type === elf.PT_GNU_PROPERTY) hasProperties(image, phdr, true);
    if (phdr.p_type === elf.PT_NOTE && !isFound) isFound = hasProperties(image, phdr, false);
  }
}

/** `isLast`: nothing is read beyond the first note with properties. */
function hasProperties({ path, loads, bytes }: FileImage, { p_vaddr, p_memsz }: Phdr, isLast: boolean): boolean {
  const need = (at: number, length: number) => {
    const load = segmentAt(loads, p_vaddr + at, length);
    const where = `vaddr 0x${(p_vaddr + at).toString(16)}`;
    if (!load || !isReadable(load))
      throw new ElfError(path, "notes", `the one at ${where} is in no segment that may be read`);
  };
  let isFound = false;
  for (let at = 0; at + Nhdr.size < p_memsz; ) {
    if (at > LARGEST_NOTES) throw new ElfError(path, "notes", `they are longer than ${LARGEST_NOTES} bytes`);
    need(at, Nhdr.size + 4);
    const view = bytes.view(toVaddr(p_vaddr + at), Nhdr.size + 4, "notes");
    const { n_namesz, n_descsz, n_type } = Nhdr.at(view);
    if (n_namesz === 4 && n_type === elf.NT_GNU_PROPERTY_TYPE_0 && view.getUint32(Nhdr.size, true) === GNU) {
      // ld.so refuses other sizes, and a second note.
      if (isFound || n_descsz < 8 || n_descsz % 8 !== 0) return true;
      need(at + Nhdr.size + 4, n_descsz);
      if (isLast) return true;
      isFound = true;
    }
    at += alignUp(alignUp(Nhdr.size + n_namesz, 8) + n_descsz, 8);
  }
  return isFound;
}

/** "GNU\0" */
const GNU = 0x554e47;

/**
 * Is the range empty, or between the first segment's first page and the last one's last? All of that is mapped somehow.
 */
function isMapped(loads: readonly Phdr[], { start, end }: PageRange): boolean {
  const [first, last] = [loads[0], loads.at(-1)];
  return start === end || (!!first && !!last && start >= pagesOf(first).start && end <= pagesOf(last).end);
}
