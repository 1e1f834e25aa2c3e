// Runs the destructors of the program's side at the end of the process. ld.so runs them itself (_dl_fini, 2.31-2.41),
// so that the order is its own, also for objects that were opened later, and nothing is unloaded meanwhile. ld.so would
// go through the namespaces from the last to the first, and finish the host's libraries before the program that uses
// them. So it is called an extra time before that, and sees only the base namespace, as natively: it makes its list at
// once, with the lock held, and the first object that it finishes is one of ours, whose DT_FINI restores everything
// before any other destructor runs. Nothing needs that object or binds to it, so sorting does not move it after others.

import { LinkMap } from "../../../lib/loader/link-map.ts";
import { layout, type Struct, u64 } from "../../../lib/memory/layout.ts";
import type { Address } from "../../../lib/memory/numbers.ts";
import type { Assembler } from "../../../lib/x86-64/assembler.ts";
import { eax, ecx } from "../../../lib/x86-64/narrow-registers.ts";
import { mem, rip } from "../../../lib/x86-64/operands.ts";
import { r8, r9, r10, rax, rbx, rcx, rdi, rdx, rsi } from "../../../lib/x86-64/registers.ts";

/** How many objects can be moved to the front. */
const MOVES = 64;

/** The state that this code reads and writes. */
export const Ending = layout("ending", {
  /** ld.so's _dl_fini; 0 if it was not found: then nothing is done. */
  finalizer: u64<Address>(),
  /** See Counting; `count` is 0 where ld.so does not look as expected. */
  count: u64<Address>(),
  lock: u64<Address>(),
  first: u64<Address>(),
  /** The link_map of the first object if natively it does not exist: it is left out. Else 0. */
  hidden: u64<Address>(),
  /** The number of namespaces, while only the base namespace is visible; else 0. */
  namespaces: u64(),
  isDone: u64(),
});
export type Ending = Struct<typeof Ending>;

const MOVES_AT = Ending.size;
/** A link_map, and that of the object before it, or 0. */
const MOVE_SIZE = 16;

/** In words. The list of moves ends with a 0. */
export const ENDING_WORDS = (Ending.size + MOVES * MOVE_SIZE) / 8 + 1;

/** `front` are the link_maps of what comes first, ours the very first. Undefined if there are too many. */
export function endingWords(fields: Partial<Ending>, front: readonly number[]): number[] | undefined {
  if (front.length > MOVES) return undefined;
  const view = new DataView(new ArrayBuffer(8 * ENDING_WORDS));
  Object.assign(Ending.at(view), fields);
  // Each is put before all others.
  for (const [i, linkMap] of front.toReversed().entries())
    view.setBigUint64(MOVES_AT + i * MOVE_SIZE, BigInt(linkMap), true);
  return Array.from(new BigUint64Array(view.buffer), Number);
}

export interface DestructorTargets {
  /** The address of the Ending. */
  readonly ending: Address;
  readonly lock: Address;
  readonly unlock: Address;
}

const { finalizer, count, lock, first, hidden, namespaces, isDone } = Ending.offsetOf;
const { l_next, l_prev } = LinkMap.offsetOf;
/** The number of objects, 32 bits, comes after the pointer to the first link_map. */
const NS_NLOADED = 8;

/** `finish base`, which is called once, and `show all`, which an object's DT_FINI calls. */
export function emitDestructors(to: Assembler, targets: DestructorTargets): void {
  to.label("finish base").push(rbx).mov(rip("ending"), rbx).cmpq(0, mem(rbx, finalizer)).je("base finished");
  to.cmpq(0, mem(rbx, count)).je("base finished");
  to.mov(1, eax).xchg(rax, mem(rbx, isDone)).test(rax, rax).jne("base finished");
  to.mov(mem(rbx, lock), rdi).call(rip("ending lock"));
  showBase(to);
  to.call(mem(rbx, finalizer));
  // In case ld.so did not reach our object.
  to.call("show all");
  to.label("base finished").pop(rbx).ret();
  showAll(to);
  to.align(8).quads({ ending: targets.ending, "ending lock": targets.lock, "ending unlock": targets.unlock });
}

/** r8: the pointer to the first link_map; rdi: the object; rsi: the one before it; rdx: the one after it. */
function showBase(to: Assembler): void {
  to.mov(mem(rbx, first), r8).mov(mem(rbx, hidden), rdi).test(rdi, rdi).je("nothing to hide");
  to.mov(mem(rdi, l_next), rax).mov(rax, mem(r8)).movq(0, mem(rax, l_prev)).decl(mem(r8, NS_NLOADED));
  to.label("nothing to hide").lea(mem(rbx, MOVES_AT), r9);
  to.label("move").mov(mem(r9), rdi).test(rdi, rdi).je("moved");
  to.mov(mem(rdi, l_prev), rsi).mov(rsi, mem(r9, 8)).test(rsi, rsi).je("in front");
  to.mov(mem(rdi, l_next), rdx).mov(rdx, mem(rsi, l_next)).test(rdx, rdx).je("to the front");
  to.mov(rsi, mem(rdx, l_prev));
  to.label("to the front").mov(mem(r8), rax).movq(0, mem(rdi, l_prev)).mov(rax, mem(rdi, l_next));
  to.mov(rdi, mem(rax, l_prev)).mov(rdi, mem(r8));
  to.label("in front").add(MOVE_SIZE, r9).jmp("move");
  to.label("moved").mov(mem(rbx, count), rax).mov(mem(rax), rcx).mov(rcx, mem(rbx, namespaces)).movq(1, mem(rax));
}

/** In reverse order: the object moved last is now the first. */
function showAll(to: Assembler): void {
  to.label("show all").push(rbx).mov(rip("ending"), rbx).xor(ecx, ecx).xchg(rcx, mem(rbx, namespaces));
  to.test(rcx, rcx).je("all shown already");
  to.mov(mem(rbx, count), rax).mov(rcx, mem(rax)).mov(mem(rbx, first), r8);
  to.lea(mem(rbx, MOVES_AT), r10).mov(r10, r9);
  to.label("find the last move").cmpq(0, mem(r9)).je("move back");
  to.add(MOVE_SIZE, r9).jmp("find the last move");
  to.label("move back").cmp(r10, r9).je("moved back");
  to.sub(MOVE_SIZE, r9).mov(mem(r9), rdi).mov(mem(r9, 8), rsi).test(rsi, rsi).je("move back");
  to.mov(mem(rdi, l_next), rdx).mov(rdx, mem(r8)).movq(0, mem(rdx, l_prev));
  to.mov(mem(rsi, l_next), rax).mov(rax, mem(rdi, l_next)).mov(rsi, mem(rdi, l_prev)).mov(rdi, mem(rsi, l_next));
  to.test(rax, rax).je("move back").mov(rdi, mem(rax, l_prev)).jmp("move back");
  to.label("moved back").mov(mem(rbx, hidden), rdi).test(rdi, rdi).je("nothing hidden");
  to.mov(mem(rdi, l_next), rax).mov(rdi, mem(rax, l_prev)).mov(rdi, mem(r8)).incl(mem(r8, NS_NLOADED));
  to.label("nothing hidden").mov(mem(rbx, lock), rdi).call(rip("ending unlock"));
  to.label("all shown already").pop(rbx).ret();
}
