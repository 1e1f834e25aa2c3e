// The agent of a process that is not capsule's own: an object that comes with the shims. It maps the channel only while
// it asks, and not in forked children: a process may drop its rights, and must then not have the means by which others
// ask. No descriptor stays open. A thread that opens a library takes a descriptor only while it has the loader's lock,
// since other threads that open libraries may want the last free one.
//
// Code that the server adds to the process asks through the same functions, at their addresses.

import { layout, type Struct, u64, u64bits } from "../../../lib/memory/layout.ts";
import { type Address, PAGE_SIZE } from "../../../lib/memory/numbers.ts";
import { Assembler, type CodeAndData } from "../../../lib/x86-64/assembler.ts";
import { ERRNO } from "../../../lib/x86-64/linux.ts";
import { cl, eax, ebx, ecx, edi, edx, esi, r8d } from "../../../lib/x86-64/narrow-registers.ts";
import { type Memory, mem, rip } from "../../../lib/x86-64/operands.ts";
import { r8, r11, rax, rbx, rcx, rdi, rdx, rsi, rsp } from "../../../lib/x86-64/registers.ts";
import { Header, Kind, OUTSIDE_SLOT_COUNT, Request } from "../protocol.ts";
import { type Connection, emitAgent, ring } from "./ask.ts";

/**
 * How many times, and how many milliseconds apart, to check whether a server is booting where neither the lock nor its
 * PID says so.
 */
const [LOOKS, LOOK_MS] = [500, 10];

/** The data that the server reads first: it shows that the process has loaded this launch's agent. */
export const ControlBlock = layout("controlBlock", {
  nonce0: u64bits,
  nonce1: u64bits,
  /** ld.so's list of loaded objects: the address of _r_debug. */
  debug: u64<Address>(),
  /** The number by which the server knows the process; 0 before it has been linked. */
  attachment: u64(),
  /**
   * glibc's own dlsym, written by the server: 0 before the process has been linked. By name the agent would find the
   * dlsym of a preloaded library.
   */
  dlsym: u64<Address>(),
  /** What `late` calls first, and the shim that it asks for: written by the server. */
  constructor: u64<Address>(),
  shim: u64<Address>(),
  /** Not 0 if the launch's auditor is in the process. */
  audited: u64(),
});
export type ControlBlock = Struct<typeof ControlBlock>;

/** The agent's functions; see emitConnect. */
const AGENT_EXPORTS = ["connect", "disconnect", "look", "complain"] as const;
export type AgentExports = Readonly<Record<(typeof AGENT_EXPORTS)[number], Address>>;
export const agentExports = (addressOf: (name: keyof AgentExports) => Address): AgentExports =>
  Object.fromEntries(AGENT_EXPORTS.map((name) => [name, addressOf(name)])) as AgentExports;

/** A connection by functions of the agent; `of` is how they are called. */
const connectionBy = (of: (name: string) => string | Memory): Omit<Connection, "complain" | "data"> => ({
  slots: OUTSIDE_SLOT_COUNT,
  find(to) {
    to.mov(mem(rsp, Request.offsetOf.kind), edi).call(of("connect")).mov(rax, rbx).test(rax, rax).je("fail");
  },
  look: (to) => to.call(of("look")),
  ring: (to) => ring(to.mov(rbx, rdi)), // the doorbell is the channel's first word
  disconnect: (to) => to.call(of("disconnect")),
});

/** How code that the server puts into a process asks: through the agent's own functions. */
export const lentConnection = (lent: AgentExports): Connection => ({
  ...connectionBy(rip),
  complain: (to) => to.call(rip("complain")),
  data: (to) => to.quads(lent),
});

const ownConnection: Connection = {
  ...connectionBy((name) => name),
  complain: () => {}, // since it goes on in `unanswered`
  data: () => {},
};

export interface ConnectTargets {
  /** The file with the channel; `size` is its size in bytes. */
  readonly channel: string;
  /** The channel's owner: an effective user ID. */
  readonly owner: number;
  /** The server's socket; empty where it has none. */
  readonly door: string;
  readonly size: number;
  readonly nonce: readonly [bigint, bigint];
  /** Written to standard error, once a process, if no server answers. */
  readonly complaint: string;
}

