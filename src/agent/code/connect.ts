// The agent of a process that is not capsule's own: an object that comes with the
// shims. It maps the channel for as long as it asks, and not in forked children: a
// process may drop its rights, and must not have then what others ask by. No
// descriptor stays open. A thread that opens a library has none but where it has the
// loader's lock, as others that do may want the last that there is.
//
// What the server adds to the process asks by the same functions, at their addresses.

import { layout, type Struct, u64, u64bits } from "../../../lib/memory/layout.ts";
import { type Address, PAGE_SIZE } from "../../../lib/memory/numbers.ts";
import { Assembler, type Code, immediate } from "../../../lib/x86-64/assembler.ts";
import { Header, Kind, OUTSIDE_SLOT_COUNT } from "../protocol.ts";
import { type Connection, emitAgent } from "./ask.ts";
import { systemCall } from "./system-call.ts";

const encoder = new TextEncoder();

/** How often, and how many milliseconds apart, it is looked whether a server boots whose number says nothing. */
const [LOOKS, LOOK_MS] = [500, 10];

/** The data that the server reads first: it shows that this is a process which has loaded this launch's agent. */
export const Desk = layout("desk", {
  nonce0: u64bits,
  nonce1: u64bits,
  /** ld.so's list of the objects that are loaded: the address of _r_debug. */
  debug: u64<Address>(),
  /** The number under which the server knows the process; 0 before it has been linked. */
  attachment: u64(),
  /**
   * glibc's own dlsym, written by the server: 0 before it has been linked. By its name the agent would find that of
   * whoever is preloaded.
   */
  dlsym: u64<Address>(),
  /** What \`late\` calls first, and the shim that it asks for: written by the server. */
  constructor: u64<Address>(),
  shim: u64<Address>(),
  /** Not 0 where the launch's auditor is in the process. */
  audited: u64(),
});
export type Desk = Struct<typeof Desk>;

/** Functions of the agent's; see emitConnect. */
export type LentFunctions = Readonly<Record<"connect" | "disconnect" | "look" | "complain", Address>>;

/** How code that the server puts into a process asks: by the agent's own functions. */
export const lentConnection = (lent: LentFunctions): Connection => ({
  slots: OUTSIDE_SLOT_COUNT,
  find(to) {
    kindOf(to).rip("call *connect(%rip)", "connect", 0xff, 0x15);
    take(to);
  },
  look: (to) => to.rip("call *look(%rip)", "look", 0xff, 0x15),
  ring,
  complain: (to) => to.rip("call *complain(%rip)", "complain", 0xff, 0x15),
  disconnect: (to) => to.rip("call *disconnect(%rip)", "disconnect", 0xff, 0x15),
  data(to) {
    for (const name of ["connect", "disconnect", "look", "complain"] as const) to.label(name).quad(lent[name]);
  },
});

const ownConnection: Connection = {
  slots: OUTSIDE_SLOT_COUNT,
  find(to) {
    kindOf(to).to("call", "connect");
    take(to);
  },
  look: (to) => to.to("call", "look"),
  ring,
  complain: () => {}, // as it goes on in `unanswered`
  disconnect: (to) => to.to("call", "disconnect"),
  data: () => {},
};

const kindOf = (to: Assembler): Assembler => to.op("mov (%rsp),%edi", 0x8b, 0x3c, 0x24);

function take(to: Assembler): void {
  to.op("mov %rax,%rbx", 0x48, 0x89, 0xc3).op("test %rax,%rax", 0x48, 0x85, 0xc0).to("je", "fail");
}

function ring(to: Assembler): void {
  to.op("mov %rbx,%rdi", 0x48, 0x89, 0xdf)
    .op("lock incl (%rdi)", 0xf0, 0xff, 0x07)
    .op("mov $0x1,%esi", 0xbe, 1, 0, 0, 0) // FUTEX_WAKE
    .op("mov $0x1,%edx", 0xba, 1, 0, 0, 0);
  systemCall(to, "futex", 202);
}

