// The machine code that capsule puts into a process, instruction by instruction.
// It is position-independent, has no writable data, makes system calls itself
// (errno stays the program's) and runs only when something is asked:
//
//   agent     what dlopen and dlmopen are bound to: asks the server and obeys it
//   getenv    the environment as one capsule sees it: the process's own, then a table
//   start     calls the program's main and exit
//   cleanup   runs the program's destructors and removes the private directory
//
// System V calling convention; system calls clobber rcx and r11.

import { DT_FINI, DT_FINI_ARRAY, DT_FINI_ARRAYSZ } from "../../lib/elf/constants.ts";
import type { Address } from "../../lib/memory/numbers.ts";
import { PROT_READ, PROT_WRITE } from "../../lib/memory/patch.ts";
import type { Assembler } from "../../lib/x86-64/assembler.ts";
import { Kind, Order, Request, What } from "./protocol.ts";

/** How long a thread of the program waits for an order, in seconds. A server that is alive takes microseconds. */
const PATIENCE = 60;

const encoder = new TextEncoder();

export interface AgentTargets {
  /** Path of the server's socket, at most 107 bytes. */
  readonly socket: string;
  /** Which capsule asks; see Request. */
  readonly token: number;
  /** glibc's own. */
  readonly dlopen: Address;
  readonly dlmopen: Address;
}

