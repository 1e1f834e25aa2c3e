// The agent: how a thread of the program asks, and obeys. Everything is in the slot
// of the channel that it claims; see protocol.ts.

import type { Address } from "../../../lib/memory/numbers.ts";
import { type Assembler, immediate } from "../../../lib/x86-64/assembler.ts";
import { Header, Kind, Order, PENDING, SLOT_SIZE, SLOTS, Slot, State, What } from "../protocol.ts";
import { systemCall } from "./system-call.ts";

/**
 * How long a thread waits for an order, in seconds. A server that is alive takes microseconds, and for a large driver
 * on a cold disk a second or two.
 */
const PATIENCE = 30;
/** How often a thread looks for a free slot, a hundredth of a second apart. */
const ATTEMPTS = 100 * PATIENCE;

/** How often a thread looks for its order before it sleeps. */
const SPINS = 4000;

const encoder = new TextEncoder();

/** How a thread finds the channel, and whether there is a server. Each emits code. */
export interface Connection {
  /** How many slots the channel has. */
  readonly slots: number;
  /**
   * Loads the channel's address into rbx, or goes to `fail`. (%rsp) is the kind of request. r12 to r14 and what is on
   * the stack have to stay.
   */
  find(to: Assembler): void;
  /** Afterwards `je` means that nobody answers. */
  look(to: Assembler): void;
  /** Wakes the server, which has a slot of this channel to look at. Everything before is to be seen by it. */
  ring(to: Assembler): void;
  /** The channel, in rbx unless that is NULL, is not needed any more. Changes any register that a call may. */
  disconnect(to: Assembler): void;
  /** Tells the user, once, if nobody answers. Changes any register that a call may. */
  complain(to: Assembler): void;
  /** The words that these need. */
  data(to: Assembler): void;
}

export interface AgentTargets {
  readonly connection: Connection;
  /** Which capsule asks; see Request. */
  readonly token: number;
  /** glibc's own. */
  readonly dlopen: Address;
  readonly dlmopen: Address;
}

/** Asks with `kind` as in Request. Unanswered, it goes on in the function whose address is at the label `real`. */
export function ask(to: Assembler, kind: number, real: string): void {
  to.rip(`mov ${real.includes("real") ? "real" : "address"}(%rip),%r11`, real, 0x4c, 0x8b, 0x1d);
  askForTarget(to, kind);
}

/** As `ask`, for a function whose address is in r11. */
export function askForTarget(to: Assembler, kind: number): void {
  to.op(`mov $0x${kind.toString(16)},%eax`, 0xb8, ...immediate(kind)).to("jmp", "request");
}

/**
 * `dlopen`, `dlmopen`, and `request` for other functions. A dlopen that is not answered fails as a missing file does,
 * with dlerror() saying why.
 */
