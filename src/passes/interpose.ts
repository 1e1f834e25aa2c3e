// What the program's side calls and we must hear of: dlopen and dlmopen. A small
// object of ours stands in the global scope where a preloaded library would, so
// glibc binds every reference to them (also of libraries that come later) to the
// agent in its zero pages. No slot is overwritten for it.

import { symbolObject } from "../../lib/elf/write/symbol-object.ts";
import { dlmopen, LM_ID_BASE, linkMapOf, RTLD_LAZY } from "../../lib/loader/calls.ts";
import { LoadedObject } from "../../lib/loader/link-map.ts";
import { type Address, PAGE_SIZE } from "../../lib/memory/numbers.ts";
import type { Linking } from "../../lib/process/process.ts";
import { Assembler, addressOfLabel } from "../../lib/x86-64/assembler.ts";
import { emitAgent } from "../agent/code/ask.ts";
import { emitCleanup } from "../agent/code/cleanup.ts";
import { emitStart, type StartTargets } from "../agent/code/start.ts";
import type { Launch } from "../launch.ts";
import { MARK } from "../private-directory.ts";

export interface Interposer {
  readonly object: LoadedObject;
  /** Called in place of __libc_start_main. */
  readonly start: Address;
  /** To be called at exit. */
  readonly cleanup: Address;
}

/** `order` is the list that emitCleanup reads at exit. */
export function* interpose(launch: Launch, start: StartTargets, order: Address): Linking<Interposer> {
  const { process, directory, functions } = launch;
  const assembler = new Assembler();
  emitAgent(assembler, { channel: launch.channel, token: 0, dlopen: functions.dlopen, dlmopen: functions.dlmopen });
  emitStart(assembler.align(16), start);
  const exit = { pid: process.pid, directory: directory.path, files: directory.files.at, order };
  emitCleanup(assembler.align(16), exit);
  const code = assembler.assemble();
  const { bytes, plan } = symbolObject({
    soname: MARK,
    functions: new Map(["dlopen", "dlmopen"].map((name) => [name, { zeroPageOffset: code.labels.get(name) ?? 0 }])),
    zeroPages: Math.ceil(code.bytes.length / PAGE_SIZE),
  });
  const handle = yield* dlmopen(process, LM_ID_BASE, directory.write(MARK, bytes), RTLD_LAZY);
  const object = new LoadedObject(process, yield* linkMapOf(process, handle));
  const at = object.image.addressOf(plan.zeroAt);
  launch.install(code.bytes, at);
  return { object, start: addressOfLabel(code, "start", at), cleanup: addressOfLabel(code, "cleanup", at) };
}