export interface ConnectTargets {
  /** The file with the channel, and how many bytes it has. */
  readonly channel: string;
  /** Whose it is: an effective user's number. */
  readonly owner: number;
  /** The server's socket; empty where it has none. */
  readonly door: string;
  readonly size: number;
  readonly nonce: readonly [bigint, bigint];
  /** Written to standard error, once a process, where nobody answers. */
  readonly complaint: string;
}

/**
 * The label of what shims call, of the quad that the loader fills with the address of _r_debug, and where writable data
 * begins.
 */
export interface AgentCode {
  readonly code: Code;
  readonly dataAt: number;
}

export function agentCode(targets: ConnectTargets): AgentCode {
  const to = new Assembler();
  emitAgent(to, { connection: ownConnection, token: 0, dlopen: NOWHERE, dlmopen: NOWHERE });
  emitConnect(to);
  emitGate(to);
  to.align(PAGE_SIZE);
  const dataAt = to.length;
  emitData(to, targets);
  return { code: to.assemble(), dataAt };
}

const [EPERM, ENOENT, EINTR, EACCES, EMFILE, EROFS, ENOSYS] = [1, 2, 4, 13, 24, 30, 38] as const;
/** Of a struct sockaddr_un, in bytes. */
const [ADDRESS_SIZE, FAMILY_SIZE, AF_UNIX] = [110, 2, 1] as const;
/** How long the path of a socket can be. */
export const LONGEST_ADDRESS = ADDRESS_SIZE - FAMILY_SIZE - 1;
/** A function of the agent's that glibc calls with the loader's lock held, once it is looked for by dlsym: an IFUNC. */
export const CHANNEL = "capsule_channel";

/** How often a thread looks for a free descriptor, a millisecond apart. */
const PATIENCE = 200;

/** It never opens anything by itself. */
const NOWHERE = 0 as Address;

/**
 * `attach` (a shim's ELF header), what its initializer calls; `late`, which stands in the place of a constructor that
 * has to run before, see attached/await-allocator.ts; `connect` (kind of request), which maps the channel and
 * returns it, or NULL, by `map channel`; `disconnect`, after which it is not mapped (rbx: the channel, or NULL);
 * `look`, after which `je` means that nobody answers; `copy` (to, from, length), `say` (text, length) and `leave` (exit
 * status), which the server may have called. Needs emitAgent's `request`.
 */
