// Functions that the program's side calls and we must intercept, or answer better: dlopen, and functions that take a
// path or report on objects and signals. A small generated object is in the global scope where a preloaded library
// would be, so glibc binds every reference to them (also from libraries loaded later) to the code in its zero pages. No
// slot has to be overwritten.

import { symbolObject } from "../../lib/elf/write/symbol-object.ts";
import { LM_ID_BASE } from "../../lib/loader/calls.ts";
import type { LoadedObject } from "../../lib/loader/link-map.ts";
import { type Address, PAGE_SIZE, toAddress } from "../../lib/memory/numbers.ts";
import { install } from "../../lib/process/patch.ts";
import type { Linking } from "../../lib/process/process.ts";
import { makeKey } from "../../lib/process/pthreads.ts";
import { Assembler, addressOfLabel } from "../../lib/x86-64/assembler.ts";
import { emitAgent } from "../agent/code/ask.ts";
import { emitCleanup, REMOVE_FILES } from "../agent/code/cleanup.ts";
import { emitLeavingFunctions } from "../agent/code/leave.ts";
import { emitObjectFunctions } from "../agent/code/objects.ts";
import { emitPathFunctions } from "../agent/code/paths.ts";
import { emitQuieting, emitSignalFunctions, emitSignalHandler } from "../agent/code/signals.ts";
import { emitStackSize } from "../agent/code/stack-size.ts";
import { emitStart } from "../agent/code/start.ts";
import type { RunRecord } from "../agent/record.ts";
import { MARK } from "../directories/private-directory.ts";
import { REPORTING } from "../passes/intercept.ts";
import { openGenerated } from "../passes/opened.ts";
import type { Run } from "./run.ts";

export interface Interposer {
  readonly object: LoadedObject;
  /** The functions that a capsule's libc mirror also shows, by name. */
  readonly both: ReadonlyMap<string, Address>;
  /** Those that report on libraries, and open them. */
  readonly loading: ReadonlyMap<string, Address>;
  /** The code at a label of emitSignalHandler, emitQuieting, emitStart or emitCleanup. */
  readonly addressOf: (label: string) => Address;
}

/** `first` is Bun's link_map. */
export function* interpose(linkage: Run, record: RunRecord, first: Address): Linking<Interposer> {
  const { process, directory, functions, connection, program } = linkage;
  const { dlopen, dlmopen, dladdr, dladdr1, dlinfo, dl_iterate_phdr, nothing } = functions;
  const find = (name: string) => linkage.findSymbol(name);
  const assembler = new Assembler();
  emitAgent(assembler, { connection, token: 0, dlopen, dlmopen });
  const paths = emitPathFunctions(assembler, { program: program.path, hasTree: false, isHosted: true, find });
  emitObjectFunctions(assembler.align(16), {
    ...{ dladdr, dladdr1, dlinfo, dl_iterate_phdr, first, record: record.at, iterators: record.iterators },
    ...{ directory: directory.path, programName: linkage.programName, ownName: toAddress(0) },
  });
  emitSignalHandler(assembler.align(16), nothing, REMOVE_FILES);
  emitQuieting(assembler.align(16), record.addressOf("quieted"));
  const signals = emitSignalFunctions(assembler, find);
  const stacks = emitStackSize(assembler, find);
  const leaving = emitLeavingFunctions(assembler, { pid: process.pid, key: record.addressOf("key"), nothing }, find);
  emitStart(assembler.align(16), record.at, functions.exit, functions.errnoLocation);
  emitCleanup(assembler.align(16), {
    ...{ pid: process.pid, directory: directory.path, files: directory.files.at, closeAll: functions.closeAll },
    ...{ ending: record.ending, lock: functions.lock, unlock: functions.unlock },
  });
  const code = assembler.assemble();
  const both = [...REPORTING, ...signals, ...leaving, ...stacks];
  const names = ["dlopen", "dlmopen", ...both, ...paths];
  const { bytes, plan } = symbolObject({
    soname: MARK,
    functions: new Map(names.map((name) => [name, { zeroPageOffset: code.labels.get(name) ?? 0 }])),
    zeroPages: Math.ceil(code.bytes.length / PAGE_SIZE),
    // So that it is finalized first: objects that bind to it are not sorted before it.
    ...{ fini: code.labels.get("show all") ?? 0, nodelete: true },
  });
  const object = yield* openGenerated(linkage, LM_ID_BASE, MARK, bytes);
  const at = object.image.addressOf(plan.zeroAt);
  yield* install(process, code.bytes, at);
  const addressOf = (label: string) => addressOfLabel(code, label, at);
  const addressesOf = (labels: readonly string[]) => new Map(labels.map((label) => [label, addressOf(label)]));
  record.fields.key = makeKey(linkage.libc, addressOf("main left"));
  return {
    object,
    both: addressesOf(both),
    loading: addressesOf(["dlopen", "dlmopen", "dl_iterate_phdr"]),
    addressOf,
  };
}
