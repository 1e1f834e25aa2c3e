// Links a program into this process and turns the process into it: all other threads are ended, and the remaining one
// starts the program (start-code.ts). None of our code runs afterwards, so the program has signals, threads and its
// exit to itself.

import { CFunction, FFIType } from "bun:ffi";
import { constants, openSync } from "node:fs";
import type { Library } from "../elf/library.ts";
import { LinkError } from "../link-error.ts";
import { addressOf, bytesAt, cString, ownMemory, pointer, stringBytesAt } from "../memory/live.ts";
import { type Address, alignDown, PAGE_SIZE, toAddress } from "../memory/numbers.ts";
import type { Libc } from "../process/libc.ts";
import { PROT_EXEC, PROT_READ, PROT_WRITE, protect } from "../process/patch.ts";
import { faultOfProc } from "../process/pid-namespace.ts";
import { SIGPWR, SIGSETXID } from "../process/signals.ts";
import { readStat } from "../process/stat.ts";
import type { Search } from "../tree/search.ts";
import { Assembler, addressOfLabel } from "../x86-64/assembler.ts";
import { AT_EXECFN, contextWords, type ProcessContext, readContext } from "./context.ts";
import type { LinkOptions } from "./link.ts";
import { auxiliaryOf, wantsExecutableStack } from "./map.ts";
import type { LinkObject } from "./objects.ts";
import { OwnSpace } from "./own-space.ts";
import { prepareStart, type WriteFile } from "./start.ts";
import { emitTakeOver } from "./take-over-code.ts";

/** The context that the kernel put on this process's stack. Throws what reading /proc throws. */
export function ownContext(): ProcessContext {
  const STARTSTACK = 28; // proc(5)
  return readContext(ownMemory, toAddress(Number(readStat("self").field(STARTSTACK))));
}

/** Why a program cannot run in this process; undefined if it can. */
export function reasonNotHere(program: Library): string | undefined {
  if (program.isFixed) return "it is at a fixed address";
  // /proc reports thread ids of its own PID namespace.
  return faultOfProc();
}

interface RunOptions extends LinkOptions {
  /** Which variables (NAME=VALUE) of this process's environment the program gets. */
  readonly isKept: (variable: Uint8Array) => boolean;
  readonly write: WriteFile;
  /** The path by which the program was found. */
  readonly executed: string;
  /**
   * Called when all is linked, before any code of the program runs: the last chance to use descriptors, signals or
   * threads.
   */
  readonly onLinked: () => void;
  /** This process's exit code if its threads do not end. */
  readonly failure: number;
}

/**
 * Runs a program. `list` is its argv. Throws like link(), before any of the program's code has run; its mappings then
 * stay.
 */
export function runHere(
  libc: Libc,
  search: Search,
  program: string,
  list: readonly Uint8Array[],
  options: RunOptions,
): never {
  const reason = reasonNotHere(search.libraryAt(program));
  if (reason !== undefined)
    throw new LinkError(`Cannot run "${program}" in this process: ${reason}`, { object: program });
  const space = new OwnSpace(libc);
  const { write, executed } = options;
  const reserve = (length: number, alignment: number) => space.reserve(length, alignment);
  const started = prepareStart({ space, reserve, write, executed }, search, program, options);
  const context = contextFor(libc, started.program, list, options);
  if (started.objects.some(wantsExecutableStack)) makeStackExecutable(libc);
  started[Symbol.dispose]();
  const takeOver = prepareTakeOver(libc, options.failure);
  options.onLinked();
  return takeOver(context, started.start);
}

/** This process's own context, with the program's values in place of ours. */
function contextFor(
  libc: Libc,
  program: LinkObject,
  list: readonly Uint8Array[],
  { executed, isKept }: RunOptions,
): BigUint64Array {
  const keep = (bytes: Uint8Array): Address => {
    const at = libc.allocate(bytes.length + 1);
    const room = bytesAt(at, bytes.length + 1);
    room.set(bytes);
    room[bytes.length] = 0;
    return at;
  };
  const own = ownContext();
  const changes = auxiliaryOf(program).set(AT_EXECFN, BigInt(keep(Buffer.from(executed))));
  const environment = own.environment.filter((at) => isKept(stringBytesAt(at)));
  return contextWords({ ...own, environment, arguments: list.map(keep) }, changes);
}

/** mprotect(2): PROT_GROWSDOWN extends the change to the whole stack below. */
function makeStackExecutable(libc: Libc): void {
  const PROT_GROWSDOWN = 0x0100_0000;
  const start = alignDown(ownContext().at, PAGE_SIZE);
  const protection = PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN;
  libc.run(protect([{ start, length: PAGE_SIZE, protection }]));
}

const SIG_IGN = toAddress(1);
const COMPLAINT = "capsule: Cannot run the program in this process: threads of Bun's do not end\n";

/** Places the code that turns this process into the program's. Throws LinkError. */
function prepareTakeOver(libc: Libc, failure: number): (words: BigUint64Array, start: Address) => never {
  const to = new Assembler();
  emitTakeOver(to, failure, cString(COMPLAINT).subarray(0, -1));
  const code = to.assemble();
  const page = libc.placeCode(code.bytes);
  const at = (label: string) => addressOfLabel(code, label, page);
  const { ptr, u64, i32 } = FFIType;
  const enter = CFunction({ ptr: pointer(at("take over")), args: [ptr, u64, i32, ptr], returns: FFIType.void });
  return (words, start) => {
    const tasks = openSync("/proc/self/task", constants.O_RDONLY | constants.O_DIRECTORY);
    libc.signals.exchange(SIGSETXID, at("end thread"), at("end thread"));
    libc.signals.exchange(SIGPWR, SIG_IGN, SIG_IGN);
    enter(pointer(addressOf(words)), words.length, tasks, pointer(start));
    throw new Error("A process that was taken over goes on");
  };
}
