// Building blocks for machine code that starts a process without libc. Like posix_spawn, the child runs in the caller's
// memory while the caller waits (CLONE_VM, CLONE_VFORK), with all signals blocked, so that no handler runs on the
// child's stack.

import type { Assembler } from "../x86-64/assembler.ts";
import { eax } from "../x86-64/narrow-registers.ts";
import { address, type Memory } from "../x86-64/operands.ts";
import { rax } from "../x86-64/registers.ts";

const [SIG_SETMASK, MASK_SIZE] = [2, 8] as const;
const CLONE_VM_VFORK = 0x4100;
/** Waits also for children without an exit signal, such as these. */
const WALL = 0x4000_0000;

/** Blocks the signals of `mask`; the previous mask is stored in `before`, if given. */
export function setMask(to: Assembler, mask: Memory, before?: Memory): Assembler {
  return to.systemCall("rt_sigprocmask", SIG_SETMASK, address(mask), before ? address(before) : 0, MASK_SIZE);
}

/** `stack` holds the stack's end. Afterwards `je` branches in the child, `js` in the caller if the kernel refuses. */
export function cloneChild(to: Assembler, stack: Memory): Assembler {
  return to.systemCall("clone", CLONE_VM_VFORK, stack, 0, 0, 0).test(rax, rax);
}

/** Waits for cloneChild's child. */
export function awaitChild(to: Assembler): Assembler {
  return to.systemCall("wait4", eax, 0, WALL, 0);
}
