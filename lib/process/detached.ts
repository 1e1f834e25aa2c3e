// Starts a program unrelated to this process: not our child, so there is no SIGCHLD and no wait(2) sees it, in its own
// session, with only five descriptors. An intermediate child starts it and ends. Like posix_spawn, this uses clone(2)
// with CLONE_VM and CLONE_VFORK, so nothing is copied and the calling thread waits until the program has started. The
// child has no exit signal, so waiting for children (without __WALL) does not see it either. Neither process may use
// libc, because it has no libc thread; hence the machine code.

import { CFunction, FFIType } from "bun:ffi";
import { layout, u64, u64bits } from "../memory/layout.ts";
import { addressOf, cString, pointer } from "../memory/live.ts";
import { type Address, add, PAGE_SIZE } from "../memory/numbers.ts";
import { Assembler } from "../x86-64/assembler.ts";
import { edi, esi } from "../x86-64/narrow-registers.ts";
import { type Memory, mem } from "../x86-64/operands.ts";
import { rax, rbx, rdi } from "../x86-64/registers.ts";
import { awaitChild, cloneChild, setMask } from "./child-code.ts";
import { vectorOf } from "./exec.ts";
import type { Libc } from "./libc.ts";
import { SystemError } from "./system.ts";

/** The code's input and output. */
const Start = layout("start", {
  path: u64<Address>(),
  argv: u64<Address>(),
  envp: u64<Address>(),
  /** The stacks' ends, for the child and the program's process. */
  childStack: u64<Address>(),
  stack: u64<Address>(),
  /** Its descriptors 0, 1, 2, 3, 4. */
  nothing: u64(),
  output: u64(),
  error: u64(),
  third: u64(),
  fourth: u64(),
  pid: u64(),
  /** Negative errno, or 0. */
  failure: u64bits,
  allSignals: u64bits,
  noSignals: u64bits,
  mask: u64bits,
});

const STACK_SIZE = PAGE_SIZE;
const NOT_FOUND = 127;
/** Fields of Start, by number. */
const DESCRIPTORS = ["nothing", "output", "error", "third", "fourth"] as const;

/** Takes a Start in rdi. */
export function emitDetach(to: Assembler): void {
  const at = (name: keyof typeof Start.offsetOf): Memory => mem(rbx, Start.offsetOf[name]);
  // A signal handler must not run on either stack.
  to.push(rbx).mov(rdi, rbx);
  setMask(to, at("allSignals"), at("mask"));
  cloneChild(to, at("childStack")).je("child").js("not cloned");
  awaitChild(to).jmp("done");
  to.label("not cloned").mov(rax, at("failure"));
  setMask(to.label("done"), at("mask")).pop(rbx).ret();

  to.label("child").systemCall("setsid");
  cloneChild(to, at("stack")).je("start").js("not started");
  to.mov(rax, at("pid"));
  to.label("end").systemCall("exit_group", 0);
  to.label("not started").mov(rax, at("failure")).jmp("end");

  to.label("start");
  for (const [descriptor, from] of DESCRIPTORS.entries())
    to.mov(at(from), edi).mov(descriptor, esi).systemCall("dup2", edi, esi);
  to.systemCall("close_range", DESCRIPTORS.length, -1, 0);
  // Its working directory must not keep a file system from being unmounted.
  to.systemCall("chdir", "root");
  setMask(to, at("noSignals")).systemCall("execve", at("path"), at("argv"), at("envp"));
  to.mov(rax, at("failure")).systemCall("exit_group", NOT_FOUND);
  to.label("root").data(cString("/"));
}

interface Detached {
  readonly path: string;
  readonly arguments: readonly Uint8Array[];
  /** NAME=VALUE */
  readonly environment: readonly Uint8Array[];
  /** Our descriptors that become its 0, 1, 2, 3, 4. None may equal a target number earlier in this order. */
  readonly descriptors: Readonly<Record<(typeof DESCRIPTORS)[number], number>>;
}

/** Returns the process's id. Throws SystemError if the kernel refuses. */
export function startDetached(libc: Libc, detached: Detached): number {
  const to = new Assembler();
  emitDetach(to);
  const code = libc.placeCode(to.assemble().bytes);
  const stacks = libc.pages.allocate(2 * STACK_SIZE);
  const path = cString(detached.path);
  const [argv, envp] = [vectorOf(detached.arguments), vectorOf(detached.environment)];
  const record = new Uint8Array(Start.size);
  const fields = Start.at(new DataView(record.buffer));
  Object.assign(fields, {
    path: addressOf(path),
    argv: addressOf(argv.pointers),
    envp: addressOf(envp.pointers),
    childStack: add(stacks, STACK_SIZE),
    stack: add(stacks, 2 * STACK_SIZE),
    ...detached.descriptors,
    allSignals: 2n ** 64n - 1n,
  });
  CFunction({ ptr: pointer(code), args: [FFIType.ptr], returns: FFIType.void })(record);
  if (fields.failure !== 0n) throw new SystemError("execve", Number(BigInt.asIntN(64, -fields.failure)));
  return fields.pid;
}
