// An x86-64 assembler: one method per instruction, operands in AT&T order (source first), as in objdump and the ABI
// documents: `to.mov(rsp, r12)`, `to.add(8, rsp)`, `to.lea(rip("table"), rdi)`. If no operand is a register, the name
// ends with the size, as in AT&T syntax: `to.movl(0, mem(rax))`. Labels are strings. Jumps to labels and pushed numbers
// always have 32 bits; everything else takes the shortest form.
//
// Instructions that differ in numbers only are made from tables. Bytes are written at once. Instructions are also
// recorded, for a listing that tests compare with objdump's; nothing else turns them into text. Encodings: Intel 64 SDM,
// volume 2, chapters 2 to 5.

import { Encoder, isByte } from "./encoder.ts";
import { SYS, type SystemCall } from "./linux.ts";
import { eax, edi, edx, esi, r8d, r9d, r10d } from "./narrow-registers.ts";
import type { Memory, Place, PlaceAddress, Pointer, Register, Size, Xmm } from "./operands.ts";
import { rip } from "./operands.ts";
import { r8, r9, r10, rdi, rdx, rsi } from "./registers.ts";

export { addressOfLabel, type Code, type CodeAndData } from "./encoder.ts";

/** The source for a destination: nothing of another size, and no second place in memory. */
type Source<To> = To extends Register<infer Bits> ? Register<Bits> | Memory | number : Register;
type Wide = Register<16 | 32 | 64>;
/** The target of a jump or call: a label, or what holds the address. */
type Target = string | Pointer | Memory;
/** A system call argument: a number, the address of a label or of a place, 64 bits in memory, or a register. */
type Argument = number | string | PlaceAddress | Memory | Register<32 | 64>;

/** For system calls. */
const ARGUMENTS = [rdi, rsi, rdx, r10, r8, r9] as const;
const NARROW_ARGUMENTS = [edi, esi, edx, r10d, r8d, r9d] as const;

/** Without operands. `lock` makes the next instruction's access to memory atomic; `rep` repeats it rcx times. */
const PLAIN = { ret: 0xc3, hlt: 0xf4, syscall: 0x0f05, pause: 0xf390, fninit: 0xdbe3, lock: 0xf0, rep: 0xf3 } as const;

/** From (%rsi), or rax, to (%rdi): the size, the opcode, and the text. */
const STRING_COPIES = {
  movsb: [32, 0xa4, "movsb %ds:(%rsi),%es:(%rdi)"],
  movsq: [64, 0xa5, "movsq %ds:(%rsi),%es:(%rdi)"],
  stosq: [64, 0xab, "stos %rax,%es:(%rdi)"],
} as const;

/** Jumps to a label that depend on the last comparison. */
const JUMPS = {
  jb: 0x0f82,
  jae: 0x0f83,
  je: 0x0f84,
  jne: 0x0f85,
  ja: 0x0f87,
  js: 0x0f88,
  jle: 0x0f8e,
  jg: 0x0f8f,
} as const;

/** Copies that depend on the last comparison. */
const CONDITIONAL_COPIES = { cmove: 0x0f44, cmovne: 0x0f45, cmova: 0x0f47 } as const;

const EXCHANGES = { xchg: 0x86, cmpxchg: 0x0fb0 } as const;

/** Operations by kind. A following jump tests the second operand: after `cmp(8, rax)`, ja jumps if rax is above 8. */
const SUMS = { add: 0, and: 4, sub: 5, xor: 6, cmp: 7 } as const;

/** From a number to memory: the size, and the kind of operation. */
const SUMS_IN_MEMORY = { addq: [64, 0], cmpb: [8, 7], cmpl: [32, 7], cmpq: [64, 7] } as const;
const COPIES_TO_MEMORY = { movb: 8, movl: 32, movq: 64 } as const;

/** With one operand: the opcode, and the kind of operation; in memory, also the size. */
const CHANGES = { inc: [0xfe, 0], dec: [0xfe, 1], not: [0xf6, 2], neg: [0xf6, 3] } as const;
const CHANGES_IN_MEMORY = { incl: [0xfe, 0, 32], incq: [0xfe, 0, 64], decl: [0xfe, 1, 32] } as const;

type Methods<Table, Method> = { readonly [Name in keyof Table]: Method };
type FromTables = Methods<typeof PLAIN & typeof STRING_COPIES, <To>(this: To) => To> &
  Methods<typeof JUMPS, <To>(this: To, label: string) => To> &
  Methods<
    typeof EXCHANGES,
    <To, P extends Place>(this: To, from: Exclude<Source<P>, Memory | number>, place: P) => To
  > &
  Methods<typeof SUMS, <To, P extends Place>(this: To, from: Source<P>, place: P) => To> &
  Methods<typeof CONDITIONAL_COPIES, <To, R extends Wide>(this: To, from: Exclude<Source<R>, number>, place: R) => To> &
  Methods<typeof SUMS_IN_MEMORY & typeof COPIES_TO_MEMORY, <To>(this: To, value: number, place: Memory) => To> &
  Methods<typeof CHANGES, <To>(this: To, place: Register) => To> &
  Methods<typeof CHANGES_IN_MEMORY, <To>(this: To, place: Memory) => To>;