/** `dlopen` and `dlmopen`. What cannot be asked fails as a missing file does, with dlerror() saying why. */
export function emitAgent(to: Assembler, { socket, token, dlopen, dlmopen }: AgentTargets): void {
  to.label("dlopen") // (file, mode)
    .op("test %rdi,%rdi", 0x48, 0x85, 0xff)
    .to("je", "real dlopen") // dlopen(NULL): nothing to look for
    .op(`mov $0x${Kind.dlopen},%eax`, 0xb8, Kind.dlopen, 0, 0, 0)
    .to("jmp", "request")
    .label("dlmopen") // (namespace, file, mode)
    .op("test %rsi,%rsi", 0x48, 0x85, 0xf6)
    .to("je", "real dlmopen")
    .op(`mov $0x${Kind.dlmopen},%eax`, 0xb8, Kind.dlmopen, 0, 0, 0)
    .to("jmp", "request")
    .label("real dlopen")
    .rip("jmp *dlopen(%rip)", "dlopen address", 0xff, 0x25)
    .label("real dlmopen")
    .rip("jmp *dlmopen(%rip)", "dlmopen address", 0xff, 0x25);

  // rbx: the connection; r12: the message, in a frame that the callee finds aligned
  to.label("request")
    .op("push %rbp", 0x55)
    .op("mov %rsp,%rbp", 0x48, 0x89, 0xe5)
    .op("push %rbx", 0x53)
    .op("push %r12", 0x41, 0x54)
    .op("sub $0x80,%rsp", 0x48, 0x81, 0xec, 0x80, 0, 0, 0)
    .op("and $0xffffffffffffffc0,%rsp", 0x48, 0x83, 0xe4, 0xc0)
    .op("mov %rsp,%r12", 0x49, 0x89, 0xe4)
    .op("mov %rax,(%r12)", 0x49, 0x89, 0x04, 0x24)
    .op("mov %rdi,0x8(%r12)", 0x49, 0x89, 0x7c, 0x24, 0x08)
    .op("mov %rsi,0x10(%r12)", 0x49, 0x89, 0x74, 0x24, 0x10)
    .op("mov %rdx,0x18(%r12)", 0x49, 0x89, 0x54, 0x24, 0x18)
    .op("mov %rcx,0x20(%r12)", 0x49, 0x89, 0x4c, 0x24, 0x20)
    .op("mov %r8,0x28(%r12)", 0x4d, 0x89, 0x44, 0x24, 0x28)
    .op("mov %r9,0x30(%r12)", 0x4d, 0x89, 0x4c, 0x24, 0x30)
    .op("mov 0x8(%rbp),%rax", 0x48, 0x8b, 0x45, 0x08)
    .op("mov %rax,0x38(%r12)", 0x49, 0x89, 0x44, 0x24, 0x38);
  systemCall(to, "getpid", 39);
  to.op("mov %rax,0x40(%r12)", 0x49, 0x89, 0x44, 0x24, 0x40);
  systemCall(to, "gettid", 186);
  to.op("mov %rax,0x48(%r12)", 0x49, 0x89, 0x44, 0x24, 0x48)
    .rip("mov token(%rip),%rax", "token", 0x48, 0x8b, 0x05)
    .op("mov %rax,0x50(%r12)", 0x49, 0x89, 0x44, 0x24, 0x50)
    // socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)
    .op("mov $0x1,%edi", 0xbf, 1, 0, 0, 0)
    .op("mov $0x80001,%esi", 0xbe, 0x01, 0x00, 0x08, 0x00)
    .op("xor %edx,%edx", 0x31, 0xd2);
  systemCall(to, "socket", 41);
  to.op("mov %eax,%ebx", 0x89, 0xc3)
    .op("test %eax,%eax", 0x85, 0xc0)
    .to("js", "fail")
    .label("connect")
    .op("mov %ebx,%edi", 0x89, 0xdf)
    .rip("lea socket(%rip),%rsi", "socket", 0x48, 0x8d, 0x35)
    .op("mov $0x6e,%edx", 0xba, 110, 0, 0, 0);
  systemCall(to, "connect", 42);
  to.op("cmp $0xfffffffc,%eax", 0x83, 0xf8, 0xfc) // -EINTR
    .to("je", "connect")
    .op("test %eax,%eax", 0x85, 0xc0)
    .to("js", "hang up")
    // setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, 16)
    .op("mov %ebx,%edi", 0x89, 0xdf)
    .op("mov $0x1,%esi", 0xbe, 1, 0, 0, 0)
    .op("mov $0x14,%edx", 0xba, 20, 0, 0, 0)
    .rip("lea patience(%rip),%r10", "patience", 0x4c, 0x8d, 0x15)
    .op("mov $0x10,%r8d", 0x41, 0xb8, 16, 0, 0, 0);
  systemCall(to, "setsockopt", 54);
  to.op("mov %r12,%rsi", 0x4c, 0x89, 0xe6)
    .op(`mov $0x${Request.size.toString(16)},%edx`, 0xba, Request.size, 0, 0, 0)
    .to("call", "send")
    .to("jne", "hang up");

  to.label("obey")
    .op("mov %r12,%rsi", 0x4c, 0x89, 0xe6)
    .op(`mov $0x${Order.size.toString(16)},%edx`, 0xba, Order.size, 0, 0, 0)
    .to("call", "receive")
    .to("jne", "hang up")
    .op("mov (%r12),%eax", 0x41, 0x8b, 0x04, 0x24);
  for (const what of ["call", "jump", "store", "fetch"] as const)
    to.op(`cmp $0x${What[what]},%eax`, 0x83, 0xf8, What[what]).to("je", what);
  closeConnection(to);
  to.op("mov 0x10(%r12),%rax", 0x49, 0x8b, 0x44, 0x24, 0x10);
  leave(to);
  to.op("ret", 0xc3);

  to.label("call");
  loadArguments(to);
  to.op("xor %eax,%eax", 0x31, 0xc0) // a variadic callee finds no vector registers in use
    .op("call *0x8(%r12)", 0x41, 0xff, 0x54, 0x24, 0x08)
    .op("mov %rax,(%r12)", 0x49, 0x89, 0x04, 0x24)
    .op("mov %r12,%rsi", 0x4c, 0x89, 0xe6)
    .op("mov $0x8,%edx", 0xba, 8, 0, 0, 0)
    .to("call", "send")
    .to("jne", "hang up")
    .to("jmp", "obey");

  for (const [label, routine] of [
    ["store", "receive"],
    ["fetch", "send"],
  ] as const)
    to.label(label)
      .op("mov 0x10(%r12),%rsi", 0x49, 0x8b, 0x74, 0x24, 0x10)
      .op("mov 0x18(%r12),%rdx", 0x49, 0x8b, 0x54, 0x24, 0x18)
      .to("call", routine)
      .to("jne", "hang up")
      .to("jmp", "obey");

  to.label("jump");
  closeConnection(to);
  loadArguments(to);
  to.op("mov 0x8(%r12),%r11", 0x4d, 0x8b, 0x5c, 0x24, 0x08).label("leave for r11");
  leave(to);
  to.op("jmp *%r11", 0x41, 0xff, 0xe3);

  // Nobody answers: have glibc fail to open a file of that name, so that dlerror() says so on this thread.
  to.label("hang up");
  closeConnection(to);
  to.label("fail")
    .rip("lea failure(%rip),%rdi", "failure", 0x48, 0x8d, 0x3d)
    .op("mov $0x1,%esi", 0xbe, 1, 0, 0, 0) // RTLD_LAZY
    .rip("mov dlopen(%rip),%r11", "dlopen address", 0x4c, 0x8b, 0x1d)
    .to("jmp", "leave for r11");

  transfer(to, "receive", "recvfrom", 45, 0x100); // MSG_WAITALL
  transfer(to, "send", "sendto", 44, 0x4000); // MSG_NOSIGNAL

  to.align(8)
    .label("dlopen address")
    .quad(dlopen)
    .label("dlmopen address")
    .quad(dlmopen)
    .label("token")
    .quad(token)
    .label("patience") // struct timeval
    .quad(PATIENCE)
    .quad(0)
    .label("socket") // struct sockaddr_un
    .data(Uint8Array.of(1, 0)) // AF_UNIX
    .data(encoder.encode(socket), 108)
    .label("failure")
    .data(encoder.encode("/capsule does not answer\0"));
}

