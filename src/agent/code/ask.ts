// The agent: `dlopen` and `dlmopen` as one side of the process has them.

import type { Address } from "../../../lib/memory/numbers.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { Kind, Order, Request, What } from "../protocol.ts";
import { systemCall } from "./system-call.ts";

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
