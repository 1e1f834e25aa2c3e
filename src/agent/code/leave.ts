// pthread_exit by the main thread. A process ends with its last thread, which calls
// exit, but Bun's threads never end. So the main thread asks at its very end, behind
// the destructors of thread-specific values, whether somebody of the program is still
// there. If not, it exits. Otherwise another thread is left behind, which asks from
// time to time, and exits when there is nobody. A forked child has none of Bun's
// threads, and glibc counts its own: it ends by itself, unless the end of the thread
// that has been Bun's makes another one. mimalloc does so in the destructor of its
// thread-specific value (Bun 1.4.5), which is taken from it.

import type { Address } from "../../../lib/memory/numbers.ts";
import { type Assembler, immediate } from "../../../lib/x86-64/assembler.ts";
import { Kind } from "../protocol.ts";
import { ask } from "./ask.ts";
import { systemCall } from "./system-call.ts";

const NEEDED = ["pthread_create", "pthread_detach", "exit", "pthread_setspecific"];

/** How often glibc goes through a thread's specific values at its end (PTHREAD_DESTRUCTOR_ITERATIONS). */
const ROUNDS = 4;

export interface Leaving {
  /** The process that has Bun's threads. */
  readonly pid: number;
  /**
   * Where the key of a thread-specific value is, in 32 bits, of which `main left` is the destructor. Those before it are
   * Bun's.
   */
  readonly key: Address;
  /** A function that returns its argument. */
  readonly nothing: Address;
}

/** Those that there are, each at a label of its name; returns the names. Needs emitAgent's `request`. */
export function emitLeavingFunctions(
  to: Assembler,
  { pid, key, nothing }: Leaving,
  find: (name: string) => Address | undefined,
): string[] {
  const [create, detach, exit, setSpecific] = NEEDED.map(find);
  if (create === undefined || detach === undefined || exit === undefined || setSpecific === undefined) {
    to.label("main left").op("ret", 0xc3);
    return [];
  }
  const names: string[] = [];
  for (const name of ["pthread_exit", "thrd_exit"]) {
    const address = find(name);
    if (address === undefined) continue;
    const real = `real ${name}`;
    to.align(8).label(real).quad(address).label(name);
    emitLeaving(to, name, real);
    names.push(name);
  }
  emitMainLeft(to);
  emitAwaitOthers(to);
  to.align(8).label("create").quad(create).label("detach").quad(detach).label("leave exit").quad(exit);
  to.label("leave address").quad(nothing).label("leaving pid").quad(pid);
  to.label("leaving key").quad(key).label("set specific").quad(setSpecific);
  return names;
}

function emitLeaving(to: Assembler, name: string, real: string): void {
  const [other, now, forked] = [`${name} other`, `${name} now`, `${name} forked`];
  systemCall(to, "getpid", 39);
  to.rip("cmp pid(%rip),%eax", "leaving pid", 0x3b, 0x05).to("jne", forked).op("mov %eax,%r10d", 0x41, 0x89, 0xc2);
  systemCall(to, "gettid", 186);
  to.op("cmp %eax,%r10d", 0x41, 0x39, 0xc2)
    .to("jne", other)
    .op("push %rdi", 0x57)
    .rip("mov key(%rip),%rdi", "leaving key", 0x48, 0x8b, 0x3d)
    .op("mov (%rdi),%edi", 0x8b, 0x3f)
    .op("mov $0x1,%esi", 0xbe, ...immediate(1))
    .rip("call *specific(%rip)", "set specific", 0xff, 0x15)
    .op("test %eax,%eax", 0x85, 0xc0)
    .to("je", now)
    .to("call", "leave another behind")
    .label(now)
    .op("pop %rdi", 0x5f)
    .label(other)
    .rip("jmp *real(%rip)", real, 0xff, 0x25)
    .label(forked)
    .op("push %rdi", 0x57)
    .op("push %rbx", 0x53)
    .op("sub $0x8,%rsp", 0x48, 0x83, 0xec, 0x08)
    .rip("mov key(%rip),%rbx", "leaving key", 0x48, 0x8b, 0x1d)
    .op("mov (%rbx),%ebx", 0x8b, 0x1b)
    .label(`${forked} key`)
    .op("test %ebx,%ebx", 0x85, 0xdb)
    .to("je", `${forked} done`)
    .op("dec %ebx", 0xff, 0xcb)
    .op("mov %ebx,%edi", 0x89, 0xdf)
    .op("xor %esi,%esi", 0x31, 0xf6)
    .rip("call *specific(%rip)", "set specific", 0xff, 0x15)
    .to("jmp", `${forked} key`)
    .label(`${forked} done`)
    .op("add $0x8,%rsp", 0x48, 0x83, 0xc4, 0x08)
    .op("pop %rbx", 0x5b)
    .op("pop %rdi", 0x5f)
    .rip("jmp *real(%rip)", real, 0xff, 0x25);
}