function systemCall(to: Assembler, name: string, number: number): void {
  to.op(`mov $0x${number.toString(16)},%eax`, 0xb8, number, 0, 0, 0).op(`syscall # ${name}`, 0x0f, 0x05);
}

function closeConnection(to: Assembler): void {
  to.op("mov %ebx,%edi", 0x89, 0xdf);
  systemCall(to, "close", 3);
}

function loadArguments(to: Assembler): void {
  to.op("mov 0x10(%r12),%rdi", 0x49, 0x8b, 0x7c, 0x24, 0x10)
    .op("mov 0x18(%r12),%rsi", 0x49, 0x8b, 0x74, 0x24, 0x18)
    .op("mov 0x20(%r12),%rdx", 0x49, 0x8b, 0x54, 0x24, 0x20)
    .op("mov 0x28(%r12),%rcx", 0x49, 0x8b, 0x4c, 0x24, 0x28)
    .op("mov 0x30(%r12),%r8", 0x4d, 0x8b, 0x44, 0x24, 0x30)
    .op("mov 0x38(%r12),%r9", 0x4d, 0x8b, 0x4c, 0x24, 0x38);
}

function leave(to: Assembler): void {
  to.op("lea -0x10(%rbp),%rsp", 0x48, 0x8d, 0x65, 0xf0)
    .op("pop %r12", 0x41, 0x5c)
    .op("pop %rbx", 0x5b)
    .op("pop %rbp", 0x5d);
}

/** A routine that moves all rdx bytes at rsi through the connection in ebx; afterwards `jne` means that it could not. */
function transfer(to: Assembler, label: string, name: string, number: number, flags: number): void {
  const [again, done, failed] = [`${label} again`, `${label} done`, `${label} failed`];
  to.label(label)
    .op("test %rdx,%rdx", 0x48, 0x85, 0xd2)
    .to("je", done)
    .label(again)
    .op("mov %ebx,%edi", 0x89, 0xdf)
    .op(`mov $0x${flags.toString(16)},%r10d`, 0x41, 0xba, flags & 255, flags >> 8, 0, 0)
    .op("xor %r8d,%r8d", 0x45, 0x31, 0xc0)
    .op("xor %r9d,%r9d", 0x45, 0x31, 0xc9);
  systemCall(to, name, number);
  to.op("cmp $0xfffffffffffffffc,%rax", 0x48, 0x83, 0xf8, 0xfc) // -EINTR
    .to("je", again)
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .to("jle", failed)
    .op("add %rax,%rsi", 0x48, 0x01, 0xc6)
    .op("sub %rax,%rdx", 0x48, 0x29, 0xc2)
    .to("jne", again)
    .label(done)
    .op("ret", 0xc3)
    .label(failed)
    .op("test %rsp,%rsp", 0x48, 0x85, 0xe4) // never zero
    .op("ret", 0xc3);
}

