// System calls one behind the other, as data: for a process in which nothing else can
// run, such as one of a single thread, which alone may make a user namespace. They are
// tried in a child first, as whether they are permitted is known by trying alone.
//
//   record: number, flags | arguments (5); the last has the number LAST
//   behind the records: texts

import { CFunction, FFIType } from "bun:ffi";
import { layout, u32, u64, u64bits } from "../memory/layout.ts";
import { pointer } from "../memory/live.ts";
import { type Address, add, alignUp, PAGE_SIZE } from "../memory/numbers.ts";
import { Assembler } from "../x86-64/assembler.ts";
import type { Libc } from "./libc.ts";
import { install } from "./patch.ts";

const Record = layout("step", { number: u32, flags: u32, a: u64bits, b: u64bits, c: u64bits, d: u64bits, e: u64bits });
const LAST = 0xffff_ffff;
const [TEXT_A, TEXT_B, RESULT_A] = [1, 2, 0x10];

/** What the call before has given. */
export const RESULT = Symbol("result");

/** One system call. */
export interface Step {
  readonly name: string;
  readonly number: number;
  /** The first and the second may be texts, the first what the call before has given. */
  readonly arguments: readonly (number | string | typeof RESULT)[];
}

/** As `steps` wants them. */
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
  steps.forEach(({ number, arguments: [a = 0, b = 0, ...rest] }, i) => {
    const step = Record.at(view, i * Record.size);
    const value = (argument: number | string | typeof RESULT): bigint =>
      typeof argument === "string" ? place(argument) : argument === RESULT ? 0n : BigInt.asUintN(64, BigInt(argument));
    step.number = number;
    step.flags =
      (typeof a === "string" ? TEXT_A : 0) | (typeof b === "string" ? TEXT_B : 0) | (a === RESULT ? RESULT_A : 0);
    [step.a, step.b] = [value(a), value(b)];
    [step.c, step.d, step.e] = [value(rest[0] ?? 0), value(rest[1] ?? 0), value(rest[2] ?? 0)];
  });
  Record.at(view, steps.length * Record.size).number = LAST;
  return Buffer.concat([head, ...texts]);
}

/**
 * `steps` (records): makes the calls. Returns 0, or the negative errno of the first that the kernel refuses, and in rdx
 * how far behind the first record that one is.
 */
export function emitSteps(to: Assembler): void {
  to.label("steps")
    // rdi: the first record; added to what says that it is a place among them
    .op("push %rbx", 0x53)
    .op("push %rbp", 0x55)
    .op("push %r12", 0x41, 0x54)
    .op("push %r13", 0x41, 0x55)
    .op("mov %rdi,%rbx", 0x48, 0x89, 0xfb)
    .op("mov %rdi,%r12", 0x49, 0x89, 0xfc)
    .op("xor %r13d,%r13d", 0x45, 0x31, 0xed)
    .label("next step")
    .op("mov (%rbx),%eax", 0x8b, 0x03)
    .op("cmp $0xffffffff,%eax", 0x83, 0xf8, 0xff)
    .to("je", "steps done")
    .op("mov 0x4(%rbx),%ebp", 0x8b, 0x6b, 0x04)
    .op("mov 0x8(%rbx),%rdi", 0x48, 0x8b, 0x7b, 0x08)
    .op("mov 0x10(%rbx),%rsi", 0x48, 0x8b, 0x73, 0x10)
    .op("mov 0x18(%rbx),%rdx", 0x48, 0x8b, 0x53, 0x18)
    .op("mov 0x20(%rbx),%r10", 0x4c, 0x8b, 0x53, 0x20)
    .op("mov 0x28(%rbx),%r8", 0x4c, 0x8b, 0x43, 0x28)
    .op("test $0x1,%ebp", 0xf7, 0xc5, 0x01, 0x00, 0x00, 0x00)
    .to("je", "first is number")
    .op("add %r12,%rdi", 0x4c, 0x01, 0xe7)
    .label("first is number")
    .op("test $0x2,%ebp", 0xf7, 0xc5, 0x02, 0x00, 0x00, 0x00)
    .to("je", "second is number")
    .op("add %r12,%rsi", 0x4c, 0x01, 0xe6)
    .label("second is number")
    .op("test $0x10,%ebp", 0xf7, 0xc5, 0x10, 0x00, 0x00, 0x00)
    .op("cmovne %r13,%rdi", 0x49, 0x0f, 0x45, 0xfd)
    .op("syscall", 0x0f, 0x05)
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .to("js", "steps failed")
    .op("mov %rax,%r13", 0x49, 0x89, 0xc5)
    .op("add $0x30,%rbx", 0x48, 0x83, 0xc3, 0x30)
    .to("jmp", "next step")
    .label("steps done")
    .op("xor %eax,%eax", 0x31, 0xc0)
    .label("steps failed")
    .op("mov %rbx,%rdx", 0x48, 0x89, 0xda)
    .op("sub %r12,%rdx", 0x4c, 0x29, 0xe2)
    .op("pop %r13", 0x41, 0x5d)
    .op("pop %r12", 0x41, 0x5c)
    .op("pop %rbp", 0x5d)
    .op("pop %rbx", 0x5b)
    .op("ret", 0xc3);
}

