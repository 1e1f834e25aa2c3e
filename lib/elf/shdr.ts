// A section header. Loading needs none, but tools that read files may.

import { layout, type Struct, u32, u64 } from "../memory/layout.ts";

export const Shdr = layout("Elf64_Shdr", {
  sh_name: u32,
  sh_type: u32,
  sh_flags: u64(),
  sh_addr: u64(),
  sh_offset: u64(),
  sh_size: u64(),
  sh_link: u32,
  sh_info: u32,
  sh_addralign: u64(),
  sh_entsize: u64(),
});
export type Shdr = Struct<typeof Shdr>;