/** `label`: what the real function finds, else what the table at `variables` (pairs of C strings, NULL at the end) says. */
export function emitGetenv(to: Assembler, label: string, real: Address, variables: Address): void {
  const [next, compare, skip, done] = [`${label} next`, `${label} compare`, `${label} skip`, `${label} done`];
  to.label(label)
    .op("push %rdi", 0x57)
    .rip("call *real(%rip)", `${label} real`, 0xff, 0x15)
    .op("pop %rdi", 0x5f)
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .to("jne", done)
    .rip("mov variables(%rip),%rsi", `${label} variables`, 0x48, 0x8b, 0x35)
    .label(next)
    .op("mov (%rsi),%rdx", 0x48, 0x8b, 0x16)
    .op("test %rdx,%rdx", 0x48, 0x85, 0xd2)
    .to("je", done) // with rax still NULL, or 0 from the comparison: see skip
    .op("xor %ecx,%ecx", 0x31, 0xc9)
    .label(compare)
    .op("movzbl (%rdi,%rcx,1),%eax", 0x0f, 0xb6, 0x04, 0x0f)
    .op("cmp (%rdx,%rcx,1),%al", 0x3a, 0x04, 0x0a)
    .to("jne", skip)
    .op("inc %rcx", 0x48, 0xff, 0xc1)
    .op("test %al,%al", 0x84, 0xc0)
    .to("jne", compare)
    .op("mov 0x8(%rsi),%rax", 0x48, 0x8b, 0x46, 0x08)
    .op("ret", 0xc3)
    .label(skip)
    .op("xor %eax,%eax", 0x31, 0xc0)
    .op("add $0x10,%rsi", 0x48, 0x83, 0xc6, 0x10)
    .to("jmp", next)
    .label(done)
    .op("ret", 0xc3)
    .align(8)
    .label(`${label} real`)
    .quad(real)
    .label(`${label} variables`)
    .quad(variables);
}

export interface StartTargets {
  /** Three words that stay: argc, argv, and the address of the variable that points at the environment. */
  readonly arguments: Address;
  readonly exit: Address;
}

/** `start`: stands in for __libc_start_main(main, …). */
export function emitStart(to: Assembler, targets: StartTargets): void {
  to.label("start")
    .op("mov %rdi,%rax", 0x48, 0x89, 0xf8)
    .rip("mov arguments(%rip),%rcx", "arguments", 0x48, 0x8b, 0x0d)
    .op("mov (%rcx),%edi", 0x8b, 0x39)
    .op("mov 0x8(%rcx),%rsi", 0x48, 0x8b, 0x71, 0x08)
    .op("mov 0x10(%rcx),%rdx", 0x48, 0x8b, 0x51, 0x10)
    .op("mov (%rdx),%rdx", 0x48, 0x8b, 0x12)
    .op("xor %ebp,%ebp", 0x31, 0xed) // the outermost frame, for debuggers
    .op("and $0xfffffffffffffff0,%rsp", 0x48, 0x83, 0xe4, 0xf0)
    .op("call *%rax", 0xff, 0xd0)
    .op("mov %eax,%edi", 0x89, 0xc7)
    .rip("call *exit(%rip)", "exit", 0xff, 0x15)
    .op("hlt", 0xf4)
    .align(8)
    .label("arguments")
    .quad(targets.arguments)
    .label("exit")
    .quad(targets.exit);
}

export interface ExitTargets {
  readonly pid: number;
  /** The private directory, and a NULL-ended list of pointers to the paths of the files in it. */
  readonly directory: string;
  readonly files: Address;
  /**
   * The program and its libraries in the order of their destructors: link_maps, NULL behind the last; before them the one that was
   * loaded last of what the program started with. NULL there as long as the program has not been loaded.
   */
  readonly order: Address;
}

/**
 * `cleanup`, which exit calls behind everything that the program has registered. It runs the destructors of the base namespace:
 * those of objects that came later (the last first), then those of the program and its libraries. ld.so would run the capsules'
 * before them, since it goes through the namespaces from the last to the first (2.31–2.41). Then it unlinks the files and the
 * directory, but not in a forked child.
 */
