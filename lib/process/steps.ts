// A sequence of system calls as data, for a process in which nothing else can run, such as a single-threaded one, which
// alone may make a user namespace. They are tried in a child first, because only trying shows whether they are
// permitted.
//
//   record: number, flags | arguments (5); the last has the number LAST
//   after the records: texts

import { CFunction, FFIType } from "bun:ffi";
import { layout, u32, u64, u64bits } from "../memory/layout.ts";
import { addressOf, pointer } from "../memory/live.ts";
import { type Address, add, PAGE_SIZE } from "../memory/numbers.ts";
import { Assembler } from "../x86-64/assembler.ts";
import { eax, ebp, r13d } from "../x86-64/narrow-registers.ts";
import { mem } from "../x86-64/operands.ts";
import { r8, r10, r12, r13, rax, rbp, rbx, rdi, rdx, rsi } from "../x86-64/registers.ts";
import { awaitChild, cloneChild, setMask } from "./child-code.ts";
import type { Libc } from "./libc.ts";

const Record = layout("step", { number: u32, flags: u32, a: u64bits, b: u64bits, c: u64bits, d: u64bits, e: u64bits });
const LAST = 0xffff_ffff;
const [TEXT_A, TEXT_B, RESULT_A] = [1, 2, 0x10];

/** The previous call's result. */
export const RESULT = Symbol("result");

export interface Step {
  readonly name: string;
  readonly number: number;
  /** The first two may be texts; the first may be the previous call's result. */
  readonly arguments: readonly (number | string | typeof RESULT)[];
}

/** The format that `steps` reads. */
export function recordsOf(steps: readonly Step[]): Uint8Array {
  const texts: Uint8Array[] = [];
  let end = (steps.length + 1) * Record.size;
  const place = (text: string): bigint => {
    const bytes = Buffer.from(`${text}\0`);
    texts.push(bytes);
    end += bytes.length;
    return BigInt(end - bytes.length);
  };
  const head = new Uint8Array(end);
  const view = new DataView(head.buffer);
  const wordOf = (argument: number | string | typeof RESULT): bigint =>
    typeof argument === "string" ? place(argument) : argument === RESULT ? 0n : BigInt.asUintN(64, BigInt(argument));
  steps.forEach(({ number, arguments: list }, i) => {
    const [first, second] = list;
    const texts = (typeof first === "string" ? TEXT_A : 0) | (typeof second === "string" ? TEXT_B : 0);
    const [a = 0n, b = 0n, c = 0n, d = 0n, e = 0n] = list.map(wordOf);
    const flags = texts | (first === RESULT ? RESULT_A : 0);
    Object.assign(Record.at(view, i * Record.size), { number, flags, a, b, c, d, e });
  });
  Record.at(view, steps.length * Record.size).number = LAST;
  return Buffer.concat([head, ...texts]);
}

/**
 * `steps` (records): makes the calls. Returns 0, or the negative errno of the first one that the kernel refuses, with
 * its record's offset from the first in rdx.
 */
export function emitSteps(to: Assembler): void {
  const { flags, a, b, c, d, e } = Record.offsetOf;
  // rdi: the first record; it is added to arguments that are offsets of texts
  to.label("steps").push(rbx, rbp, r12, r13).mov(rdi, rbx).mov(rdi, r12).xor(r13d, r13d);
  to.label("next step").mov(mem(rbx), eax).cmp(LAST, eax).je("steps done");
  to.mov(mem(rbx, flags), ebp).mov(mem(rbx, a), rdi).mov(mem(rbx, b), rsi);
  to.mov(mem(rbx, c), rdx).mov(mem(rbx, d), r10).mov(mem(rbx, e), r8);
  to.test(TEXT_A, ebp).je("first is number").add(r12, rdi);
  to.label("first is number").test(TEXT_B, ebp).je("second is number").add(r12, rsi);
  to.label("second is number").test(RESULT_A, ebp).cmovne(r13, rdi);
  to.syscall().test(rax, rax).js("steps failed");
  to.mov(rax, r13).add(Record.size, rbx).jmp("next step");
  to.label("steps done").xor(eax, eax);
  to.label("steps failed").mov(rbx, rdx).sub(r12, rdx).pop(r13, r12, rbp, rbx).ret();
}

/** `trial`'s input and output. */
const Trial = layout("trial", {
  records: u64<Address>(),
  /** The end of the child's stack. */
  stack: u64<Address>(),
  /** 0, or the negative errno. */
  failure: u64bits,
  /** The failed record's offset, in bytes. */
  at: u64bits,
  allSignals: u64bits,
  mask: u64bits,
});

/** `trial` (a Trial): makes the calls in a child, which then ends; detached.ts explains this kind of child. */
export function emitTrial(to: Assembler): void {
  const { records, stack, failure, at, allSignals, mask } = Trial.offsetOf;
  to.label("trial").push(rbx, rbp).mov(rdi, rbx);
  setMask(to, mem(rbx, allSignals), mem(rbx, mask));
  cloneChild(to, mem(rbx, stack)).je("trial child").js("trial refused");
  awaitChild(to).jmp("trial done");
  to.label("trial refused").mov(rax, mem(rbx, failure));
  setMask(to.label("trial done"), mem(rbx, mask)).pop(rbp, rbx).ret();
  to.label("trial child").mov(mem(rbx, records), rdi).call("steps");
  to.mov(rax, mem(rbx, failure)).mov(rdx, mem(rbx, at)).systemCall("exit_group", 0).hlt();
}

/**
 * Makes the calls in a child that then ends, so that nothing changes here. Returns the call that the kernel refused, if
 * any.
 */
export function tryOut(libc: Libc, steps: readonly Step[]): { step: Step | undefined; errno: number } | undefined {
  const records = recordsOf(steps);
  const to = new Assembler();
  emitTrial(to);
  emitSteps(to);
  const code = libc.placeCode(to.assemble().bytes);
  const bytes = new Uint8Array(Trial.size);
  const trial = Trial.at(new DataView(bytes.buffer));
  const stack = add(libc.pages.allocate(PAGE_SIZE), PAGE_SIZE);
  Object.assign(trial, { records: addressOf(records), stack, allSignals: 2n ** 64n - 1n });
  CFunction({ ptr: pointer(code), args: [FFIType.ptr], returns: FFIType.void })(bytes);
  if (trial.failure === 0n) return undefined;
  const errno = Number(-BigInt.asIntN(64, trial.failure));
  return { step: steps[Number(trial.at) / Record.size], errno };
}