export function emitAgent(to: Assembler, { connection, token, dlopen, dlmopen }: AgentTargets): void {
  to.label("dlopen") // (file, mode)
    .op("test %rdi,%rdi", 0x48, 0x85, 0xff)
    .to("je", "real dlopen"); // dlopen(NULL): nothing to look for
  ask(to, Kind.dlopen, "dlopen address");
  to.label("dlmopen") // (namespace, file, mode)
    .op("test %rsi,%rsi", 0x48, 0x85, 0xf6)
    .to("je", "real dlmopen");
  ask(to, Kind.dlmopen, "dlmopen address");
  to.label("real dlopen")
    .rip("jmp *dlopen(%rip)", "dlopen address", 0xff, 0x25)
    .label("real dlmopen")
    .rip("jmp *dlmopen(%rip)", "dlmopen address", 0xff, 0x25);

  // rbx: the channel; r12: the slot; r13: an order, or the state that the server finds; r14: how many orders
  // (%rsp): kind, six arguments, target; a struct timespec; how many seconds are left; the bell
  to.label("request")
    .op("push %rbp", 0x55)
    .op("mov %rsp,%rbp", 0x48, 0x89, 0xe5)
    .op("push %rbx", 0x53)
    .op("push %r12", 0x41, 0x54)
    .op("push %r13", 0x41, 0x55)
    .op("push %r14", 0x41, 0x56)
    .op("sub $0x60,%rsp", 0x48, 0x83, 0xec, 0x60)
    .op("and $0xfffffffffffffff0,%rsp", 0x48, 0x83, 0xe4, 0xf0)
    .op("mov %rax,(%rsp)", 0x48, 0x89, 0x04, 0x24)
    .op("mov %rdi,0x8(%rsp)", 0x48, 0x89, 0x7c, 0x24, 0x08)
    .op("mov %rsi,0x10(%rsp)", 0x48, 0x89, 0x74, 0x24, 0x10)
    .op("mov %rdx,0x18(%rsp)", 0x48, 0x89, 0x54, 0x24, 0x18)
    .op("mov %rcx,0x20(%rsp)", 0x48, 0x89, 0x4c, 0x24, 0x20)
    .op("mov %r8,0x28(%rsp)", 0x4c, 0x89, 0x44, 0x24, 0x28)
    .op("mov %r9,0x30(%rsp)", 0x4c, 0x89, 0x4c, 0x24, 0x30)
    .op("mov %r11,0x38(%rsp)", 0x4c, 0x89, 0x5c, 0x24, 0x38)
    .op(`movl $0x${PATIENCE.toString(16)},0x50(%rsp)`, 0xc7, 0x44, 0x24, 0x50, PATIENCE, 0, 0, 0)
    .op(`mov $0x${ATTEMPTS.toString(16)},%r14d`, 0x41, 0xbe, ...immediate(ATTEMPTS));
  connection.find(to);
  claim(to, connection);
  publish(to, connection);
  obey(to, connection);

  // Nobody answers: have glibc fail to open a file of that name, so that dlerror() says so on this thread.
  to.label("fail")
    .op(`cmpb $0x${Kind.file.toString(16)},(%rsp)`, 0x80, 0x3c, 0x24, Kind.file)
    .to("jae", "go on");
  connection.complain(to);
  connection.disconnect(to);
  to.rip("lea failure(%rip),%rdi", "failure", 0x48, 0x8d, 0x3d)
    .op("mov $0x1,%esi", 0xbe, 1, 0, 0, 0) // RTLD_LAZY
    .rip("mov dlopen(%rip),%r11", "dlopen address", 0x4c, 0x8b, 0x1d)
    .to("jmp", "leave for r11")
    .label("go on");
  connection.disconnect(to);
  to.op("mov 0x8(%rsp),%rdi", 0x48, 0x8b, 0x7c, 0x24, 0x08)
    .op("mov 0x10(%rsp),%rsi", 0x48, 0x8b, 0x74, 0x24, 0x10)
    .op("mov 0x18(%rsp),%rdx", 0x48, 0x8b, 0x54, 0x24, 0x18)
    .op("mov 0x20(%rsp),%rcx", 0x48, 0x8b, 0x4c, 0x24, 0x20)
    .op("mov 0x28(%rsp),%r8", 0x4c, 0x8b, 0x44, 0x24, 0x28)
    .op("mov 0x30(%rsp),%r9", 0x4c, 0x8b, 0x4c, 0x24, 0x30)
    .op("mov 0x38(%rsp),%r11", 0x4c, 0x8b, 0x5c, 0x24, 0x38)
    .label("leave for r11")
    .op("xor %eax,%eax", 0x31, 0xc0); // a variadic callee finds no vector registers in use
  leave(to);
  to.op("jmp *%r11", 0x41, 0xff, 0xe3);

  to.align(8).label("dlopen address").quad(dlopen).label("dlmopen address").quad(dlmopen).label("token").quad(token);
  connection.data(to);
  to.label("failure").data(encoder.encode("/capsule does not answer\0"));
}

