// What the agents and the server share: pages, not a descriptor, which a program may close. Waiting is on futexes.
// There are two such channels. The process's own threads ask in private pages, since whoever can write there can have
// code run. Forked children, which may have fewer rights, ask in others, which are mapped MAP_SHARED. Each has a
// doorbell if the kernel lets a thread sleep on two (Linux 5.16); otherwise there is one, in the latter, and a hostile
// child may have us oversleep.
//
//   Header   doorbell      counts what the server has to look at; the server sleeps on it
//            …
//            pending   a byte a slot, set when the server has to look at it
//   slots    one request each: a page with the request and the server's commands,
//            and a page for the strings and results that those point at
//   arena    strings that stay
//
// A slot goes from state to state:
//
//   free → claimed → asked → commanded → executed → commanded → … → free
//                      └── left, when the client has given up → free
//
// The client writes in "claimed" and "commanded", the server in "asked" and "executed".

import { bytes, layout, u32, u64, u64bits } from "../../lib/memory/layout.ts";
import { type Address, PAGE_SIZE } from "../../lib/memory/numbers.ts";

/** Which function was called, in the lowest byte. If it takes a path, the next byte says which argument that is. */
export const Kind = {
  dlopen: 1,
  dlmopen: 2,
  /** A file is opened or looked at: it may be the host tree's. */
  file: 3,
  /** As `file`, but a symbolic link itself is looked at. */
  link: 9,
  /** Another program is about to be run. */
  run: 4,
  /** As `run`; the argument is a command for the shell. */
  shell: 5,
  /** The thread dies of a signal: its number, the address of the instruction, the address that was accessed. */
  death: 6,
  /** The main thread has ended: returns 1 if the asking thread is the last of the program's, else 0. */
  leave: 8,
  /** The main thread reports its state: address and length of a ServerState as JSON. */
  state: 7,
  /**
   * A process has loaded shims, and wants to be linked: one of the shims, the agent's control block, and functions of
   * the agent; see emitConnect.
   */
  attach: 10,
  /**
   * Shims are about to be loaded into a running process: can they be linked? The agent's control block, its function
   * `copy`, and whether functions are bound at once. See emitGate.
   */
  check: 11,
} as const;

/** What the asking thread does next. */
export const What = {
  /** Return the first argument to the caller. */
  return: 0,
  /** Call `target` with the arguments; the result takes the place of the first one. */
  call: 1,
  /** Go on in `target` as if the caller had called it with these arguments. */
  jump: 2,
  /** Act as if there were no server. */
  fail: 3,
} as const;

/** In the lowest three bits; for "claimed", the others have the claimer's PID. */
export const State = { free: 0, claimed: 1, asked: 2, commanded: 3, executed: 4, left: 5 } as const;

export const Header = layout("channel", {
  doorbell: u32,
  /** 1 as long as a server answers. */
  isServed: u32,
  /** The thread that answers. */
  pid: u32,
  tid: u32,
  /** 1 once a client has said that it has been waiting for long. */
  isSlow: u32,
  /** 1 if the server holds the lock of the channel's file from its start to its end, whatever ends it: flock(2). */
  isLocked: u32,
  /**
   * A server in a process of its own holds this robust mutex (pthread_mutex_t): the kernel marks it when the server
   * dies. 0 until the server has booted.
   */
  alive: bytes(40),
  /** How many times the server has given a client commands. */
  answers: u32,
});

const ARGUMENTS = { a0: u64bits, a1: u64bits, a2: u64bits, a3: u64bits, a4: u64bits, a5: u64bits };

export const Request = layout("request", {
  kind: u64(),
  ...ARGUMENTS,
  /** The function that was called. */
  target: u64<Address>(),
  returnAddress: u64<Address>(),
  pid: u64(),
  tid: u64(),
  /** Which capsule's agent this is; 0 is the program's. */
  token: u64(),
  /** The channel's address in the client. */
  channel: u64<Address>(),
});

export const CommandLayout = layout("command", {
  what: u64(),
  target: u64<Address>(),
  ...ARGUMENTS,
});

/** A thread keeps its slot while it executes commands, and these may be to wait for another thread. */
export const SLOT_COUNT = 512;
/** For other processes, which map the pages themselves and have no arena. */
export const OUTSIDE_SLOT_COUNT = 128;
/** The offset of the pending bytes in the channel. */
export const PENDING = 128;
/** Offsets and sizes in the channel and in a slot, in bytes. */
export const SLOTS = PAGE_SIZE;
export const SLOT_SIZE = 2 * PAGE_SIZE;
export const SlotLayout = { state: 0, count: 4, request: 8, commands: 128, scratch: PAGE_SIZE } as const;
export const COMMAND_LIMIT = Math.floor((SlotLayout.scratch - SlotLayout.commands) / CommandLayout.size);
export const SCRATCH_SIZE = SLOT_SIZE - SlotLayout.scratch;
export const ARENA = SLOTS + SLOT_COUNT * SLOT_SIZE;
/** For strings; pages that are never written to cost nothing. */
export const ARENA_SIZE = 1 << 20;
export const CHANNEL_SIZE = ARENA + ARENA_SIZE;
export const OUTSIDE_CHANNEL_SIZE = SLOTS + OUTSIDE_SLOT_COUNT * SLOT_SIZE;
