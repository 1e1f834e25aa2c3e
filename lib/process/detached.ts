// Starts a program that has nothing to do with us: no child of ours, so that no
// SIGCHLD comes and no wait(2) sees it, in a session of its own, with four
// descriptors and no others. Done by a child that starts it and ends: clone(2) with
// CLONE_VM and CLONE_VFORK as posix_spawn does it, so nothing is copied and the
// calling thread waits until the program is there. The child has no exit signal,
// so whoever waits for children (without __WALL) does not see it either. Neither
// may use libc, whose thread it is not, hence the machine code.

import { CFunction, FFIType } from "bun:ffi";
import { layout, u64, u64bits } from "../memory/layout.ts";
import { addressOf, pointer } from "../memory/live.ts";
import { type Address, add, alignUp, PAGE_SIZE } from "../memory/numbers.ts";
import { Assembler, type Code, immediate } from "../x86-64/assembler.ts";
import type { Libc } from "./libc.ts";
import { install } from "./patch.ts";
import { SystemError } from "./system.ts";

/** What the code is given, and what it gives back. */
const Start = layout("start", {
  path: u64<Address>(),
  argv: u64<Address>(),
  envp: u64<Address>(),
  /** Where the stacks of the child and of the program's process begin: their ends. */
  childStack: u64<Address>(),
  stack: u64<Address>(),
  /** What becomes its descriptors 0, 1, 2, 3. */
  nothing: u64(),
  output: u64(),
  error: u64(),
  third: u64(),
  pid: u64(),
  /** Negative errno, or 0. */
  failure: u64bits,
  allSignals: u64bits,
  noSignals: u64bits,
  mask: u64bits,
});

const STACK_SIZE = PAGE_SIZE;
const CLONE_VM_VFORK = 0x4100;

/** Takes a Start in rdi. */
export function emitDetach(to: Assembler): void {
  const at = (name: keyof typeof Start.offsetOf): number => Start.offsetOf[name];
  const shown = (name: keyof typeof Start.offsetOf): string => `0x${at(name).toString(16)}`;
  const call = (name: string, number: number) =>
    to.op(`mov $0x${number.toString(16)},%eax`, 0xb8, ...immediate(number)).op(`syscall # ${name}`, 0x0f, 0x05);
  const setMask = (from: "allSignals" | "noSignals" | "mask", into?: "mask") => {
    to.op("mov $0x2,%edi", 0xbf, ...immediate(2)) // SIG_SETMASK
      .op(`lea ${shown(from)}(%rbx),%rsi`, 0x48, 0x8d, 0x73, at(from));
    if (into === undefined) to.op("xor %edx,%edx", 0x31, 0xd2);
    else to.op(`lea ${shown(into)}(%rbx),%rdx`, 0x48, 0x8d, 0x53, at(into));
    to.op("mov $0x8,%r10d", 0x41, 0xba, ...immediate(8));
    call("rt_sigprocmask", 14);
  };
  const clone = (stack: "childStack" | "stack") => {
    to.op(`mov $0x${CLONE_VM_VFORK.toString(16)},%edi`, 0xbf, ...immediate(CLONE_VM_VFORK))
      .op(`mov ${shown(stack)}(%rbx),%rsi`, 0x48, 0x8b, 0x73, at(stack))
      .op("xor %edx,%edx", 0x31, 0xd2)
      .op("xor %r10d,%r10d", 0x45, 0x31, 0xd2)
      .op("xor %r8d,%r8d", 0x45, 0x31, 0xc0);
    call("clone", 56);
    to.op("test %rax,%rax", 0x48, 0x85, 0xc0);
  };
  const duplicate = (name: "nothing" | "output" | "error" | "third", number: number) => {
    to.op(`mov ${shown(name)}(%rbx),%edi`, 0x8b, 0x7b, at(name)).op(
      `mov $0x${number.toString(16)},%esi`,
      0xbe,
      ...immediate(number),
    );
    call("dup2", 33);
  };
  const fail = () => to.op(`mov %rax,${shown("failure")}(%rbx)`, 0x48, 0x89, 0x43, at("failure"));

  // A handler must not run on a stack of theirs.
  to.op("push %rbx", 0x53).op("mov %rdi,%rbx", 0x48, 0x89, 0xfb);
  setMask("allSignals", "mask");
  clone("childStack");
  to.to("je", "child").to("js", "not cloned");
  to.op("mov %eax,%edi", 0x89, 0xc7)
    .op("xor %esi,%esi", 0x31, 0xf6)
    .op("mov $0x40000000,%edx", 0xba, ...immediate(0x4000_0000)) // __WALL
    .op("xor %r10d,%r10d", 0x45, 0x31, 0xd2);
  call("wait4", 61);
  to.to("jmp", "done").label("not cloned");
  fail();
  to.label("done");
  setMask("mask");
  to.op("pop %rbx", 0x5b).op("ret", 0xc3);

  to.label("child");
  call("setsid", 112);
  clone("stack");
  to.to("je", "start")
    .to("js", "not started")
    .op(`mov %rax,${shown("pid")}(%rbx)`, 0x48, 0x89, 0x43, at("pid"))
    .label("end")
    .op("xor %edi,%edi", 0x31, 0xff);
  call("exit_group", 231);
  to.label("not started");
  fail();
  to.to("jmp", "end");

  to.label("start");
  duplicate("nothing", 0);
  duplicate("output", 1);
  duplicate("error", 2);
  duplicate("third", 3);
  to.op("mov $0x4,%edi", 0xbf, ...immediate(4))
    .op("mov $0xffffffff,%esi", 0xbe, ...immediate(-1))
    .op("xor %edx,%edx", 0x31, 0xd2);
  call("close_range", 436);
  // Its directory must not keep a file system from being unmounted.
  to.rip("lea root(%rip),%rdi", "root", 0x48, 0x8d, 0x3d);
  call("chdir", 80);
  setMask("noSignals");
  to.op(`mov ${shown("path")}(%rbx),%rdi`, 0x48, 0x8b, 0x7b, at("path"))
    .op(`mov ${shown("argv")}(%rbx),%rsi`, 0x48, 0x8b, 0x73, at("argv"))
    .op(`mov ${shown("envp")}(%rbx),%rdx`, 0x48, 0x8b, 0x53, at("envp"));
  call("execve", 59);
  fail();
  to.op("mov $0x7f,%edi", 0xbf, ...immediate(127));
  call("exit_group", 231);
  to.label("root").data(Uint8Array.of("/".charCodeAt(0), 0));
}

