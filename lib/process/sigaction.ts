// glibc's struct sigaction on x86-64: sa_handler, sa_mask (128 bytes), sa_flags, sa_restorer.

import type { Address } from "../memory/numbers.ts";

const SIZE = 152;
const FLAGS = 136;
const [SA_SIGINFO, SA_ONSTACK, SA_RESTART] = [4, 0x0800_0000, 0x1000_0000];

/**
 * A struct with a sa_sigaction handler, run on the alternate stack if there is one; without a handler, an empty struct.
 */
export function newAction(handler?: Address): Uint8Array {
  const bytes = new Uint8Array(SIZE);
  if (handler === undefined) return bytes;
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(handler), true);
  view.setUint32(FLAGS, SA_SIGINFO | SA_ONSTACK | SA_RESTART, true);
  return bytes;
}