/** Has labels for what shims call and for the quad that ld.so fills with the address of _r_debug. */
export function agentCode(targets: ConnectTargets): CodeAndData {
  const to = new Assembler();
  emitAgent(to, { connection: ownConnection, token: 0, dlopen: NOWHERE, dlmopen: NOWHERE });
  emitConnect(to);
  emitGate(to);
  to.align(PAGE_SIZE);
  const dataAt = to.length;
  emitData(to, targets);
  return { code: to.assemble(), dataAt };
}

/** From <fcntl.h>, <sys/mman.h>, <sys/file.h>, <sys/prctl.h>, <linux/futex.h> and <sys/socket.h>. */
const [O_RDONLY_CLOEXEC, O_RDWR_CLOEXEC] = [0x80000, 0x80002] as const;
const [PROT_READ_WRITE, MAP_SHARED, MADV_DONTFORK] = [3, 1, 10] as const;
const LOCK_SH_NB = 5;
const [PR_SET_PTRACER, FUTEX_OWNER_DIED] = [0x5961_6d61, 0x4000_0000] as const;
const [SOCK_STREAM_CLOEXEC, MSG_CMSG_CLOEXEC, CMSG_LENGTH] = [0x80001, 0x4000_0000, 20] as const;
const STDERR = 2;
/** A system call's result above this is a negative errno. */
const NO_ADDRESS = -4096;
/** Sizes in struct sockaddr_un, in bytes, and the family. */
const [ADDRESS_SIZE, FAMILY_SIZE, AF_UNIX] = [110, 2, 1] as const;
/** The longest path of a socket, in bytes. */
export const LONGEST_ADDRESS = ADDRESS_SIZE - FAMILY_SIZE - 1;
/** An agent function that glibc calls with the loader's lock held when dlsym looks it up: an IFUNC. */
export const CHANNEL = "capsule_channel";

/** How many times a thread looks for a free descriptor, a millisecond apart. */
const MOST_TRIES = 200;

/** The agent never opens anything by itself. */
const NOWHERE = 0 as Address;

/**
 * `attach` (a shim's ELF header), which a shim's initializer calls; `late`, which stands in for a constructor that has
 * to run first, see attached/await-allocator.ts; `connect` (kind of request), which maps the channel by `map channel`
 * and returns it, or NULL; `disconnect`, which unmaps it (rbx: the channel, or NULL); `look`, after which `je` means
 * that no server answers; `channel lock`, which returns -EAGAIN if a server holds it; `copy` (to, from, length), `say` (text, length) and `leave` (exit status), which the server
 * may have called. Needs emitAgent's `request`.
 */
