// Whose process this is, by the kernel's and glibc's records: the command line and the auxiliary vector name the
// program, and so does glibc's record of its image, which was opened by another path.

import { dirname } from "node:path";
import { DT_DEBUG } from "../../lib/elf/constants.ts";
import { Dyn } from "../../lib/elf/dyn.ts";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import type { LoadedObject } from "../../lib/loader/link-map.ts";
import { rename } from "../../lib/loader/rename.ts";
import { layout, u64, writeU64 } from "../../lib/memory/layout.ts";
import { addressOf, pointerAt, setPointerAt, stringAt, stringBytesAt } from "../../lib/memory/live.ts";
import { type Address, add, toAddress } from "../../lib/memory/numbers.ts";
import type { Libc } from "../../lib/process/libc.ts";
import { readStat } from "../../lib/process/stat.ts";
import type { Run } from "./run.ts";

/** From <elf.h>: AT_PHDR, AT_PHNUM, AT_ENTRY, AT_EXECFN. */
const AT = { PHDR: 3, PHNUM: 5, ENTRY: 9, EXECFN: 31 } as const;
/** More than any kernel passes. */
const AUXV_LIMIT = 64;

/** The auxiliary vector, where the kernel put it: after the environment, which follows argv. */
export class AuxiliaryVector {
  readonly #entries = new Map<number, Address>();

  /** `argv` and `argc` as the process was started. Empty if something else is there. */
  constructor(libc: Libc, argv: Address, argc: number) {
    let at = add(argv, 8 * (argc + 1));
    while (pointerAt(at) !== 0) at = add(at, 8);
    at = add(at, 8);
    const entries = new Map<number, Address>();
    for (let i = 0; i < AUXV_LIMIT && pointerAt(at) !== 0; i++, at = add(at, 16))
      entries.set(pointerAt(at), add(at, 8));
    const headers = entries.get(AT.PHDR);
    if (headers !== undefined && pointerAt(headers) === libc.programHeaders()) this.#entries = entries;
  }

  /** Sets where the program's headers and its entry point are. */
  setProgram({ headers, headerCount, entry }: { headers: Address; headerCount: number; entry: Address }): void {
    this.set("PHDR", headers);
    this.set("PHNUM", headerCount);
    this.set("ENTRY", entry);
  }

  set(name: keyof typeof AT, value: number): void {
    const at = this.#entries.get(AT[name]);
    if (at !== undefined) setPointerAt(at, value);
  }
}

/** prctl(2)'s struct prctl_mm_map. The last three fields, auxv and the executable, stay as they are. */
const MemoryMap = layout("prctl_mm_map", {
  start_code: u64(),
  end_code: u64(),
  start_data: u64(),
  end_data: u64(),
  start_brk: u64(),
  brk: u64(),
  start_stack: u64(),
  arg_start: u64(),
  arg_end: u64(),
  env_start: u64(),
  env_end: u64(),
  auxv: u64(),
  sizes: u64(),
});
/** Fields of /proc/PID/stat, counted from 1 as in proc(5). */
const STAT = {
  start_code: 26,
  end_code: 27,
  start_stack: 28,
  start_data: 45,
  end_data: 46,
  start_brk: 47,
  arg_start: 48,
  arg_end: 49,
  env_start: 50,
  env_end: 51,
} as const;

/**
 * Tells the kernel where the arguments are, and where the environment ends if its last variables are not the program's,
 * for /proc/PID/cmdline and environ. Returns false if it refuses.
 */
export function tellRecords(libc: Libc, start: Address, end: Address, environmentEnd: Address | undefined): boolean {
  const stat = readStat("self");
  const map = new Uint8Array(MemoryMap.size);
  const view = MemoryMap.at(new DataView(map.buffer));
  for (const [name, number] of Object.entries(STAT)) view[name as keyof typeof STAT] = Number(stat.field(number));
  view.brk = toAddress(libc.system.call("brk"));
  view.arg_start = start;
  view.arg_end = end;
  if (environmentEnd !== undefined) view.env_end = environmentEnd;
  const NO_EXECUTABLE = 0xffff_ffff * 2 ** 32; // exe_fd is -1, after auxv_size, which is 0
  writeU64(new DataView(map.buffer), MemoryMap.offsetOf.sizes, NO_EXECUTABLE);
  const [PR_SET_MM, PR_SET_MM_MAP] = [35, 14];
  return libc.system.call("prctl", PR_SET_MM, PR_SET_MM_MAP, addressOf(map), map.length) === 0;
}

/** The end of the last remaining variable, if removed ones follow it. `argv` and `argc` as the process was started. */
export function endOfEnvironment(argv: Address, argc: number, removed: ReadonlySet<string>): Address | undefined {
  const variables: Address[] = [];
  for (let at = add(argv, 8 * (argc + 1)); pointerAt(at) !== 0; at = add(at, 8)) variables.push(pointerAt(at));
  const isRemoved = (variable: Address) => removed.has(stringAt(variable).split("=", 1)[0] ?? "");
  const last = variables.findLastIndex((variable) => !isRemoved(variable));
  if (last === variables.length - 1) return undefined;
  // The kernel put them after argv; ld.so keeps its own copy of GLIBC_TUNABLES elsewhere (2.31–2.36 at least).
  const isKernels = (variable: Address | undefined): variable is Address => variable !== undefined && variable > argv;
  const kept = variables[last];
  return isKernels(kept) ? add(kept, stringBytesAt(kept).length + 1) : variables.slice(last + 1).find(isKernels);
}

/**
 * Makes the program's DT_DEBUG point to the list of objects, as ld.so does for the program that a process starts with.
 */
function showList(run: Run, image: LoadedImage): void {
  const list = run.findSymbol("_r_debug");
  const entry = image.dynamic.entries.find(({ tag }) => tag === DT_DEBUG);
  if (list === undefined || !entry) return;
  setPointerAt(image.addressOf(add(image.dynamicAt, entry.at + Dyn.offsetOf.d_val)), list);
}

/** Makes glibc name the program's image by the program's own path, and use its directory as $ORIGIN. */
export function renameImage(run: Run, program: LoadedObject): LoadedObject {
  const directory = run.intern(dirname(run.program.path));
  const { object, hasOrigin } = rename(program, { path: run.programName, directory });
  showList(run, program.image);
  run.trace.log(
    "program",
    () => `called ${run.program.path}${hasOrigin ? "" : ", but for $ORIGIN, which was not found"}`,
  );
  return object;
}
