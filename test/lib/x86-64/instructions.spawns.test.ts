// Every instruction with all registers, places in memory, sizes and numbers that are encoded differently: objdump reads
// each as it was meant.

import { afterAll, describe, expect, test } from "bun:test";
import { Assembler } from "../../../lib/x86-64/assembler.ts";
import { SYS } from "../../../lib/x86-64/linux.ts";
import * as narrow from "../../../lib/x86-64/narrow-registers.ts";
import {
  address,
  fs,
  type Memory,
  mem,
  type Register,
  register,
  rip,
  type Size,
} from "../../../lib/x86-64/operands.ts";
import * as wide from "../../../lib/x86-64/registers.ts";
import { Scratch } from "../elf/scratch.ts";
import { agreement, disassemble } from "./disassemble.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

const { r12, r13, r15, rax, rbp, rbx, rcx, rdi, rsp, xmm } = wide;
const { al, eax, ebx, esi, r9d, sil } = narrow;

/** No code of ours has these. */
const ofWords = "ax cx dx bx sp bp si di r8w r9w r10w r11w r12w r13w r14w r15w"
  .split(" ")
  .map((name, code) => register(name, code, 16));
const [ax, cx] = ofWords as [Register<16>, Register<16>];

const all: Register[] = [...Object.values(wide), ...Object.values(narrow), ...ofWords]
  .filter((value) => typeof value !== "function")
  .sort((a, b) => (a.code & 15) - (b.code & 15));
const ofSize = <Bits extends Size>(size: Bits) => all.filter((register) => register.size === size) as Register<Bits>[];
const [bytes, words, doubles, pointers] = [ofSize(8), ofSize(16), ofSize(32), ofSize(64)];
const SIZES = [8, 16, 32, 64] as const;

/** Without a displacement, with one of 8 bits, and with one of 32, from every register, also with every other. */
const DISPLACEMENTS = [0, 1, -1, 127, -128, 128, -129, 2 ** 31 - 1, -(2 ** 31)];
const places: Memory[] = [
  ...pointers.flatMap((base) => DISPLACEMENTS.map((displacement) => mem(base, displacement))),
  ...pointers.flatMap((base) =>
    pointers
      .filter((index) => index !== rsp)
      .flatMap((index) => ([1, 2, 4, 8] as const).map((scale) => mem(base, index.code - 8, index, scale))),
  ),
  ...DISPLACEMENTS.flatMap((displacement) => [mem(rbp, displacement, r12), mem(r13, displacement, rbp, 8)]),
  ...DISPLACEMENTS.flatMap((displacement) => [mem(undefined, displacement, rax), mem(undefined, displacement, r12, 4)]),
  ...[fs(0), fs(8), fs(-8), rip("before"), rip("behind")],
];
/** One of each kind. */
const few = [mem(rax), mem(rsp, 8), mem(r12), mem(rbp), mem(r13, 0x100, r15, 8), fs(0), rip("behind")];

/** Those that have 8, 16 or 32 bits, with both signs, as far as they go. */
function numbersOf(size: Size): number[] {
  const numbers = [0, 1, -1, 127, -128, 128, 255, -129, 0x1234, 0x7fff, -0x8000, 0xffff, 2 ** 31 - 1, -(2 ** 31)];
  if (size === 32) numbers.push(2 ** 31, 2 ** 32 - 1);
  return numbers.filter((number) => (size >= 32 ? true : number >= -(2 ** (size - 1)) && number < 2 ** size));
}

function expectAgreement(emit: (to: Assembler) => void, least: number): void {
  const to = new Assembler().label("before");
  emit(to);
  const code = to.label("behind").assemble();
  const [listed, found] = agreement(code, disassemble(code, scratch));
  expect(listed.length).toBeGreaterThanOrEqual(least);
  expect(found.length).toBe(listed.length);
  expect(found.filter((text, i) => text !== listed[i])).toEqual([]);
}

const SUMS = ["add", "and", "sub", "xor", "cmp"] as const;