export function emitConnect(to: Assembler): void {
  to.label("attach").lea(rip("controlBlock"), rsi).lea(rip("copy"), rdx).lea(rip("say"), rcx).lea(rip("leave"), r8);
  to.lea(rip("unanswered"), r11).mov(Kind.attach, eax).jmp("request");
  to.label("late"); // (argc, argv, envp)
  to.sub(8, rsp).call(rip("late constructor"));
  to.mov(rip("late shim"), rdi).call("attach").add(8, rsp).ret();
  to.label("connect").push(rbx).cmp(Kind.dlmopen, edi).ja("without the lock");
  to.mov(rip("dlsym address"), rax).test(rax, rax).je("without the lock");
  to.xor(edi, edi); // RTLD_DEFAULT
  to.lea(rip("channel function"), rsi).call(rax).test(rax, rax).jne("connected");
  to.label("without the lock").call("map channel");
  to.label("connected").pop(rbx).ret();
  to.label("map channel").push(rbx).mov(MOST_TRIES, ebx);
  to.label("open channel").systemCall("open", "channel path", O_RDWR_CLOEXEC, 0);
  to.cmp(-ERRNO.EROFS, eax).je("by the door");
  // Other threads, such as those that are asking, may be using all descriptors.
  to.cmp(-ERRNO.EMFILE, eax).jne("channel is open");
  to.dec(ebx).je("no channel");
  to.systemCall("nanosleep", "pause", 0).jmp("open channel");
  emitDoor(to);
  to.label("channel is open").test(eax, eax).js("no channel");
  to.mov(eax, ebx).mov(eax, r8d).systemCall("mmap", 0, rip("channel size"), PROT_READ_WRITE, MAP_SHARED, r8d, 0);
  to.mov(ebx, edi).mov(rax, rbx).systemCall("close", edi).cmp(NO_ADDRESS, rbx).ja("no channel");
  to.systemCall("madvise", rbx, rip("channel size"), MADV_DONTFORK);
  to.mov(PR_SET_PTRACER, edi).mov(mem(rbx, Header.offsetOf.pid), esi).systemCall("prctl", edi, esi, 0, 0, 0);
  to.mov(rbx, rax).pop(rbx).ret();
  to.label("no channel");
  emitHush(to);
  to.pop(rbx).xor(eax, eax).ret();
  to.label("disconnect").test(rbx, rbx).je("disconnected");
  to.systemCall("munmap", rbx, rip("channel size")).xor(ebx, ebx);
  to.label("disconnected").ret();
  to.label("look").mov(mem(rbx, Header.offsetOf.alive), eax).test(eax, eax).je("not yet");
  to.not(eax).test(FUTEX_OWNER_DIED, eax).ret();
  // The server is booting, or has ended before it had booted. Its PID does not tell which in another PID namespace, nor
  // of a process that its parent has not waited for.
  to.label("not yet").cmpl(1, mem(rbx, Header.offsetOf.isLocked)).jne("not locked");
  to.call("channel lock").cmp(-ERRNO.EAGAIN, eax).je("is booting").test(eax, eax).jne("not locked");
  to.mov(mem(rbx, Header.offsetOf.alive), eax).test(eax, eax).jne("look").ret();
  to.label("is booting").test(rsp, rsp).ret();
  to.label("not locked").push(LOOKS);
  to.label("still not").mov(mem(rbx, Header.offsetOf.pid), edi).systemCall("tgkill", edi, edi, 0);
  to.cmp(-ERRNO.ESRCH, eax).jne("looked");
  to.systemCall("poll", 0, 0, LOOK_MS);
  to.mov(mem(rbx, Header.offsetOf.alive), eax).test(eax, eax).jne("looked");
  to.decl(mem(rsp)).jne("still not");
  to.label("looked").lea(mem(rsp, 8), rsp).ret(); // keeps ZF
  to.label("channel lock").systemCall("open", "channel path", O_RDONLY_CLOEXEC, 0).test(eax, eax).js("lock told");
  to.mov(eax, edi).systemCall("flock", edi, LOCK_SH_NB).push(rax).systemCall("close", edi).pop(rax);
  to.label("lock told").ret();
  to.label("copy").mov(rdx, rcx).rep().movsb().ret();
  to.label("say").mov(rsi, rdx).mov(rdi, rsi).mov(STDERR, edi).systemCall("write", edi, rsi, rdx).ret();
  to.label("leave").systemCall("exit_group", edi).hlt();
  to.label("complain"); // rbx: the channel, or NULL
  to.test(rbx, rbx).je("unanswered");
  to.call("look").je("unanswered").ret();
  to.label("unanswered").mov(1, eax).xchg(eax, rip("told")).test(eax, eax).jne("told already");
  to.systemCall("write", STDERR, "complaint", rip("complaint size"));
  to.label("told already").xor(eax, eax).ret();
}

/** On the stack: struct msghdr, struct iovec, its byte, room for a descriptor; the tries left, and the result. */
const MESSAGE = {
  size: 0x70,
  vector: 0x38,
  byte: 0x48,
  control: 0x50,
  controlSize: 0x18,
  descriptor: 0x60,
  attempts: 0x68,
  result: 0x6c,
} as const;
/** How many times a thread tries, a millisecond apart, where it cannot see whether the server is booting. */
const KNOCKS = 1000;

/**
 * `by the door`, for a directory that is mounted read-only, as in sandboxes: the channel cannot be opened for writing
 * there, but a thread can connect to the server's socket, which hands it out. Goes on at `channel is open` with eax as
 * from open(2); ebx is free.
 */
