// The process context of the System V ABI for x86-64 (3.4.1): the stack contents at a program's entry.
//
//   argc
//   argv[0] … argv[argc-1]   NULL
//   envp[0] …                NULL
//   type, value …            AT_NULL, 0
//
// The strings are anywhere above.

import { readU64 } from "../memory/layout.ts";
import type { Memory } from "../memory/live.ts";
import { type Address, add, toAddress } from "../memory/numbers.ts";

const AT_NULL = 0;
export const AT_PHDR = 3;
export const AT_PHENT = 4;
export const AT_PHNUM = 5;
export const AT_BASE = 7;
export const AT_ENTRY = 9;
export const AT_EXECFN = 31;

/** More words than in any context the kernel makes: a limit for memory that only looks like a context. */
const WORDS_AT_MOST = 1 << 20;

export interface ProcessContext {
  /** The address of `argc`: the stack pointer at the entry. */
  readonly at: Address;
  /** Addresses of C strings. */
  readonly arguments: readonly Address[];
  readonly environment: readonly Address[];
  readonly auxiliary: readonly AuxiliaryValue[];
}

interface AuxiliaryValue {
  readonly type: number;
  /** 64 bits; AT_RANDOM's and some others are addresses. */
  readonly value: bigint;
}

/** Throws RangeError if the context has no end or argc does not match argv. */
export function readContext(memory: Memory, at: Address): ProcessContext {
  let next = at;
  const word = (): bigint => {
    if (next - at > 8 * WORDS_AT_MOST) throw new RangeError("the process context has no end");
    const value = memory.view(next, 8).getBigUint64(0, true);
    next = add(next, 8);
    return value;
  };
  const pointers = (): Address[] => {
    const list: Address[] = [];
    for (let value = word(); value !== 0n; value = word()) list.push(toAddress(Number(value)));
    return list;
  };
  const count = readU64(memory.view(at, 8), 0);
  word();
  const list = pointers();
  if (list.length !== count) throw new RangeError(`argc is ${count}, and argv has ${list.length}`);
  const environment = pointers();
  const auxiliary: AuxiliaryValue[] = [];
  for (let type = word(); type !== BigInt(AT_NULL); type = word())
    auxiliary.push({ type: Number(type), value: word() });
  return { at, arguments: list, environment, auxiliary };
}

/** The words of a context, to be put on the stack. `changes` overrides values of the auxiliary vector, by type. */
export function contextWords(
  { arguments: list, environment, auxiliary }: Omit<ProcessContext, "at">,
  changes: ReadonlyMap<number, bigint> = new Map(),
): BigUint64Array<ArrayBuffer> {
  const pairs = auxiliary.flatMap(({ type, value }) => [BigInt(type), changes.get(type) ?? value]);
  return BigUint64Array.from([
    BigInt(list.length),
    ...[...list, 0, ...environment, 0].map(BigInt),
    ...pairs,
    BigInt(AT_NULL),
    0n,
  ]);
}