export function emitCleanup(to: Assembler, { pid, directory, files, order }: ExitTargets): void {
  to.label("cleanup");
  pushAll(to, CLEANUP_SAVES);
  to.label("cleanup later")
    .rip("mov order(%rip),%rbx", "order", 0x48, 0x8b, 0x1d)
    .op("mov (%rbx),%rdi", 0x48, 0x8b, 0x3b)
    .op("test %rdi,%rdi", 0x48, 0x85, 0xff)
    .to("je", "cleanup files")
    .label("cleanup last")
    .op("mov 0x18(%rdi),%rax", 0x48, 0x8b, 0x47, 0x18) // l_next
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .to("je", "cleanup back")
    .op("mov %rax,%rdi", 0x48, 0x89, 0xc7)
    .to("jmp", "cleanup last")
    .label("cleanup back")
    .op("cmp (%rbx),%rdi", 0x48, 0x3b, 0x3b)
    .to("je", "cleanup order")
    .op("mov %rdi,%r12", 0x49, 0x89, 0xfc)
    .to("call", "finish")
    // A destructor may close libraries, so the list is walked anew behind each.
    .op("test %eax,%eax", 0x85, 0xc0)
    .to("jne", "cleanup later")
    .op("mov 0x20(%r12),%rdi", 0x49, 0x8b, 0x7c, 0x24, 0x20) // l_prev
    .to("jmp", "cleanup back")
    .label("cleanup order")
    .op("add $0x8,%rbx", 0x48, 0x83, 0xc3, 0x08)
    .op("mov (%rbx),%rdi", 0x48, 0x8b, 0x3b)
    .op("test %rdi,%rdi", 0x48, 0x85, 0xff)
    .to("je", "cleanup files")
    .to("call", "finish")
    .to("jmp", "cleanup order")
    .label("cleanup files");
  systemCall(to, "getpid", 39);
  to.rip("cmp pid(%rip),%eax", "pid", 0x3b, 0x05)
    .to("jne", "cleanup done")
    .rip("mov files(%rip),%rbx", "files", 0x48, 0x8b, 0x1d)
    .label("cleanup next")
    .op("mov (%rbx),%rdi", 0x48, 0x8b, 0x3b)
    .op("test %rdi,%rdi", 0x48, 0x85, 0xff)
    .to("je", "cleanup directory");
  systemCall(to, "unlink", 87);
  to.op("add $0x8,%rbx", 0x48, 0x83, 0xc3, 0x08)
    .to("jmp", "cleanup next")
    .label("cleanup directory")
    .rip("lea directory(%rip),%rdi", "directory", 0x48, 0x8d, 0x3d);
  systemCall(to, "rmdir", 84);
  to.label("cleanup done");
  popAll(to, CLEANUP_SAVES);
  to.op("ret", 0xc3);
  emitFinish(to);
  to.align(8)
    .label("pid")
    .quad(pid)
    .label("files")
    .quad(files)
    .label("order")
    .quad(order)
    .label("directory")
    .data(encoder.encode(`${directory}\0`));
}

/**
 * `finish`: runs the destructors of the object whose link_map is in rdi, DT_FINI_ARRAY backwards and then DT_FINI, and has its
 * dynamic section say before that there are none, as ld.so comes by again. Returns 1 if there were some, else 0.
 */
