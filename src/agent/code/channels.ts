// How a thread asks in the process that capsule runs in: the channel is mapped, and the answering thread belongs to
// this process, or to its parent.

import type { Address } from "../../../lib/memory/numbers.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { ERRNO } from "../../../lib/x86-64/linux.ts";
import { eax, edi, esi } from "../../../lib/x86-64/narrow-registers.ts";
import { mem, rip } from "../../../lib/x86-64/operands.ts";
import { rbx, rdi, rdx } from "../../../lib/x86-64/registers.ts";
import { Header, SLOT_COUNT } from "../protocol.ts";
import { BELL, type Connection, ring } from "./ask.ts";

/** Where the process asks, and where its children ask. */
export interface Channels {
  readonly own: Address;
  readonly children: Address;
  /** The channel with the doorbell for the process's own threads. */
  readonly doorbell: Address;
  readonly pid: number;
}

export const mappedConnection = (channels: Channels): Connection => ({
  slots: SLOT_COUNT,

  find(to: Assembler): void {
    to.systemCall("getpid").mov(rip("channel"), rbx).mov(rip("doorbell"), rdx);
    to.cmp(rip("process"), eax).je("channel known");
    to.mov(rip("children"), rbx).mov(rbx, rdx);
    to.label("channel known").mov(rdx, BELL);
  },

  /** ESRCH: the thread is gone, or out of sight: in another PID namespace its number means nothing. */
  look(to: Assembler): Assembler {
    to.mov(mem(rbx, Header.offsetOf.pid), edi).mov(mem(rbx, Header.offsetOf.tid), esi);
    return to.systemCall("tgkill", edi, esi, 0).cmp(-ERRNO.ESRCH, eax);
  },

  ring(to: Assembler): void {
    ring(to.mov(BELL, rdi));
  },

  complain(): void {},

  /** The channel stays mapped. */
  disconnect(): void {},

  data(to: Assembler): void {
    const { own, doorbell, children, pid } = channels;
    to.quads({ channel: own, doorbell, children, process: pid });
  },
});
