// An x86-64 assembler: one method per instruction, operands in AT&T order (source first), as in objdump and the ABI
// documents: `to.mov(rsp, r12)`, `to.add(8, rsp)`, `to.lea(rip("table"), rdi)`. If no operand is a register, the name
// ends with the size, as in AT&T syntax: `to.movl(0, mem(rax))`. Labels are strings. Jumps to labels and pushed numbers
// always have 32 bits; everything else takes the shortest form.
//
// Bytes are written at once. Instructions are also recorded, for a listing that tests compare with objdump's; nothing
// else turns them into text. Encodings: Intel 64 SDM, volume 2, chapters 2 to 5.

import { Encoder, isByte } from "./encoder.ts";
import { SYS, type SystemCall } from "./linux.ts";
import { eax, edi, edx, esi, r8d, r9d, r10d } from "./narrow-registers.ts";
import {
  type Memory,
  type Place,
  type PlaceAddress,
  type Pointer,
  type Register,
  rip,
  type Size,
  type Xmm,
} from "./operands.ts";
import { r8, r9, r10, rdi, rdx, rsi } from "./registers.ts";

export { addressOfLabel, type Code } from "./encoder.ts";

/** The source for a destination: nothing of another size, and no second place in memory. */
type Source<To> = To extends Register<infer Bits> ? Register<Bits> | Memory | number : Register;
/** The target of a jump or call: a label, or what holds the address. */
type Target = string | Pointer | Memory;
/** A system call argument: a number, the address of a label or of a place, 64 bits in memory, or a register. */
type Argument = number | string | PlaceAddress | Memory | Register<32 | 64>;

/** For system calls. */
const ARGUMENTS = [rdi, rsi, rdx, r10, r8, r9] as const;
const NARROW_ARGUMENTS = [edi, esi, edx, r10d, r8d, r9d] as const;

export class Assembler extends Encoder {
  // Copies.

  mov<To extends Place>(from: Source<To>, to: To): this;
  mov(from: Place | number, to: Place): this {
    if (typeof from !== "number") return this.#between("mov", 0x88, from, to);
    this.line("mov", from, to);
    if (to.size === undefined) return this.refuse("its size is not known");
    const { code, size } = to;
    if (size === 64) return this.encode(64, 0xc7, 0, to, 4).number(64, from);
    return this.opcode(size, size === 8 ? 0xb0 : 0xb8, code).number(size, from);
  }

  movb(value: number, to: Memory): this {
    return this.line("movb", value, to).encode(8, 0xc6, 0, to, 1).number(8, value);
  }

  movl(value: number, to: Memory): this {
    return this.line("movl", value, to).encode(32, 0xc7, 0, to, 4).number(32, value);
  }

