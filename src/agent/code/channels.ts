// How a thread asks in the process that capsule runs in: the channel is mapped, and
// the thread that answers is another one of the process, or of its parent.

import type { Address } from "../../../lib/memory/numbers.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { Header, SLOT_COUNT } from "../protocol.ts";
import type { Connection } from "./ask.ts";
import { systemCall } from "./system-call.ts";

/** Where a process asks, and where its children do. */
export interface Channels {
  readonly own: Address;
  readonly children: Address;
  /** The one that has the bell for the process's own threads. */
  readonly bell: Address;
  /** The process. */
  readonly pid: number;
}

export const mappedConnection = (channels: Channels): Connection => ({
  slots: SLOT_COUNT,

  find(to: Assembler): void {
    systemCall(to, "getpid", 39);
    to.rip("mov channel(%rip),%rbx", "channel", 0x48, 0x8b, 0x1d)
      .rip("mov bell(%rip),%rdx", "bell", 0x48, 0x8b, 0x15)
      .rip("cmp process(%rip),%eax", "process", 0x3b, 0x05)
      .to("je", "channel known")
      .rip("mov children(%rip),%rbx", "children", 0x48, 0x8b, 0x1d)
      .op("mov %rbx,%rdx", 0x48, 0x89, 0xda)
      .label("channel known")
      .op("mov %rdx,0x58(%rsp)", 0x48, 0x89, 0x54, 0x24, 0x58);
  },

  /** The thread is gone, or out of sight: in another PID namespace numbers mean nothing. */
  look(to: Assembler): void {
    to.op("mov 0x8(%rbx),%edi", 0x8b, 0x7b, Header.offsetOf.pid)
      .op("mov 0xc(%rbx),%esi", 0x8b, 0x73, Header.offsetOf.tid)
      .op("xor %edx,%edx", 0x31, 0xd2);
    systemCall(to, "tgkill", 234);
    to.op("cmp $0xfffffffd,%eax", 0x83, 0xf8, 0xfd); // -ESRCH
  },

  ring(to: Assembler): void {
    to.op("mov 0x58(%rsp),%rdi", 0x48, 0x8b, 0x7c, 0x24, 0x58)
      .op("lock incl (%rdi)", 0xf0, 0xff, 0x07)
      .op("mov $0x1,%esi", 0xbe, 1, 0, 0, 0) // FUTEX_WAKE
      .op("mov $0x1,%edx", 0xba, 1, 0, 0, 0);
    systemCall(to, "futex", 202);
  },

  complain(): void {},

  /** It stays. */
  disconnect(): void {},

  data(to: Assembler): void {
    to.label("channel")
      .quad(channels.own)
      .label("bell")
      .quad(channels.bell)
      .label("children")
      .quad(channels.children)
      .label("process")
      .quad(channels.pid);
  },
});
