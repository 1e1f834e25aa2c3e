// pthread_exit by the main thread. A process ends with its last thread, which calls exit, but Bun's threads never end.
// So the main thread asks at its very end, after the destructors of thread-specific values, whether any other thread of
// the program is left. If not, it exits. Otherwise it leaves another thread behind, which asks from time to time, and
// exits when none is left. A forked child has none of Bun's threads, and glibc counts its own: it ends by itself,
// unless the end of the thread that was Bun's creates another thread. mimalloc does so in the destructor of its
// thread-specific value (Bun 1.4.5), so that value is cleared.

import type { Address } from "../../../lib/memory/numbers.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { eax, ebx, ecx, edi, esi, r10d } from "../../../lib/x86-64/narrow-registers.ts";
import { mem, rip } from "../../../lib/x86-64/operands.ts";
import { rbx, rdi, rdx, rsi, rsp } from "../../../lib/x86-64/registers.ts";
import { Kind } from "../protocol.ts";
import { ask } from "./ask.ts";
import { emitInFront, type Find } from "./in-front.ts";

const NEEDED = ["pthread_create", "pthread_detach", "exit", "pthread_setspecific"];

/** How many passes glibc makes over a thread's specific values at its end (PTHREAD_DESTRUCTOR_ITERATIONS). */
const ROUNDS = 4;

/** How long the thread that is left behind waits between requests. */
const PAUSE_NS = 20_000_000;

export interface Leaving {
  /** The process that has Bun's threads. */
  readonly pid: number;
  /**
   * The address of the 32-bit key of the thread-specific value whose destructor is `main left`. Keys below it are
   * Bun's.
   */
  readonly key: Address;
  /** A function that returns its argument. */
  readonly nothing: Address;
}

/** The functions that glibc has, each at a label of its name; returns the names. Needs emitAgent's `request`. */
export function emitLeavingFunctions(to: Assembler, { pid, key, nothing }: Leaving, find: Find): string[] {
  const [create, detach, exit, setSpecific] = NEEDED.map(find);
  if (create === undefined || detach === undefined || exit === undefined || setSpecific === undefined) {
    to.label("main left").ret();
    return [];
  }
  const names = emitInFront(to, ["pthread_exit", "thrd_exit"], find, (name, real) => emitLeaving(to, name, real));
  emitMainLeft(to);
  emitAwaitOthers(to);
  to.align(8).quads({ create, detach, "leave exit": exit, "leave address": nothing });
  to.quads({ "leaving pid": pid, "leaving key": key, "set specific": setSpecific });
  return names;
}

function emitLeaving(to: Assembler, name: string, real: string): void {
  const [other, now, forked] = [`${name} other`, `${name} now`, `${name} forked`];
  to.systemCall("getpid").cmp(rip("leaving pid"), eax).jne(forked).mov(eax, r10d);
  to.systemCall("gettid").cmp(eax, r10d).jne(other);
  to.push(rdi).mov(rip("leaving key"), rdi).mov(mem(rdi), edi).mov(1, esi).call(rip("set specific"));
  to.test(eax, eax).je(now).call("leave another behind");
  to.label(now).pop(rdi);
  to.label(other).jmp(rip(real));
  to.label(forked).push(rdi, rbx).sub(8, rsp).mov(rip("leaving key"), rbx).mov(mem(rbx), ebx);
  to.label(`${forked} key`).test(ebx, ebx).je(`${forked} done`);
  to.dec(ebx).mov(ebx, edi).xor(esi, esi).call(rip("set specific")).jmp(`${forked} key`);
  to.label(`${forked} done`).add(8, rsp).pop(rbx, rdi).jmp(rip(real));
}

/** `main left` (round): in the last round this is the last thing that the thread does, or the process. */
function emitMainLeft(to: Assembler): void {
  to.label("main left").cmp(ROUNDS, rdi).jae("main leaves");
  to.lea(mem(rdi, 1), rsi).mov(rip("leaving key"), rdi).mov(mem(rdi), edi).jmp(rip("set specific"));
  to.label("main leaves").sub(8, rsp).call("ask others").add(8, rsp).test(eax, eax).je("leave another behind");
  to.xor(edi, edi).sub(8, rsp).call(rip("leave exit")).hlt();
  to.label("leave another behind").sub(24, rsp);
  to.mov(rsp, rdi).xor(esi, esi).lea(rip("await others"), rdx).xor(ecx, ecx).call(rip("create"));
  to.mov(mem(rsp), rdi).add(24, rsp).test(eax, eax).jne("nobody is left behind").jmp(rip("detach"));
  to.label("nobody is left behind").ret();
}

/** The thread that is left behind. */
function emitAwaitOthers(to: Assembler): void {
  to.label("await others").sub(24, rsp);
  to.label("still others").call("ask others").test(eax, eax).jne("none left");
  to.movq(0, mem(rsp)).movq(PAUSE_NS, mem(rsp, 8)).systemCall("nanosleep", rsp, 0).jmp("still others");
  to.label("none left").xor(edi, edi).call(rip("leave exit")).hlt();
  to.label("ask others").xor(edi, edi);
  ask(to, Kind.leave, "leave address");
}