  movq(value: number, to: Memory): this {
    return this.line("movq", value, to).encode(64, 0xc7, 0, to, 4).number(64, value);
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

  cmove<To extends Register<16 | 32 | 64>>(from: Exclude<Source<To>, number>, to: To): this {
    return this.#copyIf("cmove", 0x0f44, from, to);
  }

  cmovne<To extends Register<16 | 32 | 64>>(from: Exclude<Source<To>, number>, to: To): this {
    return this.#copyIf("cmovne", 0x0f45, from, to);
  }

  cmova<To extends Register<16 | 32 | 64>>(from: Exclude<Source<To>, number>, to: To): this {
    return this.#copyIf("cmova", 0x0f47, from, to);
  }

  xchg<To extends Place>(from: Exclude<Source<To>, Memory | number>, to: To): this {
    return this.#between("xchg", 0x86, from, to);
  }

  cmpxchg<To extends Place>(from: Exclude<Source<To>, Memory | number>, to: To): this {
    return this.#between("cmpxchg", 0x0fb0, from, to);
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

  add<To extends Place>(from: Source<To>, to: To): this {
    return this.#compute("add", 0, from, to);
  }

  addq(value: number, to: Memory): this {
    return this.line("addq", value, to).#computeNumber(64, 0, value, to);
  }

  and<To extends Place>(from: Source<To>, to: To): this {
    return this.#compute("and", 4, from, to);
  }

  sub<To extends Place>(from: Source<To>, to: To): this {
    return this.#compute("sub", 5, from, to);
  }

  xor<To extends Place>(from: Source<To>, to: To): this {
    return this.#compute("xor", 6, from, to);
  }

  /** A following jump tests `to`, as in AT&T syntax: after `cmp(8, rax)`, ja jumps if rax is above 8. */
  cmp<To extends Place>(from: Source<To>, to: To): this {
    return this.#compute("cmp", 7, from, to);
  }

  cmpb(value: number, to: Memory): this {
    return this.line("cmpb", value, to).#computeNumber(8, 7, value, to);
  }

  cmpl(value: number, to: Memory): this {
    return this.line("cmpl", value, to).#computeNumber(32, 7, value, to);
  }

  cmpq(value: number, to: Memory): this {
    return this.line("cmpq", value, to).#computeNumber(64, 7, value, to);
  }

  test<To extends Place>(from: Exclude<Source<To>, Memory>, to: To): this;
  test(from: Register | number, to: Place): this {
    if (typeof from !== "number") return this.#between("test", 0x84, from, to);
    this.line("test", from, to);
    if (to.size === undefined) return this.refuse("its size is not known");
    const { code, size } = to;
    if (code === 0) this.opcode(size, size === 8 ? 0xa8 : 0xa9);
    else this.#alter(size, 0xf6, 0, to);
    return this.number(size, from);
  }

  inc(to: Register): this {
    return this.line("inc", to).#alter(to.size, 0xfe, 0, to);
  }

  incl(to: Memory): this {
    return this.line("incl", to).#alter(32, 0xfe, 0, to);
  }

  incq(to: Memory): this {
    return this.line("incq", to).#alter(64, 0xfe, 0, to);
  }

  dec(to: Register): this {
    return this.line("dec", to).#alter(to.size, 0xfe, 1, to);
  }

  decl(to: Memory): this {
    return this.line("decl", to).#alter(32, 0xfe, 1, to);
  }

  not(to: Register): this {
    return this.line("not", to).#alter(to.size, 0xf6, 2, to);
  }

  neg(to: Register): this {
    return this.line("neg", to).#alter(to.size, 0xf6, 3, to);
  }

  imul<To extends Register<16 | 32 | 64>>(value: number, from: Exclude<Source<To>, number>, to: To): this {
    this.line("imul", value, from, to);
    const { size, code } = to;
    if (from.size !== undefined && from.size !== size) this.refuse("their sizes differ");
    const number = this.checked(size, value);
    if (isByte(number)) return this.encode(size, 0x6b, code, from, 1).byte(number);
    return this.encode(size, 0x69, code, from, size === 16 ? 2 : 4).number(size, number);
  }

  /** Divides edx:eax or rdx:rax: the quotient goes to eax or rax, the remainder to edx or rdx. */
  div(by: Register<32 | 64>): this {
    return this.line("div", by).#alter(by.size, 0xf6, 6, by);
  }

  shr(count: number, to: Register): this {
    return this.line("shr", count, to).#alter(to.size, 0xc0, 5, to).number(8, count);
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

  jb(label: string): this {
    return this.jump("jb", 0x0f82, label);
  }

  jae(label: string): this {
    return this.jump("jae", 0x0f83, label);
  }

  je(label: string): this {
    return this.jump("je", 0x0f84, label);
  }

  jne(label: string): this {
    return this.jump("jne", 0x0f85, label);
  }

  ja(label: string): this {
    return this.jump("ja", 0x0f87, label);
  }

  js(label: string): this {
    return this.jump("js", 0x0f88, label);
  }

  jle(label: string): this {
    return this.jump("jle", 0x0f8e, label);
  }

  jg(label: string): this {
    return this.jump("jg", 0x0f8f, label);
  }

  ret(): this {
    return this.line("ret").opcode(32, 0xc3);
  }

  hlt(): this {
    return this.line("hlt").opcode(32, 0xf4);
  }

  syscall(): this {
    return this.line("syscall").opcode(32, 0x0f05);
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

  // String instructions: from (%rsi), or rax, to (%rdi).

  movsb(): this {
    return this.line("movsb %ds:(%rsi),%es:(%rdi)").opcode(32, 0xa4);
  }

  movsq(): this {
    return this.line("movsq %ds:(%rsi),%es:(%rdi)").opcode(64, 0xa5);
  }

  stosq(): this {
    return this.line("stos %rax,%es:(%rdi)").opcode(64, 0xab);
  }

  /** Repeats the next string instruction rcx times. */
  rep(): this {
    return this.line("rep").opcode(32, 0xf3);
  }

  /** Makes the next instruction's access to memory atomic. */
  lock(): this {
    return this.line("lock").opcode(32, 0xf0);
  }

  pause(): this {
    return this.line("pause").opcode(32, 0xf390);
  }

  fninit(): this {
    return this.line("fninit").opcode(32, 0xdbe3);
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

  #copyIf(mnemonic: string, opcode: number, from: Place, to: Register): this {
    this.line(mnemonic, from, to);
    if (from.size !== undefined && from.size !== to.size) this.refuse("their sizes differ");
    return this.encode(to.size, opcode, to.code, from);
  }

  /** `kind` selects one of eight operations. */
  #compute(mnemonic: string, kind: number, from: Place | number, to: Place): this {
    if (typeof from !== "number") return this.#between(mnemonic, kind << 3, from, to);
    this.line(mnemonic, from, to);
    if (to.size === undefined) return this.refuse("its size is not known");
    return this.#computeNumber(to.size, kind, from, to);
  }

  #computeNumber(size: Size, kind: number, value: number, to: Place): this {
    const number = this.checked(size, value);
    if (size !== 8 && isByte(number)) return this.encode(size, 0x83, kind, to, 1).byte(number);
    // al, ax, eax and rax have forms of their own.
    if (to.size !== undefined && to.code === 0) this.opcode(size, (kind << 3) | (size === 8 ? 4 : 5));
    else this.encode(size, size === 8 ? 0x80 : 0x81, kind, to, size === 8 ? 1 : size === 16 ? 2 : 4);
    return this.number(size, number);
  }

  /** An instruction with one operand; `kind` selects the operation. */
  #alter(size: Size, opcode: number, kind: number, to: Place): this {
    return this.encode(size, size === 8 ? opcode : opcode | 1, kind, to);
  }
}
