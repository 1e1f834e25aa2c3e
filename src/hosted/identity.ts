// Whose process this is, by the kernel's and glibc's records: the command line and the auxiliary vector name the
// program, and so does glibc's record of its image, which was opened by another path.

import { dirname } from "node:path";
import { DT_DEBUG } from "../../lib/elf/constants.ts";
import { Dyn } from "../../lib/elf/dyn.ts";
import type { LoadedObject } from "../../lib/loader/link-map.ts";
import { rename } from "../../lib/loader/rename.ts";
import { addressOf, pointerAt, setPointerAt, stringAt, stringBytesAt } from "../../lib/memory/live.ts";
import { type Address, add, toVaddr } from "../../lib/memory/numbers.ts";
import type { Libc } from "../../lib/process/libc.ts";
import { readStat } from "../../lib/process/stat.ts";
import type { Run } from "./run.ts";

/** From <elf.h>: AT_PHDR, AT_PHNUM, AT_ENTRY, AT_EXECFN. */
const AT = { PHDR: 3, PHNUM: 5, ENTRY: 9, EXECFN: 31 } as const;
/** More than any kernel passes. */
const AUXV_LIMIT = 64;

/** The pointers from an address on that precede a NULL. */
export function pointersFrom(start: Address): Address[] {
  const pointers: Address[] = [];
  for (let at = start; pointerAt(at) !== 0; at = add(at, 8)) pointers.push(pointerAt(at));
  return pointers;
}

/** The auxiliary vector, where the kernel put it: after the environment, which follows argv. */
export class AuxiliaryVector {
  readonly #entries = new Map<number, Address>();

  /** `argv` and `argc` as the process was started. Empty if something else is there. */
  constructor(libc: Libc, argv: Address, argc: number) {
    const environment = add(argv, 8 * (argc + 1));
    let at = add(environment, 8 * (pointersFrom(environment).length + 1));
    const entries = new Map<number, Address>();
    for (let i = 0; i < AUXV_LIMIT && pointerAt(at) !== 0; i++, at = add(at, 16))
      entries.set(pointerAt(at), add(at, 8));
    const headers = entries.get(AT.PHDR);
    if (headers !== undefined && pointerAt(headers) === libc.programHeaders()) this.#entries = entries;
  }

  /** Sets where the program's headers and its entry point are. */
  setProgram({ image }: LoadedObject, entry: Address): void {
    this.set("PHDR", image.addressOf(image.headersAt ?? toVaddr(0)));
    this.set("PHNUM", image.phdrs.length);
    this.set("ENTRY", entry);
  }

  set(name: keyof typeof AT, value: number): void {
    const at = this.#entries.get(AT[name]);
    if (at !== undefined) setPointerAt(at, value);
  }
}

/**
 * prctl(2)'s struct prctl_mm_map, in its order: which field of /proc/PID/stat has the value, counted from 1 as in
 * proc(5). The last three fields, auxv and the executable, stay as they are.
 */
const MEMORY_MAP = {
  start_code: 26,
  end_code: 27,
  start_data: 45,
  end_data: 46,
  start_brk: 47,
  brk: undefined,
  start_stack: 28,
  arg_start: 48,
  arg_end: 49,
  env_start: 50,
  env_end: 51,
  auxv: undefined,
  /** auxv_size and exe_fd. */
  sizes: undefined,
};

/**
 * Tells the kernel where the arguments are, and where the environment ends if its last variables are not the program's,
 * for /proc/PID/cmdline and environ. Returns false if it refuses.
 */
export function tellRecords(libc: Libc, start: Address, end: Address, environmentEnd: Address | undefined): boolean {
  const stat = readStat("self");
  const NO_EXECUTABLE = 0xffff_ffff * 2 ** 32; // exe_fd is -1, after auxv_size, which is 0
  const own: Partial<Record<string, number>> = {
    ...{ brk: libc.system.call("brk"), sizes: NO_EXECUTABLE },
    ...{ arg_start: start, arg_end: end, env_end: environmentEnd },
  };
  const words = Object.entries(MEMORY_MAP).map(([name, field]) => own[name] ?? (field ? Number(stat.field(field)) : 0));
  const map = BigUint64Array.from(words, BigInt);
  const [PR_SET_MM, PR_SET_MM_MAP] = [35, 14];
  return libc.system.call("prctl", PR_SET_MM, PR_SET_MM_MAP, addressOf(map), map.byteLength) === 0;
}

/** The end of the last remaining variable, if removed ones follow it. `argv` and `argc` as the process was started. */
export function endOfEnvironment(argv: Address, argc: number, removed: ReadonlySet<string>): Address | undefined {
  const variables = pointersFrom(add(argv, 8 * (argc + 1)));
  const isRemoved = (variable: Address) => removed.has(stringAt(variable).split("=", 1)[0] ?? "");
  const last = variables.findLastIndex((variable) => !isRemoved(variable));
  if (last === variables.length - 1) return undefined;
  // The kernel put them after argv; ld.so keeps its own copy of GLIBC_TUNABLES elsewhere (2.31–2.36 at least).
  const isKernels = (variable: Address | undefined): variable is Address => variable !== undefined && variable > argv;
  const kept = variables[last];
  return isKernels(kept) ? add(kept, stringBytesAt(kept).length + 1) : variables.slice(last + 1).find(isKernels);
}

/** Makes glibc name the program's image by the program's own path, and use its directory as $ORIGIN. */
export function renameImage(run: Run, program: LoadedObject): LoadedObject {
  const directory = run.intern(dirname(run.program.path));
  const { object, hasOrigin } = rename(program, { path: run.programName, directory });
  // Its DT_DEBUG points to the list of objects, as in a program that a process starts with.
  const { image } = program;
  const list = run.findSymbol("_r_debug");
  const entry = image.dynamic.entries.find(({ tag }) => tag === DT_DEBUG);
  if (list !== undefined && entry)
    setPointerAt(image.addressOf(add(image.dynamicAt, entry.at + Dyn.offsetOf.d_val)), list);
  run.trace.log(
    "program",
    () => `called ${run.program.path}${hasOrigin ? "" : ", but for $ORIGIN, which was not found"}`,
  );
  return object;
}