export function emitConnect(to: Assembler): void {
  to.label("attach")
    .rip("lea desk(%rip),%rsi", "desk", 0x48, 0x8d, 0x35)
    .rip("lea copy(%rip),%rdx", "copy", 0x48, 0x8d, 0x15)
    .rip("lea say(%rip),%rcx", "say", 0x48, 0x8d, 0x0d)
    .rip("lea leave(%rip),%r8", "leave", 0x4c, 0x8d, 0x05)
    .rip("lea unanswered(%rip),%r11", "unanswered", 0x4c, 0x8d, 0x1d)
    .op(`mov $0x${Kind.attach.toString(16)},%eax`, 0xb8, ...immediate(Kind.attach))
    .to("jmp", "request");
  to.label("late") // (argc, argv, envp)
    .op("sub $0x8,%rsp", 0x48, 0x83, 0xec, 0x08)
    .rip("call *constructor(%rip)", "late constructor", 0xff, 0x15)
    .rip("mov shim(%rip),%rdi", "late shim", 0x48, 0x8b, 0x3d)
    .to("call", "attach")
    .op("add $0x8,%rsp", 0x48, 0x83, 0xc4, 0x08)
    .op("ret", 0xc3);
  to.label("connect")
    .op("push %rbx", 0x53)
    .op(`cmp $0x${Kind.dlmopen.toString(16)},%edi`, 0x83, 0xff, Kind.dlmopen)
    .to("ja", "without the lock")
    .rip("mov dlsym(%rip),%rax", "dlsym address", 0x48, 0x8b, 0x05)
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .to("je", "without the lock")
    .op("xor %edi,%edi", 0x31, 0xff) // RTLD_DEFAULT
    .rip("lea function(%rip),%rsi", "channel function", 0x48, 0x8d, 0x35)
    .op("call *%rax", 0xff, 0xd0)
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .to("jne", "connected")
    .label("without the lock")
    .to("call", "map channel")
    .label("connected")
    .op("pop %rbx", 0x5b)
    .op("ret", 0xc3)
    .label("map channel")
    .op("push %rbx", 0x53)
    .op(`mov $0x${PATIENCE.toString(16)},%ebx`, 0xbb, ...immediate(PATIENCE))
    .label("open channel")
    .rip("lea path(%rip),%rdi", "channel path", 0x48, 0x8d, 0x3d)
    .op("mov $0x80002,%esi", 0xbe, 0x02, 0x00, 0x08, 0x00) // O_RDWR | O_CLOEXEC
    .op("xor %edx,%edx", 0x31, 0xd2);
  systemCall(to, "open", 2);
  to.op("cmp $0xffffffe2,%eax", 0x83, 0xf8, -EROFS & 0xff).to("je", "by the door");
  // Other threads, such as those that are asking, have all descriptors just now.
  to.op("cmp $0xffffffe8,%eax", 0x83, 0xf8, -EMFILE & 0xff)
    .to("jne", "channel is open")
    .op("dec %ebx", 0xff, 0xcb)
    .to("je", "no channel")
    .rip("lea pause(%rip),%rdi", "pause", 0x48, 0x8d, 0x3d)
    .op("xor %esi,%esi", 0x31, 0xf6);
  systemCall(to, "nanosleep", 35);
  to.to("jmp", "open channel");
  emitDoor(to);
  to.label("channel is open")
    .op("test %eax,%eax", 0x85, 0xc0)
    .to("js", "no channel")
    .op("mov %eax,%ebx", 0x89, 0xc3)
    .op("mov %eax,%r8d", 0x41, 0x89, 0xc0)
    .op("xor %edi,%edi", 0x31, 0xff)
    .rip("mov size(%rip),%rsi", "channel size", 0x48, 0x8b, 0x35)
    .op("mov $0x3,%edx", 0xba, 0x03, 0x00, 0x00, 0x00) // PROT_READ | PROT_WRITE
    .op("mov $0x1,%r10d", 0x41, 0xba, 0x01, 0x00, 0x00, 0x00) // MAP_SHARED
    .op("xor %r9d,%r9d", 0x45, 0x31, 0xc9);
  systemCall(to, "mmap", 9);
  to.op("mov %ebx,%edi", 0x89, 0xdf).op("mov %rax,%rbx", 0x48, 0x89, 0xc3);
  systemCall(to, "close", 3);
  to.op("cmp $0xfffffffffffff000,%rbx", 0x48, 0x81, 0xfb, 0x00, 0xf0, 0xff, 0xff)
    .to("ja", "no channel")
    .op("mov %rbx,%rdi", 0x48, 0x89, 0xdf)
    .rip("mov size(%rip),%rsi", "channel size", 0x48, 0x8b, 0x35)
    .op("mov $0xa,%edx", 0xba, 0x0a, 0x00, 0x00, 0x00); // MADV_DONTFORK;
  systemCall(to, "madvise", 28);
  to.op("mov $0x59616d61,%edi", 0xbf, 0x61, 0x6d, 0x61, 0x59) // PR_SET_PTRACER
    .op("mov 0x8(%rbx),%esi", 0x8b, 0x73, 0x08)
    .op("xor %edx,%edx", 0x31, 0xd2)
    .op("xor %r10d,%r10d", 0x45, 0x31, 0xd2)
    .op("xor %r8d,%r8d", 0x45, 0x31, 0xc0);
  systemCall(to, "prctl", 157);
  to.op("mov %rbx,%rax", 0x48, 0x89, 0xd8).op("pop %rbx", 0x5b).op("ret", 0xc3).label("no channel");
  emitHush(to);
  to.op("pop %rbx", 0x5b)
    .op("xor %eax,%eax", 0x31, 0xc0)
    .op("ret", 0xc3)
    .label("disconnect")
    .op("test %rbx,%rbx", 0x48, 0x85, 0xdb)
    .to("je", "disconnected")
    .op("mov %rbx,%rdi", 0x48, 0x89, 0xdf)
    .rip("mov size(%rip),%rsi", "channel size", 0x48, 0x8b, 0x35);
  systemCall(to, "munmap", 11);
  to.op("xor %ebx,%ebx", 0x31, 0xdb)
    .label("disconnected")
    .op("ret", 0xc3)
    .label("look")
    .op("mov 0x18(%rbx),%eax", 0x8b, 0x43, Header.offsetOf.alive)
    .op("test %eax,%eax", 0x85, 0xc0)
    .to("je", "not yet")
    .op("not %eax", 0xf7, 0xd0)
    .op("test $0x40000000,%eax", 0xa9, 0x00, 0x00, 0x00, 0x40) // FUTEX_OWNER_DIED
    .op("ret", 0xc3)
    // It boots, or has ended before; in another PID namespace its number does not tell which.
    .label("not yet")
    .op(`push $0x${LOOKS.toString(16)}`, 0x68, ...immediate(LOOKS))
    .label("still not")
    .op("mov 0x8(%rbx),%edi", 0x8b, 0x7b, Header.offsetOf.pid)
    .op("mov %edi,%esi", 0x89, 0xfe)
    .op("xor %edx,%edx", 0x31, 0xd2);
  systemCall(to, "tgkill", 234);
  to.op("cmp $0xfffffffd,%eax", 0x83, 0xf8, 0xfd) // -ESRCH
    .to("jne", "looked")
    .op("xor %edi,%edi", 0x31, 0xff)
    .op("xor %esi,%esi", 0x31, 0xf6)
    .op(`mov $0x${LOOK_MS.toString(16)},%edx`, 0xba, ...immediate(LOOK_MS));
  systemCall(to, "poll", 7);
  to.op("mov 0x18(%rbx),%eax", 0x8b, 0x43, Header.offsetOf.alive)
    .op("test %eax,%eax", 0x85, 0xc0)
    .to("jne", "looked")
    .op("decl (%rsp)", 0xff, 0x0c, 0x24)
    .to("jne", "still not")
    .label("looked")
    .op("lea 0x8(%rsp),%rsp", 0x48, 0x8d, 0x64, 0x24, 0x08) // leaves ZF
    .op("ret", 0xc3)
    .label("copy")
    .op("mov %rdx,%rcx", 0x48, 0x89, 0xd1)
    .op("rep movsb %ds:(%rsi),%es:(%rdi)", 0xf3, 0xa4)
    .op("ret", 0xc3)
    .label("say")
    .op("mov %rsi,%rdx", 0x48, 0x89, 0xf2)
    .op("mov %rdi,%rsi", 0x48, 0x89, 0xfe)
    .op("mov $0x2,%edi", 0xbf, 0x02, 0x00, 0x00, 0x00);
  systemCall(to, "write", 1);
  to.op("ret", 0xc3).label("leave");
  systemCall(to, "exit_group", 231);
  to.op("hlt", 0xf4)
    .label("complain") // rbx: the channel, or NULL
    .op("test %rbx,%rbx", 0x48, 0x85, 0xdb)
    .to("je", "unanswered")
    .to("call", "look")
    .to("je", "unanswered")
    .op("ret", 0xc3)
    .label("unanswered")
    .op("mov $0x1,%eax", 0xb8, 0x01, 0x00, 0x00, 0x00)
    .rip("xchg %eax,told(%rip)", "told", 0x87, 0x05)
    .op("test %eax,%eax", 0x85, 0xc0)
    .to("jne", "told already")
    .op("mov $0x2,%edi", 0xbf, 0x02, 0x00, 0x00, 0x00)
    .rip("lea complaint(%rip),%rsi", "complaint", 0x48, 0x8d, 0x35)
    .rip("mov size(%rip),%rdx", "complaint size", 0x48, 0x8b, 0x15);
  systemCall(to, "write", 1);
  to.label("told already").op("xor %eax,%eax", 0x31, 0xc0).op("ret", 0xc3);
}

