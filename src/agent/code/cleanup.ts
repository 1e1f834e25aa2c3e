// The end of a hosted program: destructors where natively they would run, the private
// directory, and then the end of the process, as Bun has handlers of its own, and
// destructors that the program's exit must not come to (those of its threads run on).

import type { Address } from "../../../lib/memory/numbers.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { type DestructorTargets, emitDestructors } from "./destructors.ts";
import { systemCall } from "./system-call.ts";

const encoder = new TextEncoder();

export interface ExitTargets extends DestructorTargets {
  readonly pid: number;
  /** The private directory, and a NULL-ended list of pointers to the paths of the files in it. */
  readonly directory: string;
  readonly files: Address;
  /** What exit(3) does behind all handlers: fcloseall. */
  readonly closeAll: Address;
}

/**
 * Two handlers for exit. `cleanup`, to be registered where natively ld.so's own is, between what the program's libraries
 * register and what the program does, runs all destructors: those of the program's side, then the capsules'. `end`,
 * registered before everything else, unlinks the files and the directory, but not in a forked child, and ends the
 * process; so it does where a destructor calls exit again, or a constructor does, when natively no destructor runs.
 */
export function emitCleanup(to: Assembler, targets: ExitTargets): void {
  const { pid, directory, files, closeAll } = targets;
  to.label("cleanup")
    .op("push %rbx", 0x53)
    .rip("mov ending(%rip),%rbx", "ending", 0x48, 0x8b, 0x1d)
    .to("call", "finish base")
    .op("cmpq $0x0,(%rbx)", 0x48, 0x83, 0x3b, 0) // finalizer
    .to("je", "cleaned up")
    .op("call *(%rbx)", 0xff, 0x13)
    .label("cleaned up")
    .op("pop %rbx", 0x5b)
    .op("ret", 0xc3);
  emitDestructors(to, targets);

  to.label("end") // (argument, status)
    .op("push %rbx", 0x53)
    .op("push %r12", 0x41, 0x54)
    .op("push %r13", 0x41, 0x55)
    .op("mov %esi,%r12d", 0x41, 0x89, 0xf4);
  systemCall(to, "getpid", 39);
  to.rip("cmp pid(%rip),%eax", "pid", 0x3b, 0x05).to("jne", "end process");
  // The second time for a directory among them, which is empty by then.
  forEachFile(to, "cleanup unlink", "unlink", 87);
  forEachFile(to, "cleanup rmdir", "rmdir", 84);
  to.rip("lea directory(%rip),%rdi", "directory", 0x48, 0x8d, 0x3d);
  systemCall(to, "rmdir", 84);
  to.label("end process")
    .rip("mov ending(%rip),%rbx", "ending", 0x48, 0x8b, 0x1d)
    .op("cmpq $0x0,(%rbx)", 0x48, 0x83, 0x3b, 0) // finalizer
    .to("je", "end by ld.so")
    .rip("call *all(%rip)", "close all", 0xff, 0x15)
    .op("mov %r12d,%edi", 0x44, 0x89, 0xe7);
  systemCall(to, "exit_group", 231);
  to.label("end by ld.so").op("pop %r13", 0x41, 0x5d).op("pop %r12", 0x41, 0x5c).op("pop %rbx", 0x5b).op("ret", 0xc3);
  to.align(8)
    .label("pid")
    .quad(pid)
    .label("files")
    .quad(files)
    .label("close all")
    .quad(closeAll)
    .label("directory")
    .data(encoder.encode(`${directory}\0`));
}

/** Makes a system call with the path of each file in the list. */
function forEachFile(to: Assembler, label: string, name: string, number: number): void {
  to.rip("mov files(%rip),%rbx", "files", 0x48, 0x8b, 0x1d)
    .label(label)
    .op("mov (%rbx),%rdi", 0x48, 0x8b, 0x3b)
    .op("test %rdi,%rdi", 0x48, 0x85, 0xff)
    .to("je", `${label} done`);
  systemCall(to, name, number);
  to.op("add $0x8,%rbx", 0x48, 0x83, 0xc3, 0x08).to("jmp", label).label(`${label} done`);
}
