// The end of a hosted program: its destructors run where they would natively, the private directory is removed, and
// then the process ends, because Bun has handlers of its own, and destructors that the program's exit must not reach
// (Bun's threads are still running).

import type { Address } from "../../../lib/memory/numbers.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { eax, esi, r12d } from "../../../lib/x86-64/narrow-registers.ts";
import { mem, rip } from "../../../lib/x86-64/operands.ts";
import { r12, r13, rbx } from "../../../lib/x86-64/registers.ts";
import { type DestructorTargets, Ending, emitDestructors } from "./destructors.ts";

export interface ExitTargets extends DestructorTargets {
  readonly pid: number;
  /** The private directory, and a NULL-terminated list of pointers to the paths of the files in it. */
  readonly directory: string;
  readonly files: Address;
  /** What exit(3) does after all handlers: fcloseall. */
  readonly closeAll: Address;
}

/** Removes the private directory, except in a forked child. Also for a signal handler. */
export const REMOVE_FILES = "remove files";

/**
 * Two handlers for exit. `cleanup` has to be registered where ld.so registers its own natively: after the handlers of
 * the program's libraries, before the program's. It runs all destructors: those of the program's side, then the
 * capsules'. `end` has to be registered before everything else. It removes the private directory and ends the process.
 * It also does so where a destructor calls exit again, or a constructor does, in which case no destructor runs natively.
 */
export function emitCleanup(to: Assembler, targets: ExitTargets): void {
  const { pid, directory, files, closeAll } = targets;
  const { finalizer } = Ending.offsetOf;
  to.label("cleanup").push(rbx).mov(rip("ending"), rbx).call("finish base");
  to.cmpq(0, mem(rbx, finalizer)).je("cleaned up").call(mem(rbx, finalizer));
  to.label("cleaned up").pop(rbx).ret();
  emitDestructors(to, targets);

  to.label("end"); // (argument, status)
  to.push(rbx, r12, r13).mov(esi, r12d).call(REMOVE_FILES);
  to.mov(rip("ending"), rbx).cmpq(0, mem(rbx, finalizer)).je("end by ld.so");
  to.call(rip("close all")).systemCall("exit_group", r12d);
  to.label("end by ld.so").pop(r13, r12, rbx).ret();
  emitRemoval(to);
  to.align(8).quads({ pid, files, "close all": closeAll }).texts({ directory });
}

/**
 * Removes the last file first: a directory is before what it contains, and the files by which the next run knows that
 * the directory is a run's, should this one be killed meanwhile, are before all others.
 */
function emitRemoval(to: Assembler): void {
  to.label(REMOVE_FILES).push(rbx, r12).systemCall("getpid").cmp(rip("pid"), eax).jne("files removed");
  to.mov(rip("files"), rbx);
  to.label("find last file").add(8, rbx).cmpq(0, mem(rbx, -8)).jne("find last file").sub(8, rbx);
  to.label("remove file").cmp(rip("files"), rbx).je("remove directory");
  to.sub(8, rbx).mov(mem(rbx), r12).systemCall("unlink", r12).systemCall("rmdir", r12).jmp("remove file");
  to.label("remove directory").systemCall("rmdir", "directory");
  to.label("files removed").pop(r12, rbx).ret();
}
