// The machine code that capsule puts into a process, one purpose a file,
// instruction by instruction. It is position-independent, has no writable data,
// makes system calls itself (errno stays the program's) and runs only when
// something is asked:
//
//   ask          what dlopen and dlmopen are bound to: asks the server and obeys it
//   paths        functions that take a path: the program's own file, the host tree's files
//   objects      what tells of objects that are loaded
//   signals      what tells of handlers; a death that is told of; Bun's threads blocked
//   leave        the main thread's end
//   stack-size   small stacks
//   getenv       the environment as one capsule sees it: the process's own, then a table
//   start        calls the program's main and exit
//   detour       in libc's place: starts the program over under another glibc's ld.so
//   identity     tells a process that was started by an ld.so's name who it is
//   vectors      what the kernel has put on the stack, for these two
//   enter        makes a mount namespace, and turns into the program
//   cleanup      runs the program's destructors and removes the private directory
//
// System V calling convention; system calls clobber rcx and r11.

import type { Assembler } from "../../../lib/x86-64/assembler.ts";

export function systemCall(to: Assembler, name: string, number: number): void {
  to.op(`mov $0x${number.toString(16)},%eax`, 0xb8, number, 0, 0, 0).op(`syscall # ${name}`, 0x0f, 0x05);
}