/** On the stack: a struct msghdr, a struct iovec, its byte, room for a descriptor; how often to try, and what it gives. */
const MESSAGE = {
  size: 0x70,
  vector: 0x38,
  byte: 0x48,
  control: 0x50,
  descriptor: 0x60,
  attempts: 0x68,
  result: 0x6c,
} as const;
/** How often a thread tries, a millisecond apart: the server may be booting. */
const KNOCKS = 1000;
const CONNECTION_REFUSED = 111;

/**
 * `by the door`, where the directory is mounted read-only, as sandboxes do: nobody can open the channel for writing
 * there, but connect to the server's socket, which hands it out. Goes on at `channel is open` with eax as open(2) gives
 * it; ebx is free.
 */
function emitDoor(to: Assembler): void {
  to.label("by the door")
    .op("sub $0x70,%rsp", 0x48, 0x83, 0xec, MESSAGE.size)
    .op("movl $0xffffff91,0x6c(%rsp)", 0xc7, 0x44, 0x24, MESSAGE.result, ...immediate(-CONNECTION_REFUSED))
    .op("movl $0x3e8,0x68(%rsp)", 0xc7, 0x44, 0x24, MESSAGE.attempts, ...immediate(KNOCKS))
    .label("knock")
    .op("mov $0x1,%edi", 0xbf, ...immediate(1)) // AF_UNIX
    .op("mov $0x80001,%esi", 0xbe, ...immediate(0x80001)) // SOCK_STREAM | SOCK_CLOEXEC
    .op("xor %edx,%edx", 0x31, 0xd2);
  systemCall(to, "socket", 41);
  to.op("test %eax,%eax", 0x85, 0xc0)
    .to("js", "no door")
    .op("mov %eax,%ebx", 0x89, 0xc3)
    .op("mov %ebx,%edi", 0x89, 0xdf)
    .rip("lea address(%rip),%rsi", "door address", 0x48, 0x8d, 0x35)
    .op(`mov $0x${ADDRESS_SIZE.toString(16)},%edx`, 0xba, ...immediate(ADDRESS_SIZE));
  systemCall(to, "connect", 42);
  to.op("test %eax,%eax", 0x85, 0xc0).to("je", "at the door").op("mov %ebx,%edi", 0x89, 0xdf);
  systemCall(to, "close", 3);
  to.op("decl 0x68(%rsp)", 0xff, 0x4c, 0x24, MESSAGE.attempts)
    .to("je", "no door")
    .rip("lea pause(%rip),%rdi", "pause", 0x48, 0x8d, 0x3d)
    .op("xor %esi,%esi", 0x31, 0xf6);
  systemCall(to, "nanosleep", 35);
  to.to("jmp", "knock")
    .label("at the door")
    .op("movq $0x0,(%rsp)", 0x48, 0xc7, 0x04, 0x24, ...immediate(0))
    .op("movq $0x0,0x8(%rsp)", 0x48, 0xc7, 0x44, 0x24, 0x08, ...immediate(0))
    .op("lea 0x38(%rsp),%rax", 0x48, 0x8d, 0x44, 0x24, MESSAGE.vector)
    .op("mov %rax,0x10(%rsp)", 0x48, 0x89, 0x44, 0x24, 0x10)
    .op("movq $0x1,0x18(%rsp)", 0x48, 0xc7, 0x44, 0x24, 0x18, ...immediate(1))
    .op("lea 0x50(%rsp),%rax", 0x48, 0x8d, 0x44, 0x24, MESSAGE.control)
    .op("mov %rax,0x20(%rsp)", 0x48, 0x89, 0x44, 0x24, 0x20)
    .op("movq $0x18,0x28(%rsp)", 0x48, 0xc7, 0x44, 0x24, 0x28, ...immediate(0x18))
    .op("lea 0x48(%rsp),%rax", 0x48, 0x8d, 0x44, 0x24, MESSAGE.byte)
    .op("mov %rax,0x38(%rsp)", 0x48, 0x89, 0x44, 0x24, MESSAGE.vector)
    .op("movq $0x1,0x40(%rsp)", 0x48, 0xc7, 0x44, 0x24, MESSAGE.vector + 8, ...immediate(1))
    .label("receive")
    .op("mov %ebx,%edi", 0x89, 0xdf)
    .op("mov %rsp,%rsi", 0x48, 0x89, 0xe6)
    .op("mov $0x40000000,%edx", 0xba, ...immediate(0x4000_0000)); // MSG_CMSG_CLOEXEC
  systemCall(to, "recvmsg", 47);
  to.op("cmp $0xfffffffc,%eax", 0x83, 0xf8, -EINTR & 0xff)
    .to("je", "receive")
    .op("test %eax,%eax", 0x85, 0xc0)
    .to("jle", "close door")
    .op("cmpq $0x14,0x28(%rsp)", 0x48, 0x83, 0x7c, 0x24, 0x28, 0x14)
    .to("jb", "close door")
    .op("mov 0x60(%rsp),%eax", 0x8b, 0x44, 0x24, MESSAGE.descriptor)
    .op("mov %eax,0x6c(%rsp)", 0x89, 0x44, 0x24, MESSAGE.result)
    .label("close door")
    .op("mov %ebx,%edi", 0x89, 0xdf);
  systemCall(to, "close", 3);
  to.label("no door")
    .op("mov 0x6c(%rsp),%eax", 0x8b, 0x44, 0x24, MESSAGE.result)
    .op("add $0x70,%rsp", 0x48, 0x83, 0xc4, MESSAGE.size);
}

