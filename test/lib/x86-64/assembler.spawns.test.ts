// Labels and data; instructions are in instructions.test.ts.

import { afterAll, describe, expect, test } from "bun:test";
import { toAddress } from "../../../lib/memory/numbers.ts";
import { Assembler, addressOfLabel } from "../../../lib/x86-64/assembler.ts";
import { rip } from "../../../lib/x86-64/operands.ts";
import { rax, rdi } from "../../../lib/x86-64/registers.ts";
import { Scratch } from "../elf/scratch.ts";
import { agreement, disassemble } from "./disassemble.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

test("outside() names a place that is not in the code, before it or behind it", () => {
  const code = new Assembler()
    .outside("before", -0x1000)
    .outside("behind", 0x1000)
    .hlt()
    .lea(rip("before"), rdi)
    .jmp(rip("behind"))
    .assemble();
  const view = new DataView(code.bytes.buffer);
  expect([view.getInt32(4, true), view.getInt32(10, true)]).toEqual([-0x1008, 0x1000 - 14]);
  const [listed, found] = agreement(code, disassemble(code, scratch));
  expect(found).toEqual(listed);
});

describe("a jump", () => {
  test("reaches labels in front of it, behind it and at itself", () => {
    const code = new Assembler()
      .label("first")
      .hlt()
      .jmp("first") // e9, 32 bits: from 6 back to 0
      .label("self")
      .je("self")
      .call("last")
      .ret()
      .label("last")
      .assemble();
    expect(code.bytes).toEqual(
      Uint8Array.of(
        ...[0xf4],
        ...[0xe9, 0xfa, 0xff, 0xff, 0xff], // -6
        ...[0x0f, 0x84, 0xfa, 0xff, 0xff, 0xff], // -6: its own length
        ...[0xe8, 1, 0, 0, 0],
        ...[0xc3],
      ),
    );
    expect([...code.labels]).toEqual([
      ["first", 0],
      ["self", 6],
      ["last", 18],
    ]);
  });
});

test("rip() counts from the end of its instruction, behind an immediate number, too", () => {
  const code = new Assembler()
    .mov(rip("value"), rax)
    .cmpb(1, rip("value"))
    .align(16)
    .label("value")
    .quad(0x1122334455667788n)
    .assemble();
  expect(code.bytes.subarray(0, 7)).toEqual(Uint8Array.of(0x48, 0x8b, 0x05, 9, 0, 0, 0));
  expect(code.bytes.subarray(7, 14)).toEqual(Uint8Array.of(0x80, 0x3d, 2, 0, 0, 0, 1));
  expect(code.bytes.subarray(16)).toEqual(Uint8Array.of(0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11));
  const [listed, found] = agreement(code, disassemble(code, scratch));
  expect(found).toEqual(listed);
  expect(code.listing.slice(0, 2).map(({ text }) => text)).toEqual(["mov value(%rip),%rax", "cmpb $0x1,value(%rip)"]);
});

test("data() pads with NULs, align() fills up to the next multiple, and adds nothing where it is reached", () => {
  const assembler = new Assembler().align(16).data(Uint8Array.of(1, 2), 5);
  expect(assembler.length).toBe(5);
  const { bytes, listing } = assembler.align(4).align(4).label("end").assemble();
  expect(bytes).toEqual(Uint8Array.of(1, 2, 0, 0, 0, 0, 0, 0));
  expect(listing).toEqual([
    { at: 0, text: ".space 5" },
    { at: 5, text: ".space 3" },
  ]);
});

test("quad() holds any 64 bits, a number or a bigint", () => {
  const { bytes } = new Assembler().quad(0x7fff_1234_5678).quad(0xffff_ffff_ffff_fffen).assemble();
  const view = new DataView(bytes.buffer);
  expect(view.getBigUint64(0, true)).toBe(0x7fff_1234_5678n);
  expect(view.getBigUint64(8, true)).toBe(0xffff_ffff_ffff_fffen);
});

test("a label stands once, and must stand somewhere", () => {
  expect(() => new Assembler().label("twice").label("twice")).toThrow('label "twice" stands twice');
  expect(() => new Assembler().jmp("nowhere").assemble()).toThrow('there is no label "nowhere"');
});

test("addressOfLabel() adds where the code stands", () => {
  const code = new Assembler().hlt().label("here").assemble();
  expect(addressOfLabel(code, "here", toAddress(0x7f00_0000_1000))).toBe(toAddress(0x7f00_0000_1001));
  expect(() => addressOfLabel(code, "there", toAddress(0))).toThrow('Cannot find label "there"');
});
