// The destructors of the program's side at the end of the process, run by ld.so itself
// (_dl_fini, 2.31-2.41), so that their order is its own, also that of what was opened
// later, and so that nothing goes while they run. ld.so would go through the namespaces
// from the last to the first, and finish the host's libraries before the program that
// uses them. So it is called once more, before that, and is shown the base namespace
// alone, as natively it would be: it makes its list at once, with the lock held, and
// the first object that it comes to is one of ours, whose DT_FINI puts all back before
// anybody's destructor runs. It is one that nobody needs or binds to, so nothing sorts
// it behind others.

import { layout, type Struct, u64 } from "../../../lib/memory/layout.ts";
import type { Address } from "../../../lib/memory/numbers.ts";
import { type Assembler, immediate } from "../../../lib/x86-64/assembler.ts";

/** How many objects can be put in front. */
const MOVES = 64;

/** What it goes by: words that it writes to. */
export const Ending = layout("ending", {
  /** ld.so's _dl_fini; 0 where that was not found: then nothing is done. */
  finalizer: u64<Address>(),
  /** See Counting; `count` is 0 where ld.so does not look as expected. */
  count: u64<Address>(),
  lock: u64<Address>(),
  first: u64<Address>(),
  /** The link_map of the first object, where natively it is not there at all: it is left out. Else 0. */
  hidden: u64<Address>(),
  /** How many namespaces there are, while the base namespace is the only one that can be seen; else 0. */
  namespaces: u64(),
  isDone: u64(),
});
export type Ending = Struct<typeof Ending>;

const MOVES_AT = Ending.size;
/** A link_map, and that of the object in front of it, or 0. */
const MOVE_SIZE = 16;

/** In words. The list of moves ends with a 0. */
export const ENDING_WORDS = (Ending.size + MOVES * MOVE_SIZE) / 8 + 1;

/** `front` are the link_maps of what comes first, ours the very first. Undefined where they are too many. */
export function endingWords(fields: Partial<Ending>, front: readonly number[]): number[] | undefined {
  if (front.length > MOVES) return undefined;
  const view = new DataView(new ArrayBuffer(8 * ENDING_WORDS));
  Object.assign(Ending.at(view), fields);
  // Each goes in front of all others.
  for (const [i, linkMap] of front.toReversed().entries())
    view.setBigUint64(MOVES_AT + i * MOVE_SIZE, BigInt(linkMap), true);
  return Array.from(new BigUint64Array(view.buffer), Number);
}

export interface DestructorTargets {
  /** Where the words are. */
  readonly ending: Address;
  readonly lock: Address;
  readonly unlock: Address;
}

const { count, lock, first, hidden, namespaces, isDone } = Ending.offsetOf;
const [L_NEXT, L_PREV] = [0x18, 0x20];
/** Behind the pointer to the first link_map: how many there are, in 32 bits. */
const NS_NLOADED = 8;

/** `finish base`, which is called once, and `show all`, which an object's DT_FINI calls. */
export function emitDestructors(to: Assembler, targets: DestructorTargets): void {
  to.label("finish base")
    .op("push %rbx", 0x53)
    .rip("mov ending(%rip),%rbx", "ending", 0x48, 0x8b, 0x1d)
    .op("cmpq $0x0,(%rbx)", 0x48, 0x83, 0x3b, 0) // finalizer
    .to("je", "base finished")
    .op(`cmpq $0x0,0x${count.toString(16)}(%rbx)`, 0x48, 0x83, 0x7b, count, 0)
    .to("je", "base finished")
    .op("mov $0x1,%eax", 0xb8, ...immediate(1))
    .op(`xchg %rax,0x${isDone.toString(16)}(%rbx)`, 0x48, 0x87, 0x43, isDone)
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .to("jne", "base finished")
    .op(`mov 0x${lock.toString(16)}(%rbx),%rdi`, 0x48, 0x8b, 0x7b, lock)
    .rip("call *lock(%rip)", "ending lock", 0xff, 0x15);
  showBase(to);
  to.op("call *(%rbx)", 0xff, 0x13)
    // Should ld.so not have come to ours.
    .to("call", "show all")
    .label("base finished")
    .op("pop %rbx", 0x5b)
    .op("ret", 0xc3);
  showAll(to);
  to.align(8);
  to.label("ending").quad(targets.ending);
  to.label("ending lock").quad(targets.lock).label("ending unlock").quad(targets.unlock);
}

