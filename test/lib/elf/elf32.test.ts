// What a file of 32 bits says of how it is started.

import { afterAll, expect, test } from "bun:test";
import { Dyn32, Ehdr32, Phdr32, readElf32 } from "../../../lib/elf/elf32.ts";
import { FileBytes } from "../../../lib/elf/file.ts";
import { Scratch } from "./scratch.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

test("the structures have the sizes of the gABI", () => {
  expect([Ehdr32.size, Phdr32.size, Dyn32.size]).toEqual([52, 32, 8]);
});

/** A program with an interpreter that needs two libraries, byte by byte. */
function bytes(change: (view: DataView) => void = () => {}): Uint8Array {
  const [interpreter, strings] = ["/lib/ld-linux.so.2\0", "\0libred.so.1\0libblue.so.1\0"];
  const [headers, section] = [52, 52 + 3 * 32];
  const interpreterAt = section + 4 * 8;
  const stringsAt = interpreterAt + interpreter.length;
  const end = stringsAt + strings.length;
  const base = 0x8048000;
  const view = new DataView(new ArrayBuffer(end));
  const put = (at: number, text: string) => new Uint8Array(view.buffer).set(Buffer.from(text, "latin1"), at);
  put(0, "\x7fELF\x01\x01\x01");
  Object.assign(Ehdr32.at(view), {
    e_type: 2,
    e_machine: 3,
    e_version: 1,
    e_phoff: headers,
    e_phentsize: 32,
    e_phnum: 3,
  });
  const phdr = (i: number, p_type: number, p_offset: number, size: number) =>
    Object.assign(Phdr32.at(view, headers + 32 * i), { p_type, p_offset, p_vaddr: base + p_offset, p_filesz: size });
  phdr(0, 3, interpreterAt, interpreter.length);
  phdr(1, 1, 0, end);
  phdr(2, 2, section, 4 * 8);
  for (const [i, [d_tag, d_val]] of (
    [
      [1, 1],
      [1, 13],
      [5, base + stringsAt],
      [0, 0],
    ] as const
  ).entries())
    Object.assign(Dyn32.at(view, section + 8 * i), { d_tag, d_val });
  put(interpreterAt, interpreter);
  put(stringsAt, strings);
  change(view);
  return new Uint8Array(view.buffer);
}

function read(content: Uint8Array) {
  using file = new FileBytes(scratch.write("program", content));
  return readElf32(file);
}

test("readElf32() tells the interpreter, and what is needed", () => {
  expect(read(bytes())).toEqual({
    interpreter: "/lib/ld-linux.so.2",
    needed: ["libred.so.1", "libblue.so.1"],
  });
});

test("readElf32() throws ElfError for what the kernel of such a machine does not run, or is cut off", () => {
  const cases: [Uint8Array, RegExp][] = [
    [bytes((view) => view.setUint16(18, 40, true)), /for machine ARM/],
    [bytes((view) => view.setUint8(5, 2)), /not little-endian/],
    [bytes((view) => view.setUint16(44, 0, true)), /a 32-bit file with 0 program headers/],
    [bytes((view) => view.setUint32(28, 0xfffffff0, true)), /program headers: its 96 bytes .* beyond the end/],
    [bytes().slice(0, 60), /beyond the end of the file/],
    [bytes().slice(0, 20), /ELF header: its 52 bytes/],
  ];
  for (const [content, message] of cases) expect(() => read(content)).toThrow(message);
});

test("readElf32() passes over names that lead nowhere", () => {
  expect(read(bytes((view) => view.setUint32(52 + 3 * 32 + 4, 0x7fffffff, true))).needed).toEqual(["libblue.so.1"]);
  expect(read(bytes((view) => view.setUint32(52 + 3 * 32 + 20, 0x10, true))).needed).toEqual([]);
});
