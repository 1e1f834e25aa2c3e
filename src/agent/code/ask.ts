// The agent: how a thread of the program asks, and executes commands. Everything is in the slot of the channel that it
// claims; see protocol.ts.
//
// The files beside it have the other machine code of both modes, one purpose a file. What a process asks through is
// position-independent, has no writable data, makes system calls itself (errno stays the program's) and runs only when
// something is asked:
//
//   ask          this file: what dlopen and dlmopen are bound to
//   paths        functions that take a path: the program's own file, the host tree's files
//   objects      functions that report loaded objects
//   signals      functions that report handlers; reports a death by signal; blocks signals in Bun's threads
//   leave        the main thread's end
//   stack-size   small stacks
//   getenv       the environment as one capsule sees it: the process's own, then a table
//   start        calls the program's main and exit
//   reexec-stub  in libc's place: starts the program over under another glibc's ld.so
//   older-libc   the auditor's: has that done to a process with an older libc of its own
//   exe-shim     makes a process that was started by an ld.so's name find its own file
//   vectors      what the kernel put on the stack, for these two
//   enter        makes a mount namespace, and turns into the program
//   cleanup      runs the program's destructors and removes the private directory
//
// System V calling convention; system calls clobber rcx and r11.

import type { Address } from "../../../lib/memory/numbers.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { ERRNO, FUTEX_WAIT_BITSET, FUTEX_WAKE } from "../../../lib/x86-64/linux.ts";
import { eax, ecx, esi, r13d, r14d } from "../../../lib/x86-64/narrow-registers.ts";
import { address, mem, type Pointer, rip } from "../../../lib/x86-64/operands.ts";
import { r8, r9, r11, r12, r13, r14, rax, rbp, rbx, rcx, rdi, rdx, rsi, rsp } from "../../../lib/x86-64/registers.ts";
import {
  CommandLayout,
  Header,
  Kind,
  PENDING,
  Request,
  SLOT_SIZE,
  SLOTS,
  SlotLayout,
  State,
  What,
} from "../protocol.ts";

/**
 * A thread waits for as long as the server is alive. When the server has answered nobody for this many seconds, it says
 * so: an answer takes microseconds, or a second or two for a large driver on a cold disk, but the server may be stopped.
 */
const PATIENCE_S = 10;
/** The same in looks for a free slot, a hundredth of a second apart. */
const PATIENT_TRIES = 100 * PATIENCE_S;
const WAITING = Buffer.from(
  `capsule: the server of isolated libraries is alive, but has answered nobody for ${PATIENCE_S} s: it is busy, or stopped; waiting for it\n`,
);

/** How many times a thread looks for its command before it sleeps. */
const SPINS = 4000;

/**
 * On the stack: the first words of a Request, a deadline (a struct timespec), the patience left, the doorbell, how many
 * answers the server had given when this thread last looked.
 */
const Stack = { time: 64, nanoseconds: 72, seconds: 80, doorbell: 88, answers: 96, size: 112 } as const;
/** Holds the address of the channel's doorbell, for `ring`. */
export const BELL = mem(rsp, Stack.doorbell);
const TIME = mem(rsp, Stack.time);
const ANSWERS = mem(rsp, Stack.answers);
/** The function that was called; its arguments are between the kind and this. */
const TARGET = mem(rsp, Request.offsetOf.target);

const ARGUMENTS = [rdi, rsi, rdx, rcx, r8, r9];
const [RTLD_LAZY, CLOCK_MONOTONIC, ANY_BIT, STDERR] = [1, 1, -1, 2] as const;