/** `main left` (round): in the last round it is the last that the thread does, or the last that the process does. */
function emitMainLeft(to: Assembler): void {
  to.label("main left")
    .op(`cmp $0x${ROUNDS.toString(16)},%rdi`, 0x48, 0x83, 0xff, ROUNDS)
    .to("jae", "main leaves")
    .op("lea 0x1(%rdi),%rsi", 0x48, 0x8d, 0x77, 0x01)
    .rip("mov key(%rip),%rdi", "leaving key", 0x48, 0x8b, 0x3d)
    .op("mov (%rdi),%edi", 0x8b, 0x3f)
    .rip("jmp *specific(%rip)", "set specific", 0xff, 0x25)
    .label("main leaves")
    .op("sub $0x8,%rsp", 0x48, 0x83, 0xec, 0x08)
    .to("call", "ask others")
    .op("add $0x8,%rsp", 0x48, 0x83, 0xc4, 0x08)
    .op("test %eax,%eax", 0x85, 0xc0)
    .to("je", "leave another behind")
    .op("xor %edi,%edi", 0x31, 0xff)
    .op("sub $0x8,%rsp", 0x48, 0x83, 0xec, 0x08)
    .rip("call *exit(%rip)", "leave exit", 0xff, 0x15)
    .op("hlt", 0xf4)
    .label("leave another behind")
    .op("sub $0x18,%rsp", 0x48, 0x83, 0xec, 0x18)
    .op("mov %rsp,%rdi", 0x48, 0x89, 0xe7)
    .op("xor %esi,%esi", 0x31, 0xf6)
    .rip("lea others(%rip),%rdx", "await others", 0x48, 0x8d, 0x15)
    .op("xor %ecx,%ecx", 0x31, 0xc9)
    .rip("call *create(%rip)", "create", 0xff, 0x15)
    .op("mov (%rsp),%rdi", 0x48, 0x8b, 0x3c, 0x24)
    .op("add $0x18,%rsp", 0x48, 0x83, 0xc4, 0x18)
    .op("test %eax,%eax", 0x85, 0xc0)
    .to("jne", "nobody is left behind")
    .rip("jmp *detach(%rip)", "detach", 0xff, 0x25)
    .label("nobody is left behind")
    .op("ret", 0xc3);
}

/** The thread that is left behind. */
function emitAwaitOthers(to: Assembler): void {
  to.label("await others")
    .op("sub $0x18,%rsp", 0x48, 0x83, 0xec, 0x18)
    .label("still others")
    .to("call", "ask others")
    .op("test %eax,%eax", 0x85, 0xc0)
    .to("jne", "none left")
    .op("movq $0x0,(%rsp)", 0x48, 0xc7, 0x04, 0x24, 0x00, 0x00, 0x00, 0x00)
    .op("movq $0x1312d00,0x8(%rsp)", 0x48, 0xc7, 0x44, 0x24, 0x08, 0x00, 0x2d, 0x31, 0x01) // 20 ms
    .op("mov %rsp,%rdi", 0x48, 0x89, 0xe7)
    .op("xor %esi,%esi", 0x31, 0xf6);
  systemCall(to, "nanosleep", 35);
  to.to("jmp", "still others")
    .label("none left")
    .op("xor %edi,%edi", 0x31, 0xff)
    .rip("call *exit(%rip)", "leave exit", 0xff, 0x15)
    .op("hlt", 0xf4)
    .label("ask others")
    .op("xor %edi,%edi", 0x31, 0xff);
  ask(to, Kind.leave, "leave address");
}