/**
 * Where a filter of system calls denies the channel (eax: negative errno), also to its owner, or it is out of sight
 * together with /proc, the process has shut itself in: it does without, and nothing is said.
 */
function emitHush(to: Assembler): void {
  to.op("cmp $0xffffffff,%eax", 0x83, 0xf8, -EPERM & 0xff)
    .to("je", "hush")
    .op("cmp $0xffffffda,%eax", 0x83, 0xf8, -ENOSYS & 0xff)
    .to("je", "hush")
    .op("cmp $0xfffffff3,%eax", 0x83, 0xf8, -EACCES & 0xff)
    .to("jne", "not denied");
  systemCall(to, "geteuid", 107);
  to.rip("cmp owner(%rip),%eax", "owner", 0x3b, 0x05)
    .to("je", "hush")
    .to("jmp", "not shut in")
    .label("not denied")
    .op("cmp $0xfffffffe,%eax", 0x83, 0xf8, -ENOENT & 0xff)
    .to("jne", "not shut in")
    .rip("lea self(%rip),%rdi", "proc self", 0x48, 0x8d, 0x3d)
    .op("xor %esi,%esi", 0x31, 0xf6);
  systemCall(to, "access", 21);
  to.op("test %eax,%eax", 0x85, 0xc0)
    .to("je", "not shut in")
    .label("hush")
    .rip("lea told(%rip),%rdi", "told", 0x48, 0x8d, 0x3d)
    .op("movb $0x1,(%rdi)", 0xc6, 0x07, 0x01)
    .label("not shut in");
}

