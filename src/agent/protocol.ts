// What the agent and its server say to each other over one connection, which is
// one request. All words are 64 bits, little-endian:
//
//   agent → server   the request: kind, six arguments, return address, pid, tid, token
//   server → agent   an order: what, target, six arguments
//   agent → server   for CALL its result (one word), for FETCH the bytes
//   … until RETURN or JUMP

import { layout, u64, u64bits } from "../../lib/memory/layout.ts";
import type { Address } from "../../lib/memory/numbers.ts";

/** Which function was called. */
export const Kind = { dlopen: 1, dlmopen: 2 } as const;

/** What the agent shall do next, on the thread that asks. */
export const What = {
  /** Return the first argument to the caller. */
  return: 0,
  /** Call `target` with the arguments and send back its result. */
  call: 1,
  /** Go on in `target` as if the caller had called it with these arguments. */
  jump: 2,
  /** Receive as many bytes as the second argument says, to the address in the first. */
  store: 3,
  /** Send as many bytes as the second argument says, from the address in the first. */
  fetch: 4,
} as const;

export const Request = layout("request", {
  kind: u64(),
  a0: u64bits,
  a1: u64bits,
  a2: u64bits,
  a3: u64bits,
  a4: u64bits,
  a5: u64bits,
  returnAddress: u64<Address>(),
  pid: u64(),
  tid: u64(),
  /** Which capsule's agent this is; 0 is the program's. */
  token: u64(),
});

export const Order = layout("order", {
  what: u64(),
  target: u64<Address>(),
  a0: u64bits,
  a1: u64bits,
  a2: u64bits,
  a3: u64bits,
  a4: u64bits,
  a5: u64bits,
});