describe.each(SIZES)("with %i bits", (size) => {
  // Their types have one size, which one does not matter.
  const registers = ofSize(size) as unknown as Register<8>[];
  const [first, last] = [registers[0], registers[15]] as [Register<8>, Register<8>];

  test("from each register to each", () => {
    expectAgreement(
      (to) => {
        for (const from of registers)
          for (const into of registers) {
            to.mov(from, into).test(from, into);
            to.xchg(from, into).cmpxchg(from, into);
            for (const sum of SUMS) to[sum](from, into);
          }
      },
      16 * 16 * 9,
    );
  });

  test("from and to each place in memory", () => {
    expectAgreement((to) => {
      for (const place of places) {
        to.mov(place, first).mov(last, place);
        for (const sum of SUMS) to[sum](place, last)[sum](first, place);
      }
      for (const register of registers)
        for (const place of few) {
          to.mov(place, register).mov(register, place);
          to.test(register, place).xchg(register, place);
          to.lock().cmpxchg(register, place);
        }
    }, places.length * 12);
  });

  test("of numbers", () => {
    expectAgreement(
      (to) => {
        for (const register of registers)
          for (const number of numbersOf(size)) {
            to.mov(number, register).test(number, register);
            for (const sum of SUMS) to[sum](number, register);
          }
      },
      16 * numbersOf(size).length * 7,
    );
  });

  test("of one register", () => {
    expectAgreement((to) => {
      for (const register of registers) {
        to.inc(register).dec(register).not(register).neg(register);
        for (const count of [1, 2, size - 1]) to.shr(count, register);
      }
    }, 16 * 7);
  });
});

test("of division", () => {
  expectAgreement((to) => {
    for (const register of [...doubles, ...pointers]) to.div(register);
  }, 32);
});

test("numbers to memory, each size by its name", () => {
  expectAgreement((to) => {
    for (const place of places) {
      for (const number of [1, -128]) to.movb(number, place).cmpb(number, place);
      for (const number of [1, -1, 0x12345678]) to.movl(number, place).cmpl(number, place);
      for (const number of [1, -1, 0x12345678]) to.movq(number, place).cmpq(number, place).addq(number, place);
      to.incl(place).incq(place).decl(place).lock().incl(place);
    }
  }, places.length * 23);
});

test("what changes the size", () => {
  expectAgreement(
    (to) => {
      for (const into of doubles) {
        for (const from of bytes) to.movzbl(from, into);
        for (const from of words) to.movzwl(from, into);
        for (const from of few) to.movzbl(from, into).movzwl(from, into);
      }
      for (const into of pointers) {
        for (const from of doubles) to.movslq(from, into);
        for (const from of few) to.movslq(from, into);
        for (const number of [0, -1, 2 ** 47, 0x1234_5678_9abcn, -(2n ** 63n), 2n ** 64n - 1n]) to.movabs(number, into);
      }
    },
    16 * 16 * 3,
  );
});

test("what depends on a comparison", () => {
  expectAgreement(
    (to) => {
      for (const from of pointers)
        for (const into of pointers) to.cmove(from, into).cmovne(from, into).cmova(from, into);
      for (const into of doubles) for (const from of [...doubles, ...few]) to.cmove(from, into).cmova(from, into);
      for (const into of words) for (const from of [...words, ...few]) to.cmovne(from, into);
      for (const into of [...bytes, ...few]) to.sete(into);
      for (const label of ["before", "behind"])
        to.jb(label).jae(label).je(label).jne(label).ja(label).js(label).jle(label).jg(label).jmp(label).call(label);
    },
    16 * 16 * 6,
  );
});

test("products", () => {
  expectAgreement((to) => {
    for (const number of numbersOf(32)) {
      for (const into of doubles) for (const from of [ebx, r9d, ...few]) to.imul(number, from, into);
    }
    for (const number of numbersOf(64))
      for (const into of pointers) to.imul(number, rbx, into).imul(number, rip("before"), into);
    for (const number of numbersOf(16))
      for (const into of words) to.imul(number, cx, into).imul(number, rip("before"), into);
  }, 16 * 100);
});

test("addresses, the stack, and jumps by address", () => {
  expectAgreement(
    (to) => {
      for (const place of places.filter(({ isThreadLocal }) => !isThreadLocal)) to.lea(place, rax).lea(place, r9d);
      for (const place of places) to.jmp(place).call(place);
      for (const register of pointers)
        to.push(register).pop(register).jmp(register).call(register).lea(mem(rsp, 8), register);
      to.push(...pointers, 0, 1, -1, 0x1000).pop(...pointers);
    },
    places.length * 4 - 6,
  );
});

test("vectors, strings, and what has no operands", () => {
  expectAgreement(
    (to) => {
      for (let i = 0; i < 16; i++)
        for (const place of [...few, xmm(15 - i)]) to.movups(xmm(i), place).movups(place, xmm(i));
      for (const place of places) to.ldmxcsr(place);
      to.rep().movsb().rep().movsq().movsb().movsq().stosq().pause().fninit().syscall().hlt().ret();
    },
    16 * 16 + places.length,
  );
});