/** r8: where the first link_map is said; rdi: the object; rsi: the one in front of it; rdx: the one behind it. */
function showBase(to: Assembler): void {
  to.op(`mov 0x${first.toString(16)}(%rbx),%r8`, 0x4c, 0x8b, 0x43, first)
    .op(`mov 0x${hidden.toString(16)}(%rbx),%rdi`, 0x48, 0x8b, 0x7b, hidden)
    .op("test %rdi,%rdi", 0x48, 0x85, 0xff)
    .to("je", "nothing to hide")
    .op("mov 0x18(%rdi),%rax", 0x48, 0x8b, 0x47, L_NEXT)
    .op("mov %rax,(%r8)", 0x49, 0x89, 0x00)
    .op("movq $0x0,0x20(%rax)", 0x48, 0xc7, 0x40, L_PREV, ...immediate(0))
    .op("decl 0x8(%r8)", 0x41, 0xff, 0x48, NS_NLOADED)
    .label("nothing to hide")
    .op(`lea 0x${MOVES_AT.toString(16)}(%rbx),%r9`, 0x4c, 0x8d, 0x4b, MOVES_AT)
    .label("move")
    .op("mov (%r9),%rdi", 0x49, 0x8b, 0x39)
    .op("test %rdi,%rdi", 0x48, 0x85, 0xff)
    .to("je", "moved")
    .op("mov 0x20(%rdi),%rsi", 0x48, 0x8b, 0x77, L_PREV)
    .op("mov %rsi,0x8(%r9)", 0x49, 0x89, 0x71, 8)
    .op("test %rsi,%rsi", 0x48, 0x85, 0xf6)
    .to("je", "in front")
    .op("mov 0x18(%rdi),%rdx", 0x48, 0x8b, 0x57, L_NEXT)
    .op("mov %rdx,0x18(%rsi)", 0x48, 0x89, 0x56, L_NEXT)
    .op("test %rdx,%rdx", 0x48, 0x85, 0xd2)
    .to("je", "to the front")
    .op("mov %rsi,0x20(%rdx)", 0x48, 0x89, 0x72, L_PREV)
    .label("to the front")
    .op("mov (%r8),%rax", 0x49, 0x8b, 0x00)
    .op("movq $0x0,0x20(%rdi)", 0x48, 0xc7, 0x47, L_PREV, ...immediate(0))
    .op("mov %rax,0x18(%rdi)", 0x48, 0x89, 0x47, L_NEXT)
    .op("mov %rdi,0x20(%rax)", 0x48, 0x89, 0x78, L_PREV)
    .op("mov %rdi,(%r8)", 0x49, 0x89, 0x38)
    .label("in front")
    .op("add $0x10,%r9", 0x49, 0x83, 0xc1, MOVE_SIZE)
    .to("jmp", "move")
    .label("moved")
    .op(`mov 0x${count.toString(16)}(%rbx),%rax`, 0x48, 0x8b, 0x43, count)
    .op("mov (%rax),%rcx", 0x48, 0x8b, 0x08)
    .op(`mov %rcx,0x${namespaces.toString(16)}(%rbx)`, 0x48, 0x89, 0x4b, namespaces)
    .op("movq $0x1,(%rax)", 0x48, 0xc7, 0x00, ...immediate(1));
}