/**
 * `gate`, which ld.so calls when it relocates the agent (IRELATIVE): the first shim comes into the process. Where a
 * dlopen brings it, that can still fail, as it cannot any more once constructors run: the server looks whether the
 * isolated libraries can be had, and has glibc raise an error if not; where there is no server the gate does. At the start of a program, before libc has been
 * initialized, nothing is asked: ld.so has no business with what is missing then, and linking ends the process.
 */
export function emitGate(to: Assembler): void {
  to.label("gate")
    .rip("mov name(%rip),%rax", "program name", 0x48, 0x8b, 0x05)
    .op("mov (%rax),%rax", 0x48, 0x8b, 0x00)
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .to("je", "passed")
    .op("cmpb $0x0,(%rax)", 0x80, 0x38, 0)
    .to("je", "passed")
    .op("xor %ecx,%ecx", 0x31, 0xc9)
    .rip("mov lazy(%rip),%rax", "lazy", 0x48, 0x8b, 0x05)
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .op("sete %cl", 0x0f, 0x94, 0xc1)
    .rip("lea desk(%rip),%rsi", "desk", 0x48, 0x8d, 0x35)
    .rip("lea copy(%rip),%rdx", "copy", 0x48, 0x8d, 0x15)
    .rip("lea refused(%rip),%r11", "refused", 0x4c, 0x8d, 0x1d)
    .op(`mov $0x${Kind.check.toString(16)},%eax`, 0xb8, ...immediate(Kind.check))
    .to("jmp", "request")
    .label("refused") // nobody answers
    .op("sub $0x8,%rsp", 0x48, 0x83, 0xec, 0x08)
    .to("call", "unanswered")
    .op("add $0x8,%rsp", 0x48, 0x83, 0xc4, 0x08)
    .rip("mov raise(%rip),%rax", "raise", 0x48, 0x8b, 0x05)
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .to("je", "passed")
    .op("xor %edi,%edi", 0x31, 0xff)
    .rip("lea subject(%rip),%rsi", "subject", 0x48, 0x8d, 0x35)
    .op("xor %edx,%edx", 0x31, 0xd2)
    .rip("lea reason(%rip),%rcx", "reason", 0x48, 0x8d, 0x0d)
    .op("jmp *%rax", 0xff, 0xe0)
    .label("passed")
    .op("xor %eax,%eax", 0x31, 0xc0)
    .op("ret", 0xc3);
}