describe("systemCall()", () => {
  const listingOf = (emit: (to: Assembler) => void): string[] => {
    const to = new Assembler().label("text");
    emit(to);
    return to.assemble().listing.map(({ text }) => text);
  };

  test("loads each argument as what it is", () => {
    expect(listingOf((to) => to.systemCall("mmap", 0, 7, "text", rip("text"), ebx, address(mem(rsp, 8))))).toEqual([
      "xor %edi,%edi",
      "mov $0x7,%esi",
      "lea text(%rip),%rdx",
      "mov text(%rip),%r10",
      "mov %ebx,%r8d",
      "lea 0x8(%rsp),%r9",
      `mov $0x${SYS.mmap.toString(16)},%eax`,
      "syscall",
    ]);
  });

  test("leaves alone what is where it belongs", () => {
    expect(listingOf((to) => to.systemCall("poll", rdi, esi, rcx))).toEqual([
      "mov %rcx,%rdx",
      "mov $0x7,%eax",
      "syscall",
    ]);
  });

  test("has at most six", () => {
    expect(() => new Assembler().systemCall("futex", 1, 2, 3, 4, 5, 6, 7)).toThrow('"futex": it has more than six');
  });
});

describe("what cannot be encoded is refused", () => {
  const to = new Assembler();
  const refusals: [what: string, emit: () => void, message: string][] = [
    // @ts-expect-error: the sizes differ
    ["two sizes", () => to.mov(eax, rbx), '"mov %eax,%rbx": their sizes differ'],
    // @ts-expect-error
    ["two sizes, in sums", () => to.add(al, ax), '"add %al,%ax": their sizes differ'],
    // @ts-expect-error
    ["two sizes, in conditional copies", () => to.cmove(eax, rbx), '"cmove %eax,%rbx": their sizes differ'],
    // @ts-expect-error
    ["two sizes, in products", () => to.imul(2, eax, rbx), '"imul $0x2,%eax,%rbx": their sizes differ'],
    // @ts-expect-error
    ["two places in memory", () => to.mov(mem(rax), mem(rbx)), '"mov (%rax),(%rbx)": both are in memory'],
    // @ts-expect-error
    ["two places, in sums", () => to.cmp(mem(rax), mem(rbx)), '"cmp (%rax),(%rbx)": both are in memory'],
    // @ts-expect-error
    ["a number of no size", () => to.mov(1, mem(rax)), '"mov $0x1,(%rax)": its size is not known'],
    // @ts-expect-error
    ["a number of no size, in sums", () => to.sub(1, mem(rax)), '"sub $0x1,(%rax)": its size is not known'],
    ["9 bits", () => to.mov(256, al), "256 is no number of 8 bits"],
    ["9 bits with a sign", () => to.cmpb(-129, mem(rax)), "-129 is no number of 8 bits"],
    ["17 bits", () => to.add(0x10000, ax), "65536 is no number of 16 bits"],
    ["33 bits", () => to.mov(2 ** 32, eax), "4294967296 is no number of 32 bits"],
    ["32 bits that would get a sign", () => to.add(2 ** 31, rax), "2147483648 is no number of 32 bits"],
    ["part of a number", () => to.mov(1.5, eax), "1.5 is no number of 32 bits"],
    ["no number", () => to.push(Number.NaN), "NaN is no number of 32 bits"],
    ["rsp as an index", () => mem(rax, 8, rsp, 2), '"0x8(%rax,%rsp,2)": rsp is no index'],
    [
      "a displacement of 33 bits",
      () => mem(rax, 2 ** 31),
      '"0x80000000(%rax)": its displacement has more than 32 bits',
    ],
    ["a place that is nowhere", () => mem(undefined, 8), "it has neither base nor index"],
  ];
  test.each(refusals)("%s", (_, emit, message) => {
    expect(emit).toThrow(message);
    expect(emit).toThrow("Cannot assemble");
  });

  test("by their types", () => {
    const typed = () => {
      // @ts-expect-error: an address has 64 bits
      mem(eax);
      // @ts-expect-error: there is no scale of 3
      mem(rax, 0, rcx, 3);
      // @ts-expect-error: a byte is not pushed
      to.push(sil);
      // @ts-expect-error: xchg has no immediate
      to.xchg(1, rax);
      // @ts-expect-error: nor has a conditional copy
      to.cmove(1, rax);
      // @ts-expect-error: there is no such call
      to.systemCall("spawn");
    };
    expect(typed).toBeFunction();
  });
});