export class Assembler extends (Encoder as new () => Encoder & FromTables) {
  static {
    /** Adds a method for each row of a table. */
    const add = <Row, A, B>(
      table: Readonly<Record<string, Row>>,
      emit: (to: Assembler, name: string, row: Row, a: A, b: B) => Assembler,
    ) => {
      for (const [name, row] of Object.entries(table))
        Object.defineProperty(Assembler.prototype, name, {
          value(this: Assembler, a: A, b: B) {
            return emit(this, name, row, a, b);
          },
        });
    };
    add(PLAIN, (to, name, opcode) => to.line(name).opcode(32, opcode));
    add(STRING_COPIES, (to, _, [size, opcode, text]) => to.line(text).opcode(size, opcode));
    add(JUMPS, (to, name, opcode, label: string) => to.jump(name, opcode, label));
    add(EXCHANGES, (to, name, opcode, from: Place, place: Place) => to.#between(name, opcode, from, place));
    add(SUMS, (to, name, kind, from: Place | number, place: Place) => {
      if (typeof from !== "number") return to.#between(name, kind << 3, from, place);
      to.line(name, from, place);
      return place.size === undefined ? to.refuse("its size is not known") : to.#sum(place.size, kind, from, place);
    });
    add(CONDITIONAL_COPIES, (to, name, opcode, from: Place, place: Register) => {
      to.line(name, from, place);
      if (from.size !== undefined && from.size !== place.size) to.refuse("their sizes differ");
      return to.encode(place.size, opcode, place.code, from);
    });
    add(SUMS_IN_MEMORY, (to, name, [size, kind], value: number, place: Memory) =>
      to.line(name, value, place).#sum(size, kind, value, place),
    );
    add(COPIES_TO_MEMORY, (to, name, size, value: number, place: Memory) =>
      to.line(name, value, place).#copy(size, value, place),
    );
    add(CHANGES, (to, name, [opcode, kind], place: Register) =>
      to.line(name, place).#change(place.size, opcode, kind, place),
    );
    add(CHANGES_IN_MEMORY, (to, name, [opcode, kind, size], place: Memory) =>
      to.line(name, place).#change(size, opcode, kind, place),
    );
  }

  // Copies.

  mov<To extends Place>(from: Source<To>, to: To): this;
  mov(from: Place | number, to: Place): this {
    if (typeof from !== "number") return this.#between("mov", 0x88, from, to);
    this.line("mov", from, to);
    if (to.size === undefined) return this.refuse("its size is not known");
    const { code, size } = to;
    if (size === 64) return this.#copy(64, from, to);
    return this.opcode(size, size === 8 ? 0xb0 : 0xb8, code).number(size, from);
  }

  #copy(size: Size, value: number, to: Place): this {
    const isByte = size === 8;
    return this.encode(size, isByte ? 0xc6 : 0xc7, 0, to, isByte ? 1 : 4).number(size, value);
  }

  /** Loads all 64 bits of a number. */
  movabs(value: number | bigint, to: Pointer): this {
    return this.line("movabs", value, to).opcode(64, 0xb8, to.code).wide(value);
  }

  movzbl(from: Register<8> | Memory, to: Register<32>): this {
    return this.line("movzbl", from, to).encode(32, 0x0fb6, to.code, from);
  }

  movzwl(from: Register<16> | Memory, to: Register<32>): this {
    return this.line("movzwl", from, to).encode(32, 0x0fb7, to.code, from);
  }

  movslq(from: Register<32> | Memory, to: Pointer): this {
    return this.line("movslq", from, to).encode(64, 0x63, to.code, from);
  }

  movups(from: Xmm | Memory, to: Xmm | Memory): this {
    this.line("movups", from, to);
    if (to.size !== undefined) return this.encode(32, 0x0f10, to.code, from);
    return from.size === undefined ? this.refuse("both are in memory") : this.encode(32, 0x0f11, from.code, to);
  }

  lea(from: Memory, to: Register<32 | 64>): this {
    return this.line("lea", from, to).encode(to.size, 0x8d, to.code, from);
  }

  push(...list: readonly (Pointer | number)[]): this {
    for (const from of list) {
      this.line("push", from);
      if (typeof from === "number") this.opcode(32, 0x68).number(64, from);
      else this.opcode(32, 0x50, from.code);
    }
    return this;
  }

