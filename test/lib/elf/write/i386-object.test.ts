// The 32-bit object, read as the gABI has it.

import { expect, test } from "bun:test";
import { Dyn32, Ehdr32, Phdr32 } from "../../../../lib/elf/elf32.ts";
import { SysvHash, sysvHash } from "../../../../lib/elf/sysv-hash.ts";
import { i386Object } from "../../../../lib/elf/write/i386-object.ts";
import { plain } from "../everything.ts";

const bytes = i386Object("libaudit.so", "la_version");
const view = new DataView(bytes.buffer);
const encoder = new TextEncoder();
const ehdr = Ehdr32.at(view);
const phdrs = Array.from({ length: ehdr.e_phnum }, (_, i) =>
  plain(Phdr32, Phdr32.at(view, ehdr.e_phoff + i * Phdr32.size)),
);
const [text, data, section, stack] = phdrs as [Phdr, Phdr, Phdr, Phdr];
type Phdr = (typeof phdrs)[number];

const dynamic = new Map<number, number>();
for (let at: number = section.p_offset; at < section.p_offset + section.p_filesz; at += Dyn32.size) {
  const { d_tag, d_val } = Dyn32.at(view, at);
  dynamic.set(d_tag, d_val);
}
/** The value of an entry of the dynamic section; its tables are in the first segment, at their offsets. */
const entry = (tag: number): number => dynamic.get(tag) ?? Number.NaN;
const [DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT, DT_SONAME] = [4, 5, 6, 10, 11, 14];
const stringAt = (offset: number): string => {
  const [start, end] = [entry(DT_STRTAB) + offset, entry(DT_STRTAB) + entry(DT_STRSZ)];
  return new TextDecoder().decode(bytes.slice(start, bytes.indexOf(0, start))).slice(0, end - start);
};

test("is a shared object for i386, with nothing but what is loaded", () => {
  const [ET_DYN, EM_386] = [3, 3];
  expect([...bytes.slice(0, 16)]).toEqual([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  expect(ehdr).toMatchObject({ e_type: ET_DYN, e_machine: EM_386, e_version: 1, e_entry: 0, e_shoff: 0, e_shnum: 0 });
  expect([ehdr.e_phoff as number, ehdr.e_ehsize, ehdr.e_phentsize, ehdr.e_phnum]).toEqual([52, 52, 32, 4]);
});

test("has code that is not writable, a dynamic section that is, and no executable stack", () => {
  const [PT_LOAD, PT_DYNAMIC, PT_GNU_STACK, RX, RW] = [1, 2, 0x6474e551, 5, 6];
  const size = bytes.length;
  expect(text).toMatchObject({ p_type: PT_LOAD, p_offset: 0, p_vaddr: 0, p_filesz: size, p_memsz: size, p_flags: RX });
  expect(section).toMatchObject({ p_type: PT_DYNAMIC, p_flags: RW, p_filesz: 7 * 8, p_memsz: 7 * 8 });
  expect(section.p_offset + section.p_filesz).toBe(size);
  expect(section.p_vaddr % 4).toBe(0);
  // The same bytes, on a page that the first segment does not have.
  const { p_offset, p_vaddr, p_filesz, p_memsz } = section;
  expect(data).toMatchObject({ p_type: PT_LOAD, p_flags: RW, p_offset, p_vaddr, p_filesz, p_memsz });
  for (const load of [text, data]) expect([load.p_align, (load.p_vaddr - load.p_offset) % 4096]).toEqual([4096, 0]);
  expect(Math.floor(p_vaddr / 4096)).toBeGreaterThan(Math.floor((size - 1) / 4096));
  expect(stack).toMatchObject({ p_type: PT_GNU_STACK, p_flags: RW });
});

test("has its soname, and one function, found by its hash, that returns 0", () => {
  expect(stringAt(entry(DT_SONAME))).toBe("libaudit.so");
  expect([entry(DT_SYMENT), dynamic.get(0)]).toEqual([16, 0]);
  const hash = new SysvHash("object", new DataView(bytes.buffer, entry(DT_HASH)));
  expect([hash.symbolCount, hash.size]).toEqual([2, 20]);
  expect([...hash.candidates(sysvHash(encoder.encode("la_version")))]).toEqual([1]);
  expect(entry(DT_HASH) - entry(DT_SYMTAB)).toBe(2 * 16);
  expect([...bytes.slice(entry(DT_SYMTAB), entry(DT_SYMTAB) + 16)]).toEqual(new Array(16).fill(0));
  // Elf32_Sym: st_name, st_value, st_size, st_info, st_other, st_shndx
  const symbol = entry(DT_SYMTAB) + 16;
  const [name, value, size] = [0, 4, 8].map((at) => view.getUint32(symbol + at, true)) as [number, number, number];
  const [GLOBAL_FUNC, SHN_UNDEF] = [0x12, 0];
  expect([stringAt(name), view.getUint8(symbol + 12), view.getUint8(symbol + 13)]).toEqual([
    "la_version",
    GLOBAL_FUNC,
    0,
  ]);
  expect(view.getUint16(symbol + 14, true)).not.toBe(SHN_UNDEF);
  expect([...bytes.slice(value, value + size)]).toEqual([0x31, 0xc0, 0xc3]); // xor eax, eax; ret
});