/** Finds a free slot and writes the request into it. */
function claim(to: Assembler, { look, slots }: Connection): void {
  to.label("claim").op("cmpl $0x1,0x4(%rbx)", 0x83, 0x7b, Header.offsetOf.isServed, 1).to("jne", "fail");
  look(to);
  to.to("je", "fail");
  // Who is killed in between can be told by that.
  systemCall(to, "getpid", 39);
  to.op("lea 0x1(,%rax,8),%ecx", 0x8d, 0x0c, 0xc5, ...immediate(State.claimed))
    .op("lea 0x1000(%rbx),%r12", 0x4c, 0x8d, 0xa3, ...immediate(SLOTS))
    .op(`mov $0x${slots.toString(16)},%r13d`, 0x41, 0xbd, ...immediate(slots))
    .label("claim next")
    .op("xor %eax,%eax", 0x31, 0xc0) // State.free
    .op("lock cmpxchg %ecx,(%r12)", 0xf0, 0x41, 0x0f, 0xb1, 0x0c, 0x24)
    .to("je", "claimed")
    .op(`add $0x${SLOT_SIZE.toString(16)},%r12`, 0x49, 0x81, 0xc4, ...immediate(SLOT_SIZE))
    .op("dec %r13d", 0x41, 0xff, 0xcd)
    .to("jne", "claim next")
    .op("dec %r14d", 0x41, 0xff, 0xce)
    .to("je", "fail")
    .op("movq $0x0,0x40(%rsp)", 0x48, 0xc7, 0x44, 0x24, 0x40, 0, 0, 0, 0)
    .op("movq $0x989680,0x48(%rsp)", 0x48, 0xc7, 0x44, 0x24, 0x48, ...immediate(10_000_000))
    .op("lea 0x40(%rsp),%rdi", 0x48, 0x8d, 0x7c, 0x24, 0x40)
    .op("xor %esi,%esi", 0x31, 0xf6);
  systemCall(to, "nanosleep", 35);
  to.to("jmp", "claim")
    .label("claimed")
    .op("lea 0x8(%r12),%rdi", 0x49, 0x8d, 0x7c, 0x24, Slot.request)
    .op("mov %rsp,%rsi", 0x48, 0x89, 0xe6)
    .op("mov $0x8,%ecx", 0xb9, ...immediate(8))
    .op("rep movsq %ds:(%rsi),%es:(%rdi)", 0xf3, 0x48, 0xa5)
    .op("mov 0x8(%rbp),%rax", 0x48, 0x8b, 0x45, 0x08)
    .op("stos %rax,%es:(%rdi)", 0x48, 0xab); // the return address
  systemCall(to, "getpid", 39);
  to.op("stos %rax,%es:(%rdi)", 0x48, 0xab);
  systemCall(to, "gettid", 186);
  to.op("stos %rax,%es:(%rdi)", 0x48, 0xab)
    .rip("mov token(%rip),%rax", "token", 0x48, 0x8b, 0x05)
    .op("stos %rax,%es:(%rdi)", 0x48, 0xab)
    .op("mov %rbx,%rax", 0x48, 0x89, 0xd8)
    .op("stos %rax,%es:(%rdi)", 0x48, 0xab)
    .op("mov $0x2,%r13d", 0x41, 0xbd, ...immediate(State.asked));
}

/** Shows the slot to the server and waits until it is this thread's again. */
function publish(to: Assembler, { look, ring }: Connection): void {
  to.label("publish").op("mov %r13d,(%r12)", 0x45, 0x89, 0x2c, 0x24);
  markPending(to);
  ring(to);
  // Most answers come within some 40 us, which is less than it takes to fall asleep and be woken.
  to.op(`mov $0x${SPINS.toString(16)},%ecx`, 0xb9, ...immediate(SPINS))
    .label("spin")
    .op("pause", 0xf3, 0x90)
    .op("cmp %r13d,(%r12)", 0x45, 0x39, 0x2c, 0x24)
    .to("jne", "answered")
    .op("dec %ecx", 0xff, 0xc9)
    .to("jne", "spin");
  // Until a point in time: a program with a timer is interrupted more often than any period would end.
  to.label("wait a second")
    .op("mov $0x1,%edi", 0xbf, 1, 0, 0, 0) // CLOCK_MONOTONIC
    .op("lea 0x40(%rsp),%rsi", 0x48, 0x8d, 0x74, 0x24, 0x40);
  systemCall(to, "clock_gettime", 228);
  to.op("addq $0x1,0x40(%rsp)", 0x48, 0x83, 0x44, 0x24, 0x40, 1)
    .label("wait")
    .op("cmp %r13d,(%r12)", 0x45, 0x39, 0x2c, 0x24)
    .to("jne", "answered")
    .op("mov %r12,%rdi", 0x4c, 0x89, 0xe7)
    .op("mov $0x9,%esi", 0xbe, 9, 0, 0, 0) // FUTEX_WAIT_BITSET
    .op("mov %r13d,%edx", 0x44, 0x89, 0xea)
    .op("lea 0x40(%rsp),%r10", 0x4c, 0x8d, 0x54, 0x24, 0x40)
    .op("mov $0xffffffff,%r9d", 0x41, 0xb9, ...immediate(-1)); // FUTEX_BITSET_MATCH_ANY
  systemCall(to, "futex", 202);
  to.op("cmp $0xffffff92,%eax", 0x83, 0xf8, 0x92) // -ETIMEDOUT
    .to("jne", "wait");
  look(to);
  to.to("je", "give up")
    .op("cmpl $0x1,0x4(%rbx)", 0x83, 0x7b, Header.offsetOf.isServed, 1)
    .to("jne", "give up")
    .op("decl 0x50(%rsp)", 0xff, 0x4c, 0x24, 0x50)
    .to("jne", "wait a second")
    .label("give up")
    .op("mov %r13d,%eax", 0x44, 0x89, 0xe8)
    .op("mov $0x5,%ecx", 0xb9, ...immediate(State.left))
    .op("lock cmpxchg %ecx,(%r12)", 0xf0, 0x41, 0x0f, 0xb1, 0x0c, 0x24)
    .to("jne", "wait"); // it has been answered after all
  markPending(to);
  to.to("jmp", "fail");
}

