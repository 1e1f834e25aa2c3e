// Section headers for an object that needs none to be loaded. If a file has none at all, BFD (since 2.41) assigns its
// dynamic symbols to sections that it makes up, and gdb 16 ends with an internal error. These are the sections without
// which readelf complains. There are none of symbols: a debugger should see those of the real libraries.

import { alignUp, toOffset, toVaddr, type Vaddr } from "../../memory/numbers.ts";
import { SHT_DYNAMIC, SHT_STRTAB } from "../constants.ts";
import { Dyn } from "../dyn.ts";
import { Ehdr } from "../ehdr.ts";
import { Shdr } from "../shdr.ts";

const NAMES = ["", ".shstrtab", ".dynstr", ".dynamic"];
const [SHSTRTAB, DYNSTR, DYNAMIC] = [1, 2, 3];
const NAME_TABLE = new TextEncoder().encode(NAMES.map((name) => `${name}\0`).join(""));

/** Something whose vaddr equals its offset in the file. */
interface Part {
  readonly at: Vaddr;
  readonly size: number;
}

/** The file with section headers appended. */
export function withSections(file: Uint8Array, strings: Part, dynamic: Part): Uint8Array {
  const at = alignUp(toVaddr(file.length + NAME_TABLE.length), 8);
  const bytes = new Uint8Array(at + NAMES.length * Shdr.size);
  bytes.set(file);
  bytes.set(NAME_TABLE, file.length);
  const view = new DataView(bytes.buffer);
  const ehdr = Ehdr.at(view);
  ehdr.e_shoff = toOffset(at);
  ehdr.e_shentsize = Shdr.size;
  ehdr.e_shnum = NAMES.length;
  ehdr.e_shstrndx = SHSTRTAB;

  let name = 0;
  for (const [i, text] of NAMES.entries()) {
    Shdr.at(view, at + i * Shdr.size).sh_name = name;
    name += text.length + 1;
  }
  const put = (index: number, type: number, offset: number, size: number, alignment: number): Shdr => {
    const header = Shdr.at(view, at + index * Shdr.size);
    header.sh_type = type;
    header.sh_offset = offset;
    header.sh_size = size;
    header.sh_addralign = alignment;
    return header;
  };
  put(SHSTRTAB, SHT_STRTAB, file.length, NAME_TABLE.length, 1);
  const dynstr = put(DYNSTR, SHT_STRTAB, strings.at, strings.size, 1);
  dynstr.sh_addr = strings.at;
  dynstr.sh_flags = SHF_ALLOC;
  const section = put(DYNAMIC, SHT_DYNAMIC, dynamic.at, dynamic.size, 8);
  section.sh_addr = dynamic.at;
  section.sh_flags = SHF_ALLOC | SHF_WRITE;
  section.sh_link = DYNSTR;
  section.sh_entsize = Dyn.size;
  return bytes;
}

const SHF_WRITE = 1;
const SHF_ALLOC = 2;