function emitDoor(to: Assembler): void {
  to.label("by the door").sub(MESSAGE.size, rsp).movl(-ERRNO.ECONNREFUSED, mem(rsp, MESSAGE.result));
  to.movl(KNOCKS, mem(rsp, MESSAGE.attempts));
  to.label("knock").systemCall("socket", AF_UNIX, SOCK_STREAM_CLOEXEC, 0).test(eax, eax).js("no door");
  to.mov(eax, ebx).systemCall("connect", ebx, "door address", ADDRESS_SIZE).test(eax, eax).je("at the door");
  to.systemCall("close", ebx);
  to.call("channel lock").cmp(-ERRNO.EAGAIN, eax).je("not yet at the door");
  to.decl(mem(rsp, MESSAGE.attempts)).je("no door").label("not yet at the door");
  to.systemCall("nanosleep", "pause", 0).jmp("knock");
  to.label("at the door").movq(0, mem(rsp)).movq(0, mem(rsp, 8));
  to.lea(mem(rsp, MESSAGE.vector), rax).mov(rax, mem(rsp, 16)).movq(1, mem(rsp, 24));
  to.lea(mem(rsp, MESSAGE.control), rax).mov(rax, mem(rsp, 32)).movq(MESSAGE.controlSize, mem(rsp, 40));
  to.lea(mem(rsp, MESSAGE.byte), rax).mov(rax, mem(rsp, MESSAGE.vector));
  to.movq(1, mem(rsp, MESSAGE.vector + 8));
  to.label("receive").systemCall("recvmsg", ebx, rsp, MSG_CMSG_CLOEXEC).cmp(-ERRNO.EINTR, eax).je("receive");
  to.test(eax, eax).jle("close door");
  to.cmpq(CMSG_LENGTH, mem(rsp, 40)).jb("close door");
  to.mov(mem(rsp, MESSAGE.descriptor), eax).mov(eax, mem(rsp, MESSAGE.result));
  to.label("close door").systemCall("close", ebx);
  to.label("no door").mov(mem(rsp, MESSAGE.result), eax).add(MESSAGE.size, rsp);
}

/**
 * If a system call filter denies the channel (eax: negative errno), also to its owner, or the channel and /proc are
 * both out of sight, the process has sandboxed itself: it does without, and nothing is said.
 */
function emitHush(to: Assembler): void {
  to.cmp(-ERRNO.EPERM, eax).je("hush");
  to.cmp(-ERRNO.ENOSYS, eax).je("hush");
  to.cmp(-ERRNO.EACCES, eax).jne("not denied");
  to.systemCall("geteuid").cmp(rip("owner"), eax).je("hush").jmp("not shut in");
  to.label("not denied").cmp(-ERRNO.ENOENT, eax).jne("not shut in");
  to.systemCall("access", "proc self", 0).test(eax, eax).je("not shut in");
  to.label("hush").lea(rip("told"), rdi).movb(1, mem(rdi));
  to.label("not shut in");
}

/**
 * `gate`, which ld.so calls when it relocates the agent (IRELATIVE), as the first shim enters the process. If a dlopen
 * brings it, that can still fail here, but not once constructors run: the server checks whether the isolated libraries
 * are available and, if not, has glibc raise an error; without a server the gate raises it. At program start, before
 * libc is initialized, nothing is asked: a missing library is then not ld.so's business, and linking ends the process.
 */
export function emitGate(to: Assembler): void {
  to.label("gate").mov(rip("program name"), rax).mov(mem(rax), rax).test(rax, rax).je("passed");
  to.cmpb(0, mem(rax)).je("passed");
  to.xor(ecx, ecx).mov(rip("lazy"), rax).test(rax, rax).sete(cl);
  to.lea(rip("controlBlock"), rsi).lea(rip("copy"), rdx).lea(rip("refused"), r11).mov(Kind.check, eax).jmp("request");
  to.label("refused"); // no server answers
  to.sub(8, rsp).call("unanswered").add(8, rsp);
  to.mov(rip("raise"), rax).test(rax, rax).je("passed");
  to.xor(edi, edi).lea(rip("subject"), rsi).xor(edx, edx).lea(rip("reason"), rcx).jmp(rax);
  to.label("passed").xor(eax, eax).ret();
}

function emitData(to: Assembler, { channel, owner, door, size, nonce, complaint }: ConnectTargets): void {
  const complaintBytes = Buffer.from(complaint);
  to.label("controlBlock").quad(nonce[0]).quad(nonce[1]);
  to.quads({ debug: 0, attachment: 0, "dlsym address": 0, "late constructor": 0, "late shim": 0, audited: 0 });
  to.quads({ told: 0, "program name": 0, lazy: 0, raise: 0, "plt got": 0 }).quad(0).quad(0);
  to.label("pause").quad(0).quad(1_000_000); // a struct timespec
  to.quads({ owner, "channel size": size, "complaint size": complaintBytes.length });
  to.texts({ "channel path": channel }).label("door address").data(Uint8Array.of(AF_UNIX, 0));
  to.data(Buffer.from(door), ADDRESS_SIZE - FAMILY_SIZE);
  to.texts({
    "proc self": "/proc/self",
    subject: "capsule",
    reason: "isolated libraries cannot be linked: nobody answers",
    "channel function": CHANNEL,
  });
  to.label("complaint").data(complaintBytes);
}
