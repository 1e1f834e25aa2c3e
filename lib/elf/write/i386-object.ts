// A 32-bit i386 shared object without dependencies, with one function that returns 0: for what the ld.so of either
// class must be able to load, and the 32-bit one does not use.

import { Assembler } from "../../x86-64/assembler.ts";
import { eax } from "../../x86-64/narrow-registers.ts";

const [EHDR, PHDR, SYM, DYN] = [52, 32, 16, 8] as const;
const [PT_LOAD, PT_DYNAMIC, PT_GNU_STACK] = [1, 2, 0x6474e551] as const;
const [PF_X, PF_W, PF_R] = [1, 2, 4] as const;
const PAGE = 0x1000;

/** These have the same encoding on i386. */
const returnZero = () => new Assembler().xor(eax, eax).ret().assemble().bytes;

/** `name` is the function's. */
export function i386Object(soname: string, name: string): Uint8Array {
  const code = returnZero();
  const strings = new TextEncoder().encode(`\0${name}\0${soname}\0`);
  const sizes = { header: EHDR + 4 * PHDR, symbols: 2 * SYM, hash: 5 * 4, strings: strings.length, code: code.length };
  const symbolsAt = sizes.header;
  const hashAt = symbolsAt + sizes.symbols;
  const stringsAt = hashAt + sizes.hash;
  const codeAt = stringsAt + sizes.strings;
  const dynamicAt = (codeAt + sizes.code + 3) & ~3;
  const dynamic = [
    [4, hashAt], // DT_HASH
    [5, stringsAt], // DT_STRTAB
    [6, symbolsAt], // DT_SYMTAB
    [10, strings.length], // DT_STRSZ
    [11, SYM], // DT_SYMENT
    [14, name.length + 2], // DT_SONAME
    [0, 0],
  ] as const;
  const end = dynamicAt + dynamic.length * DYN;

  const bytes = new Uint8Array(end);
  const view = new DataView(bytes.buffer);
  const words = (at: number, list: readonly number[]): void =>
    list.forEach((word, i) => {
      view.setUint32(at + 4 * i, word, true);
    });
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]); // ELFCLASS32, ELFDATA2LSB, EV_CURRENT
  words(16, [(3 << 16) | 3, 1, 0, EHDR, 0, 0]); // EM_386, ET_DYN; no entry point; no sections
  view.setUint16(40, EHDR, true);
  view.setUint16(42, PHDR, true);
  view.setUint16(44, 4, true);
  // The dynamic section again, on a page of its own: glibc before 2.35 writes to it.
  const loaded = PAGE + dynamicAt;
  const size = end - dynamicAt;
  words(EHDR, [PT_LOAD, 0, 0, 0, end, end, PF_R | PF_X, PAGE]);
  words(EHDR + PHDR, [PT_LOAD, dynamicAt, loaded, loaded, size, size, PF_R | PF_W, PAGE]);
  words(EHDR + 2 * PHDR, [PT_DYNAMIC, dynamicAt, loaded, loaded, size, size, PF_R | PF_W, 4]);
  words(EHDR + 3 * PHDR, [PT_GNU_STACK, 0, 0, 0, 0, 0, PF_R | PF_W, 16]);
  words(symbolsAt + SYM, [1, codeAt, code.length]);
  view.setUint32(symbolsAt + SYM + 12, (1 << 16) | 0x12, true); // STB_GLOBAL, STT_FUNC; any section
  words(hashAt, [1, 2, 1, 0, 0]);
  bytes.set(strings, stringsAt);
  bytes.set(code, codeAt);
  dynamic.forEach((entry, i) => {
    words(dynamicAt + i * DYN, entry);
  });
  return bytes;
}
