// A program without dependencies, read back.

import { expect, test } from "bun:test";
import { Ehdr } from "../../../../lib/elf/ehdr.ts";
import { readPhdrs } from "../../../../lib/elf/phdr.ts";
import { staticProgram } from "../../../../lib/elf/write/static-program.ts";
import { Assembler } from "../../../../lib/x86-64/assembler.ts";

test("staticProgram() begins at its entry, in a segment that may be executed and not written to", () => {
  const code = new Assembler().ret().ret().ret().label("enter").ret().assemble();
  const file = staticProgram(code, "enter");
  const view = new DataView(file.buffer);
  const { e_type, e_entry, e_phoff, e_phnum } = Ehdr.at(view);
  const [ET_DYN, PT_LOAD, PT_GNU_STACK, RX, RW] = [3, 1, 0x6474e551, 5, 6];
  expect([e_type, e_phnum]).toEqual([ET_DYN, 2]);
  const [load, stack] = readPhdrs(new DataView(file.buffer, e_phoff, e_phnum * 56));
  const size = file.length;
  expect(load).toMatchObject({ p_type: PT_LOAD, p_flags: RX, p_filesz: size, p_memsz: size, p_align: 4096 });
  expect([load?.p_offset as number, load?.p_vaddr as number]).toEqual([0, 0]);
  expect(stack).toMatchObject({ p_type: PT_GNU_STACK, p_flags: RW });
  // The code is at the end of the file: its last instruction is what begins.
  expect(e_entry as number).toBe(size - 1);
  expect([...file.slice(-code.bytes.length)]).toEqual([...code.bytes]);
});