interface Detached {
  readonly path: string;
  readonly arguments: readonly Uint8Array[];
  /** NAME=VALUE */
  readonly environment: readonly Uint8Array[];
  /** Of ours: what it gets as 0, 1, 2, 3. None is a number that one before it gets. */
  readonly descriptors: {
    readonly nothing: number;
    readonly output: number;
    readonly error: number;
    readonly third: number;
  };
}

/** Returns its process's number. Throws SystemError where the kernel refuses. */
export function startDetached(libc: Libc, detached: Detached): number {
  const to = new Assembler();
  emitDetach(to);
  const code = to.assemble();
  const place = libc.allocatePages(codeSize(code) + 2 * STACK_SIZE, false);
  libc.run(install(libc, code.bytes, place));

  const strings = [Buffer.from(detached.path), ...detached.arguments, ...detached.environment].map((bytes) =>
    Buffer.concat([bytes, Uint8Array.of(0)]),
  );
  const [path = 0n, ...addresses] = strings.map((bytes) => BigInt(addressOf(bytes)));
  const count = detached.arguments.length;
  const argv = BigUint64Array.of(...addresses.slice(0, count), 0n);
  const envp = BigUint64Array.of(...addresses.slice(count), 0n);
  const record = new Uint8Array(Start.size);
  const fields = Start.at(new DataView(record.buffer));
  Object.assign(fields, {
    path: Number(path),
    argv: addressOf(argv),
    envp: addressOf(envp),
    childStack: add(place, codeSize(code) + STACK_SIZE),
    stack: add(place, codeSize(code) + 2 * STACK_SIZE),
    ...detached.descriptors,
    allSignals: 2n ** 64n - 1n,
  });
  CFunction({ ptr: pointer(place), args: [FFIType.ptr], returns: FFIType.void })(record);
  if (fields.failure !== 0n) throw new SystemError("execve", Number(BigInt.asIntN(64, -fields.failure)));
  return fields.pid;
}

const codeSize = (code: Code): number => alignUp(code.bytes.length, PAGE_SIZE);