function emitFinish(to: Assembler): void {
  to.label("finish");
  pushAll(to, FINISH_SAVES);
  // r12: l_addr, r13: the array, r14: its size, r15: the function; rsi and r8: the entries of size and function
  to.op("mov (%rdi),%r12", 0x4c, 0x8b, 0x27)
    .op("mov 0x10(%rdi),%rdi", 0x48, 0x8b, 0x7f, 0x10) // l_ld
    .op("mov %rdi,%rdx", 0x48, 0x89, 0xfa)
    .op("xor %r13d,%r13d", 0x45, 0x31, 0xed)
    .op("xor %r14d,%r14d", 0x45, 0x31, 0xf6)
    .op("xor %r15d,%r15d", 0x45, 0x31, 0xff)
    .op("xor %esi,%esi", 0x31, 0xf6)
    .op("xor %r8d,%r8d", 0x45, 0x31, 0xc0)
    .label("finish tag")
    .op("mov (%rdx),%rax", 0x48, 0x8b, 0x02)
    .op("mov 0x8(%rdx),%rcx", 0x48, 0x8b, 0x4a, 0x08)
    .op(`cmp $0x${DT_FINI_ARRAY.toString(16)},%rax`, 0x48, 0x83, 0xf8, DT_FINI_ARRAY)
    .op("cmove %rcx,%r13", 0x4c, 0x0f, 0x44, 0xe9)
    .op(`cmp $0x${DT_FINI_ARRAYSZ.toString(16)},%rax`, 0x48, 0x83, 0xf8, DT_FINI_ARRAYSZ)
    .op("cmove %rcx,%r14", 0x4c, 0x0f, 0x44, 0xf1)
    .op("cmove %rdx,%rsi", 0x48, 0x0f, 0x44, 0xf2)
    .op(`cmp $0x${DT_FINI.toString(16)},%rax`, 0x48, 0x83, 0xf8, DT_FINI)
    .op("cmove %rcx,%r15", 0x4c, 0x0f, 0x44, 0xf9)
    .op("cmove %rdx,%r8", 0x4c, 0x0f, 0x44, 0xc2)
    .op("add $0x10,%rdx", 0x48, 0x83, 0xc2, 0x10)
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .to("jne", "finish tag")
    // r9: a function that does nothing, as DT_FINI would say it; what has it is finished
    .rip("lea nothing(%rip),%r9", "finish nothing", 0x4c, 0x8d, 0x0d)
    .op("sub %r12,%r9", 0x4d, 0x29, 0xe1)
    .op("xor %eax,%eax", 0x31, 0xc0)
    .op("cmp %r9,%r15", 0x4d, 0x39, 0xcf)
    .op("cmove %rax,%r15", 0x4c, 0x0f, 0x44, 0xf8)
    .op("mov %r14,%rax", 0x4c, 0x89, 0xf0)
    .op("or %r15,%rax", 0x4c, 0x09, 0xf8)
    .to("je", "finish done")
    // mprotect the dynamic section's pages, which are read-only by now (RELRO)
    .op("push %rsi", 0x56)
    .op("mov %rdx,%rsi", 0x48, 0x89, 0xd6)
    .op("and $0xfffffffffffff000,%rdi", 0x48, 0x81, 0xe7, 0x00, 0xf0, 0xff, 0xff)
    .op("sub %rdi,%rsi", 0x48, 0x29, 0xfe)
    .op("mov $0x3,%edx", 0xba, PROT_READ | PROT_WRITE, 0, 0, 0);
  systemCall(to, "mprotect", 10);
  to.op("pop %rsi", 0x5e)
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .op("mov $0x0,%eax", 0xb8, 0, 0, 0, 0)
    .to("jne", "finish done") // refused: ld.so will run them, behind the capsules' own
    .op("test %rsi,%rsi", 0x48, 0x85, 0xf6)
    .to("je", "finish no array")
    .op("movq $0x0,0x8(%rsi)", 0x48, 0xc7, 0x46, 0x08, 0, 0, 0, 0)
    .label("finish no array")
    .op("test %r8,%r8", 0x4d, 0x85, 0xc0)
    .to("je", "finish no function")
    .op("mov %r9,0x8(%r8)", 0x4d, 0x89, 0x48, 0x08)
    .label("finish no function")
    .op("shr $0x3,%r14", 0x49, 0xc1, 0xee, 0x03)
    .op("add %r12,%r13", 0x4d, 0x01, 0xe5)
    .label("finish array")
    .op("test %r14,%r14", 0x4d, 0x85, 0xf6)
    .to("je", "finish function")
    .op("dec %r14", 0x49, 0xff, 0xce)
    .op("call *0x0(%r13,%r14,8)", 0x43, 0xff, 0x54, 0xf5, 0x00)
    .to("jmp", "finish array")
    .label("finish function")
    .op("test %r15,%r15", 0x4d, 0x85, 0xff)
    .to("je", "finish all")
    .op("add %r12,%r15", 0x4d, 0x01, 0xe7)
    .op("call *%r15", 0x41, 0xff, 0xd7)
    .label("finish all")
    .op("mov $0x1,%eax", 0xb8, 1, 0, 0, 0)
    .label("finish done");
  popAll(to, FINISH_SAVES);
  to.label("finish nothing").op("ret", 0xc3);
}

type Register = readonly [name: string, push: readonly number[], pop: readonly number[]];
const RBX: Register = ["%rbx", [0x53], [0x5b]];
const R12: Register = ["%r12", [0x41, 0x54], [0x41, 0x5c]];
const R13: Register = ["%r13", [0x41, 0x55], [0x41, 0x5d]];
const R14: Register = ["%r14", [0x41, 0x56], [0x41, 0x5e]];
const R15: Register = ["%r15", [0x41, 0x57], [0x41, 0x5f]];
// An odd number each, so that what they call finds the stack aligned.
const CLEANUP_SAVES = [RBX, R12, R13];
const FINISH_SAVES = [RBX, R12, R13, R14, R15];

function pushAll(to: Assembler, registers: readonly Register[]): void {
  for (const [name, push] of registers) to.op(`push ${name}`, ...push);
}

function popAll(to: Assembler, registers: readonly Register[]): void {
  for (const [name, , pop] of registers.toReversed()) to.op(`pop ${name}`, ...pop);
}