function emitData(to: Assembler, { channel, owner, door, size, nonce, complaint }: ConnectTargets): void {
  to.label("desk")
    .quad(nonce[0])
    .quad(nonce[1])
    .label("debug")
    .quad(0)
    .label("attachment")
    .quad(0)
    .label("dlsym address")
    .quad(0)
    .label("late constructor")
    .quad(0)
    .label("late shim")
    .quad(0)
    .label("audited")
    .quad(0)
    .label("told")
    .quad(0)
    .label("program name")
    .quad(0)
    .label("lazy")
    .quad(0)
    .label("raise")
    .quad(0)
    .label("plt got")
    .quad(0)
    .quad(0)
    .quad(0)
    .label("pause") // a struct timespec
    .quad(0)
    .quad(1_000_000)
    .label("owner")
    .quad(owner)
    .label("channel size")
    .quad(size)
    .label("complaint size")
    .quad(encoder.encode(complaint).length)
    .label("channel path")
    .data(encoder.encode(`${channel}\0`))
    .label("door address")
    .data(Uint8Array.of(AF_UNIX, 0))
    .data(encoder.encode(door), ADDRESS_SIZE - FAMILY_SIZE)
    .label("proc self")
    .data(encoder.encode("/proc/self\0"))
    .label("subject")
    .data(encoder.encode("capsule\0"))
    .label("reason")
    .data(encoder.encode("isolated libraries cannot be linked: nobody answers\0"))
    .label("channel function")
    .data(encoder.encode(`${CHANNEL}\0`))
    .label("complaint")
    .data(encoder.encode(complaint));
}