/** What `trial` is given, and what it gives back. */
const Trial = layout("trial", {
  records: u64<Address>(),
  /** The end of the child's stack. */
  stack: u64<Address>(),
  /** 0, or the negative errno. */
  failure: u64bits,
  /** Of which record, in bytes from the first. */
  at: u64bits,
  allSignals: u64bits,
  mask: u64bits,
});

/** `trial` (a Trial): makes the calls in a child, which then ends; see detached.ts for why the child is as it is. */
export function emitTrial(to: Assembler): void {
  to.label("trial")
    .op("push %rbx", 0x53)
    .op("push %rbp", 0x55)
    .op("mov %rdi,%rbx", 0x48, 0x89, 0xfb)
    .op("lea 0x20(%rbx),%rsi", 0x48, 0x8d, 0x73, 0x20)
    .op("lea 0x28(%rbx),%rdx", 0x48, 0x8d, 0x53, 0x28)
    .op("mov $0x2,%edi", 0xbf, 0x02, 0x00, 0x00, 0x00)
    .op("mov $0x8,%r10d", 0x41, 0xba, 0x08, 0x00, 0x00, 0x00)
    .op("mov $0xe,%eax", 0xb8, 0x0e, 0x00, 0x00, 0x00)
    .op("syscall # rt_sigprocmask", 0x0f, 0x05)
    .op("mov $0x4100,%edi", 0xbf, 0x00, 0x41, 0x00, 0x00) // CLONE_VM | CLONE_VFORK
    .op("mov 0x8(%rbx),%rsi", 0x48, 0x8b, 0x73, 0x08)
    .op("xor %edx,%edx", 0x31, 0xd2)
    .op("xor %r10d,%r10d", 0x45, 0x31, 0xd2)
    .op("xor %r8d,%r8d", 0x45, 0x31, 0xc0)
    .op("mov $0x38,%eax", 0xb8, 0x38, 0x00, 0x00, 0x00)
    .op("syscall # clone", 0x0f, 0x05)
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .to("je", "trial child")
    .to("js", "trial refused")
    .op("mov %eax,%edi", 0x89, 0xc7)
    .op("xor %esi,%esi", 0x31, 0xf6)
    .op("mov $0x40000000,%edx", 0xba, 0x00, 0x00, 0x00, 0x40) // __WALL
    .op("xor %r10d,%r10d", 0x45, 0x31, 0xd2)
    .op("mov $0x3d,%eax", 0xb8, 0x3d, 0x00, 0x00, 0x00)
    .op("syscall # wait4", 0x0f, 0x05)
    .to("jmp", "trial done")
    .label("trial refused")
    .op("mov %rax,0x10(%rbx)", 0x48, 0x89, 0x43, 0x10)
    .label("trial done")
    .op("mov $0x2,%edi", 0xbf, 0x02, 0x00, 0x00, 0x00)
    .op("lea 0x28(%rbx),%rsi", 0x48, 0x8d, 0x73, 0x28)
    .op("xor %edx,%edx", 0x31, 0xd2)
    .op("mov $0x8,%r10d", 0x41, 0xba, 0x08, 0x00, 0x00, 0x00)
    .op("mov $0xe,%eax", 0xb8, 0x0e, 0x00, 0x00, 0x00)
    .op("syscall # rt_sigprocmask", 0x0f, 0x05)
    .op("pop %rbp", 0x5d)
    .op("pop %rbx", 0x5b)
    .op("ret", 0xc3)
    .label("trial child")
    .op("mov (%rbx),%rdi", 0x48, 0x8b, 0x3b)
    .to("call", "steps")
    .op("mov %rax,0x10(%rbx)", 0x48, 0x89, 0x43, 0x10)
    .op("mov %rdx,0x18(%rbx)", 0x48, 0x89, 0x53, 0x18)
    .op("xor %edi,%edi", 0x31, 0xff)
    .op("mov $0xe7,%eax", 0xb8, 0xe7, 0x00, 0x00, 0x00)
    .op("syscall # exit_group", 0x0f, 0x05)
    .op("hlt", 0xf4);
}

/**
 * Makes the calls in a child that ends then, so that nothing is changed here. Returns the one that the kernel has
 * refused, if any.
 */
export function tryOut(libc: Libc, steps: readonly Step[]): { step: Step | undefined; errno: number } | undefined {
  const records = recordsOf(steps);
  const to = new Assembler();
  emitTrial(to);
  emitSteps(to);
  const code = to.assemble();
  const [codeSize, recordsSize] = [code.bytes.length, records.length].map((size) =>
    alignUp(add(NOWHERE, size), PAGE_SIZE),
  );
  const place = libc.allocatePages((codeSize ?? 0) + (recordsSize ?? 0) + PAGE_SIZE, false);
  libc.run(install(libc, code.bytes, place));
  const recordsAt = add(place, codeSize ?? 0);
  libc.write(recordsAt, records);
  const bytes = new Uint8Array(Trial.size);
  const trial = Trial.at(new DataView(bytes.buffer));
  trial.records = recordsAt;
  trial.stack = add(recordsAt, (recordsSize ?? 0) + PAGE_SIZE);
  trial.allSignals = 2n ** 64n - 1n;
  CFunction({ ptr: pointer(place), args: [FFIType.ptr], returns: FFIType.void })(bytes);
  if (trial.failure === 0n) return undefined;
  const errno = Number(-BigInt.asIntN(64, trial.failure));
  return { step: steps[Number(trial.at) / Record.size], errno };
}

const NOWHERE = 0 as Address;