/** Has the server look at the slot. */
function markPending(to: Assembler): void {
  to.op("mov %r12,%rax", 0x4c, 0x89, 0xe0)
    .op("sub %rbx,%rax", 0x48, 0x29, 0xd8)
    .op("shr $0xd,%rax", 0x48, 0xc1, 0xe8, Math.log2(SLOT_SIZE)) // SLOTS is less than one
    .op("movb $0x1,0x40(%rbx,%rax,1)", 0xc6, 0x44, 0x03, PENDING, 1);
}

/** Carries out the orders in the slot. */
function obey(to: Assembler, { disconnect }: Connection): void {
  to.label("answered")
    .op("cmpl $0x3,(%r12)", 0x41, 0x83, 0x3c, 0x24, State.ordered)
    .to("jne", "fail") // it has been taken away: this thread was thought to be dead
    .op("mov 0x4(%r12),%r14d", 0x45, 0x8b, 0x74, 0x24, Slot.count)
    .op("lea 0x80(%r12),%r13", 0x4d, 0x8d, 0xac, 0x24, ...immediate(Slot.orders))
    .label("obey")
    .op("mov 0x0(%r13),%eax", 0x41, 0x8b, 0x45, 0x00);
  for (const what of ["call", "jump", "fail"] as const)
    to.op(`cmp $0x${What[what]},%eax`, 0x83, 0xf8, What[what]).to("je", `obey ${what}`);
  to.op("mov 0x10(%r13),%r14", 0x4d, 0x8b, 0x75, 0x10);
  release(to);
  disconnect(to);
  to.op("mov %r14,%rax", 0x4c, 0x89, 0xf0);
  leave(to);
  to.op("ret", 0xc3);

  to.label("obey call");
  loadArguments(to);
  to.op("xor %eax,%eax", 0x31, 0xc0)
    .op("call *0x8(%r13)", 0x41, 0xff, 0x55, 0x08)
    .op("mov %rax,0x10(%r13)", 0x49, 0x89, 0x45, 0x10)
    .op(`add $0x${Order.size.toString(16)},%r13`, 0x49, 0x83, 0xc5, Order.size)
    .op("dec %r14d", 0x41, 0xff, 0xce)
    .to("jne", "obey")
    .op("mov $0x4,%r13d", 0x41, 0xbd, ...immediate(State.obeyed))
    .to("jmp", "publish");

  // In place of what the caller has passed.
  to.label("obey jump")
    .op("lea 0x10(%r13),%rsi", 0x49, 0x8d, 0x75, Order.offsetOf.a0)
    .op("lea 0x8(%rsp),%rdi", 0x48, 0x8d, 0x7c, 0x24, 0x08)
    .op("mov $0x6,%ecx", 0xb9, ...immediate(6))
    .op("rep movsq %ds:(%rsi),%es:(%rdi)", 0xf3, 0x48, 0xa5)
    .op("mov 0x8(%r13),%rax", 0x49, 0x8b, 0x45, 0x08)
    .op("mov %rax,0x38(%rsp)", 0x48, 0x89, 0x44, 0x24, 0x38);
  release(to);
  to.to("jmp", "go on");

  to.label("obey fail");
  release(to);
}

function release(to: Assembler): void {
  to.op("movl $0x0,(%r12)", 0x41, 0xc7, 0x04, 0x24, ...immediate(State.free));
}

function loadArguments(to: Assembler): void {
  to.op("mov 0x10(%r13),%rdi", 0x49, 0x8b, 0x7d, 0x10)
    .op("mov 0x18(%r13),%rsi", 0x49, 0x8b, 0x75, 0x18)
    .op("mov 0x20(%r13),%rdx", 0x49, 0x8b, 0x55, 0x20)
    .op("mov 0x28(%r13),%rcx", 0x49, 0x8b, 0x4d, 0x28)
    .op("mov 0x30(%r13),%r8", 0x4d, 0x8b, 0x45, 0x30)
    .op("mov 0x38(%r13),%r9", 0x4d, 0x8b, 0x4d, 0x38);
}

function leave(to: Assembler): void {
  to.op("lea -0x20(%rbp),%rsp", 0x48, 0x8d, 0x65, 0xe0)
    .op("pop %r14", 0x41, 0x5e)
    .op("pop %r13", 0x41, 0x5d)
    .op("pop %r12", 0x41, 0x5c)
    .op("pop %rbx", 0x5b)
    .op("pop %rbp", 0x5d);
}