/** How a thread finds the channel, and whether there is a server. Each method emits code. */
export interface Connection {
  /** How many slots the channel has. */
  readonly slots: number;
  /**
   * Loads the channel's address into rbx, or jumps to `fail`. (%rsp) is the kind of request. Must keep r12 to r14 and
   * the stack.
   */
  find(to: Assembler): void;
  /** Afterwards `je` means that no server answers. */
  look(to: Assembler): Assembler;
  /** Wakes the server to look at a slot of this channel. The server must see everything written before. */
  ring(to: Assembler): void;
  /** The channel (rbx, may be NULL) is not needed any more. May change any caller-saved register. */
  disconnect(to: Assembler): void;
  /** Tells the user, once, if no server answers. May change any caller-saved register. */
  complain(to: Assembler): void;
  /** The data that these need. */
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

/** Asks with `kind` as in Request. If unanswered, jumps to the function whose address is at the label `real`. */
export function ask(to: Assembler, kind: number, real: string): void {
  to.mov(rip(real), r11);
  askForTarget(to, kind);
}

/** As `ask`, for a function whose address is in r11. */
export function askForTarget(to: Assembler, kind: number): void {
  to.mov(kind, eax).jmp("request");
}

/**
 * `dlopen`, `dlmopen`, and `request` for other functions. An unanswered dlopen fails as for a missing file, and
 * dlerror() says why.
 */
export function emitAgent(to: Assembler, { connection, token, dlopen, dlmopen }: AgentTargets): void {
  to.label("dlopen"); // (file, mode)
  to.test(rdi, rdi).je("real dlopen"); // dlopen(NULL): nothing to look for
  ask(to, Kind.dlopen, "dlopen address");
  to.label("dlmopen"); // (namespace, file, mode)
  to.test(rsi, rsi).je("real dlmopen");
  ask(to, Kind.dlmopen, "dlmopen address");
  to.label("real dlopen").jmp(rip("dlopen address"));
  to.label("real dlmopen").jmp(rip("dlmopen address"));

  // rbx: the channel; r12: the slot; r13: a command, or the state that the server finds; r14: how many commands
  to.label("request").push(rbp).mov(rsp, rbp).push(rbx, r12, r13, r14);
  to.sub(Stack.size, rsp).and(-16, rsp).mov(rax, mem(rsp, Request.offsetOf.kind));
  for (const [i, register] of ARGUMENTS.entries()) to.mov(register, mem(rsp, Request.offsetOf.a0 + 8 * i));
  to.mov(r11, TARGET).movl(PATIENCE_S, mem(rsp, Stack.seconds)).mov(PATIENT_TRIES, r14d);
  connection.find(to);
  to.mov(mem(rbx, Header.offsetOf.answers), eax).mov(eax, ANSWERS);
  claim(to, connection);
  publish(to, connection);
  execute(to, connection);

  // No server answers: have glibc fail to open a file whose name says so, for dlerror() on this thread.
  to.label("fail").cmpb(Kind.file, mem(rsp)).jae("go on");
  connection.complain(to);
  connection.disconnect(to);
  to.lea(rip("failure"), rdi).mov(RTLD_LAZY, esi).mov(rip("dlopen address"), r11).jmp("leave for r11");
  to.label("go on");
  connection.disconnect(to);
  loadArguments(to, rsp, Request.offsetOf.a0).mov(TARGET, r11);
  to.label("leave for r11").xor(eax, eax); // a variadic callee finds no vector registers in use
  leave(to).jmp(r11);
  emitSayWaiting(to);

  to.align(8).quads({ "dlopen address": dlopen, "dlmopen address": dlmopen, token });
  connection.data(to);
  to.label("failure").text("/capsule does not answer");
  to.label("waiting").data(WAITING);
}

/** Finds a free slot and writes the request into it. */
function claim(to: Assembler, { look, slots }: Connection): void {
  to.label("claim").cmpl(1, mem(rbx, Header.offsetOf.isServed)).jne("fail");
  look(to).je("fail");
  // The PID tells whose slot it is if the thread is killed meanwhile.
  to.systemCall("getpid").lea(mem(undefined, State.claimed, rax, 8), ecx);
  to.lea(mem(rbx, SLOTS), r12).mov(slots, r13d);
  to.label("claim next").xor(eax, eax).lock().cmpxchg(ecx, mem(r12)).je("claimed"); // State.free
  to.add(SLOT_SIZE, r12).dec(r13d).jne("claim next");
  unlessAnswering(to, "claim in vain", (on) => on.mov(PATIENT_TRIES, r14d).jmp("claim later"));
  to.dec(r14d).jne("claim later").call("say waiting").label("claim later");
  to.movq(0, TIME).movq(10_000_000, mem(rsp, Stack.nanoseconds)).systemCall("nanosleep", address(TIME), 0).jmp("claim");
  // The request, the return address, and so on: see Request.
  to.label("claimed").lea(mem(r12, SlotLayout.request), rdi).mov(rsp, rsi).mov(8, ecx).rep().movsq();
  to.mov(mem(rbp, 8), rax).stosq();
  to.systemCall("getpid").stosq().systemCall("gettid").stosq();
  to.mov(rip("token"), rax).stosq().mov(rbx, rax).stosq().mov(State.asked, r13d);
}

/** Shows the slot to the server and waits until it is this thread's again. */
function publish(to: Assembler, { look, ring }: Connection): void {
  to.label("publish").mov(r13d, mem(r12));
  markPending(to);
  ring(to);
  // Most answers come within some 40 us, less than it takes to fall asleep and be woken.
  to.mov(SPINS, ecx);
  to.label("spin").pause().cmp(r13d, mem(r12)).jne("answered");
  to.dec(ecx).jne("spin");
  // An absolute deadline: a program with a timer may interrupt every relative wait before it ends.
  to.label("wait a second").systemCall("clock_gettime", CLOCK_MONOTONIC, address(TIME)).addq(1, TIME);
  to.label("wait").cmp(r13d, mem(r12)).jne("answered");
  to.systemCall("futex", r12, FUTEX_WAIT_BITSET, r13d, address(TIME), r8, ANY_BIT);
  to.cmp(-ERRNO.ETIMEDOUT, eax).jne("wait");
  look(to).je("give up");
  to.cmpl(1, mem(rbx, Header.offsetOf.isServed)).jne("give up");
  unlessAnswering(to, "wait in vain", (on) => on.movl(PATIENCE_S, mem(rsp, Stack.seconds)).jmp("wait a second"));
  to.decl(mem(rsp, Stack.seconds)).jne("wait a second").call("say waiting").jmp("wait a second");
  to.label("give up").mov(r13d, eax).mov(State.left, ecx);
  to.lock().cmpxchg(ecx, mem(r12)).jne("wait"); // it was answered after all
  markPending(to).jmp("fail");
}

/** Goes on at the label `otherwise`, which it sets, unless the server has answered somebody since the last look. */
function unlessAnswering(to: Assembler, otherwise: string, answering: (to: Assembler) => void): void {
  to.mov(mem(rbx, Header.offsetOf.answers), eax).cmp(eax, ANSWERS).je(otherwise).mov(eax, ANSWERS);
  answering(to);
  to.label(otherwise);
}

/** Has the server look at the slot. */
function markPending(to: Assembler): Assembler {
  to.mov(r12, rax).sub(rbx, rax).shr(Math.log2(SLOT_SIZE), rax); // SLOTS is less than SLOT_SIZE
  return to.movb(1, mem(rbx, PENDING, rax));
}

/** `say waiting`, which tells the user: one client of the channel (rbx) is enough. */
function emitSayWaiting(to: Assembler): void {
  to.label("say waiting").mov(1, eax).xchg(eax, mem(rbx, Header.offsetOf.isSlow)).test(eax, eax).jne("said");
  to.systemCall("write", STDERR, "waiting", WAITING.length);
  to.label("said").ret();
}

/** Executes the commands in the slot. */
function execute(to: Assembler, { disconnect }: Connection): void {
  const { target, a0 } = CommandLayout.offsetOf;
  // Otherwise the slot was taken away: this thread was thought to be dead.
  to.label("answered").cmpl(State.commanded, mem(r12)).jne("fail");
  to.mov(mem(r12, SlotLayout.count), r14d).lea(mem(r12, SlotLayout.commands), r13);
  to.label("execute").mov(mem(r13), eax);
  for (const what of ["call", "jump", "fail"] as const) to.cmp(What[what], eax).je(`execute ${what}`);
  to.mov(mem(r13, a0), r14);
  release(to);
  disconnect(to);
  leave(to.mov(r14, rax)).ret();

  loadArguments(to.label("execute call"), r13, a0).xor(eax, eax).call(mem(r13, target));
  to.mov(rax, mem(r13, a0)).add(CommandLayout.size, r13).dec(r14d).jne("execute");
  to.mov(State.executed, r13d).jmp("publish");

  // These replace the caller's arguments.
  to.label("execute jump").lea(mem(r13, a0), rsi).lea(mem(rsp, Request.offsetOf.a0), rdi);
  to.mov(ARGUMENTS.length, ecx).rep().movsq();
  to.mov(mem(r13, target), rax).mov(rax, TARGET);
  release(to).jmp("go on");
  release(to.label("execute fail"));
}

function release(to: Assembler): Assembler {
  return to.movl(State.free, mem(r12));
}

/** Loads them from `at` bytes after `from`. */
function loadArguments(to: Assembler, from: Pointer, at: number): Assembler {
  for (const [i, register] of ARGUMENTS.entries()) to.mov(mem(from, at + 8 * i), register);
  return to;
}

/** Increments the doorbell at rdi, and wakes the server that sleeps on it. */
export function ring(to: Assembler): void {
  to.lock().incl(mem(rdi)).systemCall("futex", rdi, FUTEX_WAKE, 1);
}

function leave(to: Assembler): Assembler {
  return to.lea(mem(rbp, -32), rsp).pop(r14, r13, r12, rbx, rbp);
}