  pop(...list: readonly Pointer[]): this {
    for (const to of list) this.line("pop", to).opcode(32, 0x58, to.code);
    return this;
  }

  // Arithmetic.

  test<To extends Place>(from: Exclude<Source<To>, Memory>, to: To): this;
  test(from: Register | number, to: Place): this {
    if (typeof from !== "number") return this.#between("test", 0x84, from, to);
    this.line("test", from, to);
    if (to.size === undefined) return this.refuse("its size is not known");
    const { code, size } = to;
    if (code === 0) this.opcode(size, size === 8 ? 0xa8 : 0xa9);
    else this.#change(size, 0xf6, 0, to);
    return this.number(size, from);
  }

  imul<To extends Wide>(value: number, from: Exclude<Source<To>, number>, to: To): this {
    this.line("imul", value, from, to);
    const { size, code } = to;
    if (from.size !== undefined && from.size !== size) this.refuse("their sizes differ");
    const number = this.checked(size, value);
    if (isByte(number)) return this.encode(size, 0x6b, code, from, 1).byte(number);
    return this.encode(size, 0x69, code, from, size === 16 ? 2 : 4).number(size, number);
  }

  /** Divides edx:eax or rdx:rax: the quotient goes to eax or rax, the remainder to edx or rdx. */
  div(by: Register<32 | 64>): this {
    return this.line("div", by).#change(by.size, 0xf6, 6, by);
  }

  shr(count: number, to: Register): this {
    return this.line("shr", count, to).#change(to.size, 0xc0, 5, to).number(8, count);
  }

  sete(to: Register<8> | Memory): this {
    return this.line("sete", to).encode(8, 0x0f94, 0, to);
  }

  // Jumps.

  jmp(target: Target): this {
    if (typeof target === "string") return this.jump("jmp", 0xe9, target);
    return this.line("jmp", target).encode(32, 0xff, 4, target);
  }

  call(target: Target): this {
    if (typeof target === "string") return this.jump("call", 0xe8, target);
    return this.line("call", target).encode(32, 0xff, 2, target);
  }

  /**
   * Loads the arguments in order and makes the call. An argument that is already in its own register is not loaded. The
   * call changes rax, rcx and r11.
   */
  systemCall(name: SystemCall, ...list: readonly Argument[]): this {
    list.forEach((argument, i) => {
      const [wide, narrow] = [ARGUMENTS[i], NARROW_ARGUMENTS[i]];
      if (!wide || !narrow) throw new Error(`Cannot assemble a call of "${name}": it has more than six arguments`);
      if (argument === 0) this.xor(narrow, narrow);
      else if (typeof argument === "number") this.mov(argument, narrow);
      else if (typeof argument === "string") this.lea(rip(argument), wide);
      else if ("place" in argument) this.lea(argument.place, wide);
      else if (argument.size === undefined) this.mov(argument, wide);
      else if (argument !== wide && argument !== narrow)
        this.#between("mov", 0x88, argument, argument.size === 64 ? wide : narrow);
    });
    return this.mov(SYS[name], eax).syscall();
  }

  ldmxcsr(from: Memory): this {
    return this.line("ldmxcsr", from).encode(32, 0x0fae, 2, from);
  }

  /** From one place to another. In an opcode, 1 means more than 8 bits, and 2 means to a register. */
  #between(mnemonic: string, opcode: number, from: Place, to: Place): this {
    this.line(mnemonic, from, to);
    if (from.size !== undefined) {
      if (to.size !== undefined && to.size !== from.size) this.refuse("their sizes differ");
      return this.encode(from.size, from.size === 8 ? opcode : opcode | 1, from.code, to);
    }
    if (to.size === undefined) return this.refuse("both are in memory");
    return this.encode(to.size, opcode | (to.size === 8 ? 2 : 3), to.code, from);
  }

  /** `kind` selects one of eight operations with a number. */
  #sum(size: Size, kind: number, value: number, to: Place): this {
    const number = this.checked(size, value);
    if (size !== 8 && isByte(number)) return this.encode(size, 0x83, kind, to, 1).byte(number);
    // al, ax, eax and rax have forms of their own.
    if (to.size !== undefined && to.code === 0) this.opcode(size, (kind << 3) | (size === 8 ? 4 : 5));
    else this.encode(size, size === 8 ? 0x80 : 0x81, kind, to, size === 8 ? 1 : size === 16 ? 2 : 4);
    return this.number(size, number);
  }

  /** An instruction with one operand; `kind` selects the operation. */
  #change(size: Size, opcode: number, kind: number, to: Place): this {
    return this.encode(size, size === 8 ? opcode : opcode | 1, kind, to);
  }
}