/** In the reverse order: what was moved last is the first object now. */
function showAll(to: Assembler): void {
  to.label("show all")
    .op("push %rbx", 0x53)
    .rip("mov ending(%rip),%rbx", "ending", 0x48, 0x8b, 0x1d)
    .op("xor %ecx,%ecx", 0x31, 0xc9)
    .op(`xchg %rcx,0x${namespaces.toString(16)}(%rbx)`, 0x48, 0x87, 0x4b, namespaces)
    .op("test %rcx,%rcx", 0x48, 0x85, 0xc9)
    .to("je", "all shown already")
    .op(`mov 0x${count.toString(16)}(%rbx),%rax`, 0x48, 0x8b, 0x43, count)
    .op("mov %rcx,(%rax)", 0x48, 0x89, 0x08)
    .op(`mov 0x${first.toString(16)}(%rbx),%r8`, 0x4c, 0x8b, 0x43, first)
    .op(`lea 0x${MOVES_AT.toString(16)}(%rbx),%r10`, 0x4c, 0x8d, 0x53, MOVES_AT)
    .op("mov %r10,%r9", 0x4d, 0x89, 0xd1)
    .label("find the last move")
    .op("cmpq $0x0,(%r9)", 0x49, 0x83, 0x39, 0)
    .to("je", "move back")
    .op("add $0x10,%r9", 0x49, 0x83, 0xc1, MOVE_SIZE)
    .to("jmp", "find the last move")
    .label("move back")
    .op("cmp %r10,%r9", 0x4d, 0x39, 0xd1)
    .to("je", "moved back")
    .op("sub $0x10,%r9", 0x49, 0x83, 0xe9, MOVE_SIZE)
    .op("mov (%r9),%rdi", 0x49, 0x8b, 0x39)
    .op("mov 0x8(%r9),%rsi", 0x49, 0x8b, 0x71, 8)
    .op("test %rsi,%rsi", 0x48, 0x85, 0xf6)
    .to("je", "move back")
    .op("mov 0x18(%rdi),%rdx", 0x48, 0x8b, 0x57, L_NEXT)
    .op("mov %rdx,(%r8)", 0x49, 0x89, 0x10)
    .op("movq $0x0,0x20(%rdx)", 0x48, 0xc7, 0x42, L_PREV, ...immediate(0))
    .op("mov 0x18(%rsi),%rax", 0x48, 0x8b, 0x46, L_NEXT)
    .op("mov %rax,0x18(%rdi)", 0x48, 0x89, 0x47, L_NEXT)
    .op("mov %rsi,0x20(%rdi)", 0x48, 0x89, 0x77, L_PREV)
    .op("mov %rdi,0x18(%rsi)", 0x48, 0x89, 0x7e, L_NEXT)
    .op("test %rax,%rax", 0x48, 0x85, 0xc0)
    .to("je", "move back")
    .op("mov %rdi,0x20(%rax)", 0x48, 0x89, 0x78, L_PREV)
    .to("jmp", "move back")
    .label("moved back")
    .op(`mov 0x${hidden.toString(16)}(%rbx),%rdi`, 0x48, 0x8b, 0x7b, hidden)
    .op("test %rdi,%rdi", 0x48, 0x85, 0xff)
    .to("je", "nothing hidden")
    .op("mov 0x18(%rdi),%rax", 0x48, 0x8b, 0x47, L_NEXT)
    .op("mov %rdi,0x20(%rax)", 0x48, 0x89, 0x78, L_PREV)
    .op("mov %rdi,(%r8)", 0x49, 0x89, 0x38)
    .op("incl 0x8(%r8)", 0x41, 0xff, 0x40, NS_NLOADED)
    .label("nothing hidden")
    .op(`mov 0x${lock.toString(16)}(%rbx),%rdi`, 0x48, 0x8b, 0x7b, lock)
    .rip("call *unlock(%rip)", "ending unlock", 0xff, 0x15)
    .label("all shown already")
    .op("pop %rbx", 0x5b)
    .op("ret", 0xc3);
}
