// A program without dependencies: one segment of code, with the data that it reads.

import { alignUp, PAGE_SIZE, toVaddr } from "../../memory/numbers.ts";
import type { Code } from "../../x86-64/assembler.ts";
import { PF_R, PF_W, PF_X, PT_GNU_STACK, PT_LOAD } from "../constants.ts";
import { Ehdr } from "../ehdr.ts";
import { emitHeaders, type Segment, sizeOfHeaders } from "./shared-object.ts";

/** `entry` is a label. The program can be loaded anywhere (ET_DYN). */
export function staticProgram(code: Code, entry: string): Uint8Array {
  const codeAt = alignUp(toVaddr(sizeOfHeaders(2)), 16);
  const size = codeAt + code.bytes.length;
  const file = new Uint8Array(size);
  const view = new DataView(file.buffer);
  const stack: Segment = { type: PT_GNU_STACK, flags: PF_R | PF_W, vaddr: 0, filesz: 0, memsz: 0, align: 16 };
  const load: Segment = { type: PT_LOAD, flags: PF_R | PF_X, vaddr: 0, filesz: size, memsz: size, align: PAGE_SIZE };
  emitHeaders(view, [load, stack]);
  Ehdr.at(view).e_entry = toVaddr(codeAt + (code.labels.get(entry) ?? 0));
  file.set(code.bytes, codeAt);
  return file;
}
