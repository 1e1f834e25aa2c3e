// Links a program into this process, and runs it: the steps of a dynamic linker, one
// behind the other. The program is one without a libc: it has no thread-local data, which
// would be this thread's own, and ends by exit(2), which ends this process, or by
// returning from its entry.

import { CFunction, FFIType } from "bun:ffi";
import { readFileSync } from "node:fs";
import type { Library } from "../elf/library.ts";
import { LinkError } from "../loader/error.ts";
import type { Libc } from "../loader/libc.ts";
import { addressOf, bytesAt, cString, ownMemory, pointer, stringAt } from "../memory/live.ts";
import { type Address, add, alignUp, PAGE_SIZE, toAddress } from "../memory/numbers.ts";
import { install } from "../process/patch.ts";
import type { Search } from "../tree/search.ts";
import { Assembler, addressOfLabel } from "../x86-64/assembler.ts";
import { AT_EXECFN, contextWords, type ProcessContext, readContext } from "./context.ts";
import { EntryState, emitEnter, REALLY } from "./enter-code.ts";
import { allFinalizers, allInitializers } from "./functions.ts";
import { type LinkOptions, link } from "./link.ts";
import { auxiliaryOf, entryOf, protectRelro } from "./map.ts";
import type { LinkObject } from "./objects.ts";
import { OwnSpace } from "./own-space.ts";
import { writeChoice } from "./resolver-calls.ts";

/** As the kernel has put it on this process's stack. Throws what reading /proc throws. */
export function ownContext(): ProcessContext {
  // proc(5): startstack is the 28th field; the name of the process, in brackets, may be anything
  const [, fields = ""] = /^.*\) (.*)$/s.exec(readFileSync("/proc/self/stat", "utf8")) ?? [];
  return readContext(ownMemory, toAddress(Number(fields.split(" ")[25])));
}

/** Why a program, the first of what is linked, cannot be run in this process; undefined where it can. */
export function reasonNotHere([program, ...libraries]: readonly Library[]): string | undefined {
  if (program?.isFixed) return "it is at a fixed address";
  const threaded = [program, ...libraries].find((library) => library?.tls && library.tls.size > 0);
  return threaded && `"${threaded.path}" has thread-local data`;
}

export interface RunOptions extends LinkOptions {
  /** Which variables of this process's environment the program finds, each as NAME=VALUE. Default: all. */
  readonly isKept?: (variable: string) => boolean;
  /** Is called when all is linked, before any code of the program's runs. */
  readonly onLinked?: () => void;
}

/**
 * Runs a program until it returns. `list` is its argv. Throws as link does, before any of its code has run; then, and when it has returned, what was
 * mapped for it stays.
 */
export function runHere(
  libc: Libc,
  search: Search,
  program: string,
  list: readonly string[],
  options: RunOptions = {},
): void {
  const space = new OwnSpace(libc);
  using linked = link(space, search, program, options);
  const { objects, initialization, calls } = linked;
  const [first] = objects;
  const reason = reasonNotHere(objects.map(({ library }) => library));
  if (!first || reason !== undefined)
    throw new LinkError(`Cannot run "${program}" in this process: ${reason}`, { object: program });

  options.onLinked?.();
  const enter = prepareEntry(libc);
  // What objects choose by code of their own; then nothing of RELRO changes any more.
  for (const resolver of calls) writeChoice(space, resolver, call(resolver.resolver, []));
  for (const object of objects) protectRelro(space, object);

  const context = contextFor(libc, first, program, list, options.isKept ?? (() => true));
  const vectors = [list.length, context.list, context.environment];
  for (const { address } of allInitializers(space, first, initialization)) call(address, vectors);
  enter(context.words, entryOf(first));
  for (const { address } of allFinalizers(space, initialization)) call(address, []);
}

interface OwnContext {
  readonly words: BigUint64Array;
  /** Where argv and envp are, for constructors: copies, of the same strings. */
  readonly list: Address;
  readonly environment: Address;
}

/** This process's own, but for what is the program's. */
function contextFor(
  libc: Libc,
  program: LinkObject,
  path: string,
  list: readonly string[],
  isKept: (variable: string) => boolean,
): OwnContext {
  const keep = (bytes: Uint8Array): Address => {
    const at = libc.allocate(bytes.length);
    bytesAt(at, bytes.length).set(bytes);
    return toAddress(at);
  };
  const own = ownContext();
  const changes = auxiliaryOf(program).set(AT_EXECFN, BigInt(keep(cString(path))));
  const environment = own.environment.filter((at) => isKept(stringAt(at)));
  const words = contextWords({ ...own, environment, arguments: list.map((text) => keep(cString(text))) }, changes);
  const copy = keep(new Uint8Array(words.buffer));
  return { words, list: add(copy, 8), environment: add(copy, 8 * (list.length + 2)) };
}

/** Calls a function of the program's, and returns what it returns. */
function call(at: Address, list: readonly number[]): Address {
  const called = CFunction({ ptr: pointer(at), args: list.map(() => FFIType.u64), returns: FFIType.u64 });
  return toAddress(Number(called(...list)));
}

/** Puts the code into this process that enters programs, which is called with a context and an entry; exit(2) ends the process from then on. Throws LinkError. */
function prepareEntry(libc: Libc): (words: BigUint64Array, entry: Address) => void {
  const to = new Assembler();
  emitEnter(to, libc.allocatePages(alignUp(toAddress(EntryState.size), PAGE_SIZE), false));
  const code = to.assemble();
  const page = libc.allocatePages(alignUp(toAddress(code.bytes.length), PAGE_SIZE), false);
  libc.run(install(libc, code.bytes, page));
  libc.trapExit(addressOfLabel(code, "on exit", page), REALLY);
  const { ptr, u64 } = FFIType;
  const at = pointer(addressOfLabel(code, "enter", page));
  const enter = CFunction({ ptr: at, args: [ptr, u64, ptr, ptr], returns: FFIType.void });
  return (words, entry) => enter(pointer(addressOf(words)), words.length, pointer(entry), null);
}
