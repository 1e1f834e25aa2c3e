// pthread_exit by the main thread. A process ends with its last thread, but Bun's
// threads never end. So another thread is left behind, which asks from time to time
// whether somebody of the program is still there, and exits when there is nobody.

import type { Address } from "../../../lib/memory/numbers.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { Kind } from "../protocol.ts";
import { ask } from "./ask.ts";
import { systemCall } from "./system-call.ts";

/**
 * Those that there are, each at a label of its name; returns the names. Needs emitAgent's `request`. `nothing` returns
 * its argument.
 */
export function emitLeavingFunctions(
  to: Assembler,
  nothing: Address,
  find: (name: string) => Address | undefined,
): string[] {
  const [create, detach, exit] = ["pthread_create", "pthread_detach", "exit"].map(find);
  if (create === undefined || detach === undefined || exit === undefined) return [];
  const names: string[] = [];
  for (const name of ["pthread_exit", "thrd_exit"]) {
    const address = find(name);
    if (address === undefined) continue;
    const real = `real ${name}`;
    to.align(8).label(real).quad(address).label(name);
    emitLeaving(to, name, real);
    names.push(name);
  }
  emitAwaitOthers(to);
  to.align(8).label("create").quad(create).label("detach").quad(detach).label("leave exit").quad(exit);
  to.label("leave address").quad(nothing);
  return names;
}

function emitLeaving(to: Assembler, name: string, real: string): void {
  const [other, now] = [`${name} other`, `${name} now`];
  systemCall(to, "getpid", 39);
  to.op("mov %eax,%r10d", 0x41, 0x89, 0xc2);
  systemCall(to, "gettid", 186);
  to.op("cmp %eax,%r10d", 0x41, 0x39, 0xc2)
    .to("jne", other)
    .op("push %rdi", 0x57)
    .op("sub $0x10,%rsp", 0x48, 0x83, 0xec, 0x10)
    .op("mov %rsp,%rdi", 0x48, 0x89, 0xe7)
    .op("xor %esi,%esi", 0x31, 0xf6)
    .rip("lea others(%rip),%rdx", "await others", 0x48, 0x8d, 0x15)
    .op("xor %ecx,%ecx", 0x31, 0xc9)
    .rip("call *create(%rip)", "create", 0xff, 0x15)
    .op("mov (%rsp),%rdi", 0x48, 0x8b, 0x3c, 0x24)
    .op("add $0x10,%rsp", 0x48, 0x83, 0xc4, 0x10)
    .op("test %eax,%eax", 0x85, 0xc0)
    .to("jne", now)
    .rip("call *detach(%rip)", "detach", 0xff, 0x15)
    .label(now)
    .op("pop %rdi", 0x5f)
    .label(other)
    .rip("jmp *real(%rip)", real, 0xff, 0x25);
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
