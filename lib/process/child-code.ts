// What code does that starts a process without libc: as posix_spawn has it, in the caller's memory and with the caller
// waiting (CLONE_VM, CLONE_VFORK), with no signal let through that a handler would run for on the child's stack.

import type { Assembler } from "../x86-64/assembler.ts";
import { eax } from "../x86-64/narrow-registers.ts";
import { address, type Memory } from "../x86-64/operands.ts";
import { rax } from "../x86-64/registers.ts";

const [SIG_SETMASK, MASK_SIZE] = [2, 8] as const;
const CLONE_VM_VFORK = 0x4100;
/** Also for a child without an exit signal, as these are. */
const WALL = 0x4000_0000;

/** Blocks the signals of one mask; the one from before is kept in the other, if there is one. */
export function setMask(to: Assembler, mask: Memory, before?: Memory): void {
  to.systemCall("rt_sigprocmask", SIG_SETMASK, address(mask), before ? address(before) : 0, MASK_SIZE);
}

/** `stack` has its end. Afterwards `je` is for the child, `js` for the caller where the kernel refuses. */
export function cloneChild(to: Assembler, stack: Memory): void {
  to.systemCall("clone", CLONE_VM_VFORK, stack, 0, 0, 0).test(rax, rax);
}

/** Waits for the child that cloneChild has made. */
export function awaitChild(to: Assembler): void {
  to.systemCall("wait4", eax, 0, WALL, 0);
}
