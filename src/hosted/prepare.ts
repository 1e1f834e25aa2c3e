// Makes the process look like the program's own: arguments, names, signals. Done before anything of either tree is
// loaded, since constructors already look at them.

import { fstatSync } from "node:fs";
import { basename } from "node:path";
import { PF_W } from "../../lib/elf/constants.ts";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { writeU64 } from "../../lib/memory/layout.ts";
import { bytesAt, pointerAt, stringBytesAt, u32At, viewAt } from "../../lib/memory/live.ts";
import { type Address, add, toAddress } from "../../lib/memory/numbers.ts";
import { Patch } from "../../lib/process/patch.ts";
import { LIBDL } from "../../lib/tree/glibc-names.ts";
import type { RunRecord } from "../agent/record.ts";
import { canBeOnPath, librariesIn } from "../directories/library-path.ts";
import { withoutRunner } from "../handover/environment.ts";
import { extendedPath, LIBRARY_PATH, shownInSandboxes } from "../handover/program-environment.ts";
import { resetSignals } from "../handover/signals.ts";
import { addressIn } from "../passes/functions.ts";
import { AUDITORS, canBeAudited, withAuditor } from "../plan/glibc/auditing.ts";
import { TUNABLES } from "../plan/glibc/tunables.ts";
import { withRoomForAudited } from "../plan/static-tls.ts";
import { KeptDirectories } from "../reexec/kept-directories.ts";
import { withoutRestart } from "../reexec/restart.ts";
import { directoriesBehind } from "../reexec/start-over.ts";
import { AuxiliaryVector, endOfEnvironment, tellRecords } from "./identity.ts";
import type { Run } from "./run.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function prepareProcess(run: Run, record: RunRecord): AuxiliaryVector {
  const { libc, plan, trace } = run;
  const argv = pointerAt(addressIn(run.base.family, "_dl_argv"));
  const bunArgc = countPointers(argv);
  const changed = new Map([...withoutRunner(process.env), ...withoutRestart(process.env)]);
  const removed = new Set([...changed.keys()].filter((name) => changed.get(name) === undefined));
  const environmentEnd = endOfEnvironment(argv, bunArgc, removed);
  const auxiliary = new AuxiliaryVector(libc, argv, bunArgc);
  auxiliary.set("EXECFN", run.intern(plan.executed));
  const image = run.shared.get("libc.so.6");
  // Before glibc 2.34, dlopen is in libdl.so.2, which keeps its own.
  const holders = [image, run.shared.get(LIBDL)].filter((holder) => holder !== undefined);
  const kept = holders.flatMap((holder) => keptArguments(holder, argv, bunArgc));
  const canMove = kept.length > 0 && kept.every(({ count }) => count !== undefined);
  const list = [plan.program.name, ...plan.arguments];
  const own = canMove ? add(argv, 8 * (bunArgc - list.length)) : argv;
  const argc = replaceArguments(argv, own, bunArgc, list, (start, end) =>
    tellRecords(libc, start, end, environmentEnd),
  );
  const patch = new Patch();
  if (image) renameInvocation(image, own, patch);
  patch.setPointer(addressIn(run.base.family, "_dl_argv"), own);
  for (const { pointer, count } of canMove ? kept : []) {
    patch.setPointer(pointer, own);
    if (count !== undefined) patch.set(count, new Uint8Array(Uint32Array.of(argc).buffer));
  }
  trace.log("program", () =>
    canMove ? `arguments for constructors: ${argc}` : "arguments for constructors: libc does not have them as expected",
  );
  libc.run(patch.apply(libc));
  libc.system.nameThread(basename(plan.executed));
  for (const [name, value] of changed) libc.setEnvironment(name, value);
  if (hasShimsForOthers(run)) leadToShims(run, (name) => (changed.has(name) ? changed.get(name) : process.env[name]));
  libc.signals.dropStack();
  rebuffer(run);
  resetSignals(libc);
  record.fields.argc = argc;
  record.fields.argv = own;
  return auxiliary;
}

/** Whether processes that the program starts can be given shims. */
export const hasShimsForOthers = ({ plan, directory }: Pick<Run, "plan" | "directory">): boolean =>
  plan.capsules.some(({ isolated }) => isolated.length > 0) && canBeOnPath(directory.path);

/** Processes that the program starts find shims there, and a server; see children.ts. */
function leadToShims({ libc, base, directory, plan, runtime }: Run, given: (name: string) => string | undefined): void {
  const libraries = librariesIn(directory.path);
  const before = process.env[LIBRARY_PATH] || undefined;
  const roots = [...plan.capsules, plan.glibc.glibc].flatMap((one) => one?.search.tree.root ?? []);
  // Then each process that it starts is started over under ld.so's name.
  const kept = plan.glibc.isNatural ? [] : [new KeptDirectories(runtime.store.file, libc.system).place];
  const behind = [...directoriesBehind(), ...shownInSandboxes([...roots, ...kept])];
  // The decoded text no longer has bytes that are not UTF-8; scanning the whole environment takes half a millisecond.
  const value = before?.includes("\ufffd")
    ? extendedPath(libc.environment(addressIn(base.family, "environ")).map(stringBytesAt), libraries, behind)
    : [libraries, before, ...behind].filter(Boolean).join(":");
  libc.setEnvironment(LIBRARY_PATH, value);
  if (!canBeAudited(plan.glibc)) return;
  libc.setEnvironment(AUDITORS, withAuditor(process.env[AUDITORS], libraries));
  libc.setEnvironment(TUNABLES, withRoomForAudited([], given(TUNABLES) ?? ""));
}

/**
 * Writes the program's arguments over Bun's, where the kernel put them, so that /proc/self/cmdline shows them too. They
 * are a suffix of Bun's, so they always fit. They end where Bun's did, followed by the environment, which some programs
 * (setproctitle) rely on; if the kernel cannot be told that they begin later, they begin where Bun's did. `argv` is the
 * address of Bun's, `own` the address for the program's: an array that ends where Bun's does is followed by the
 * environment and the auxiliary vector, or by nothing if variables were removed. Constructors of the Go runtime
 * (c-shared) read on there, and would take leftover arguments for the environment.
 */
function replaceArguments(
  argv: Address,
  own: Address,
  argc: number,
  list: readonly string[],
  tell: (start: Address, end: Address) => boolean,
): number {
  const pointers = viewAt(own, 8 * (list.length + 1));
  const strings = list.map((text, i) => original(argv, argc - list.length + i, text));
  const size = strings.reduce((sum, { length }) => sum + length, 0);
  const start = pointerAt(argv);
  const end = endOfString(pointerAt(add(argv, 8 * (argc - 1))));
  if (list.length > argc || size > end - start)
    throw new Error("Cannot pass the program's arguments on: they are longer than this command's");
  const isTold = tell(add(end, -size), end);
  let at = isTold ? add(end, -size) : start;
  bytesAt(start, end - start).fill(0);
  strings.forEach((bytes, i) => {
    bytesAt(at, bytes.length).set(bytes);
    writeU64(pointers, 8 * i, at);
    at = add(at, bytes.length);
  });
  writeU64(pointers, 8 * list.length, 0);
  // The word before it is argc, unless an ld.so of glibc before 2.33 was started by name: it only skips its own
  // arguments.
  const isCounted = viewAt(toAddress(argv - 8), 8).getBigUint64(0, true) === BigInt(argc);
  if (isCounted) writeU64(viewAt(toAddress(own - 8), 8), 0, list.length);
  return list.length;
}

/** The argument's own bytes: the text no longer has those that are not UTF-8. */
function original(argv: Address, index: number, text: string): Uint8Array {
  const start = pointerAt(add(argv, 8 * index));
  const bytes = bytesAt(start, endOfString(start) - start).slice();
  return decoder.decode(bytes) === `${text}\0` ? bytes : encoder.encode(`${text}\0`);
}

/** How many pointers precede a NULL. */
function countPointers(at: Address): number {
  let count = 0;
  while (pointerAt(add(at, 8 * count)) !== 0) count++;
  return count;
}

function endOfString(start: Address): Address {
  let end = start;
  while (viewAt(end, 1).getUint8(0) !== 0) end = add(end, 1);
  return add(end, 1);
}

/**
 * Where a library keeps argv and argc: glibc passes its own private __libc_argc and __libc_argv to constructors of what
 * dlopen loads (2.31–2.41 at least). The count is undefined if the memory does not look like that.
 */
function keptArguments(
  library: LoadedImage,
  argv: Address,
  argc: number,
): { readonly pointer: Address; readonly count: Address | undefined }[] {
  const low = argv % 2 ** 32;
  const high = Math.floor(argv / 2 ** 32);
  for (const { p_vaddr, p_memsz, p_flags } of library.loads) {
    if ((p_flags & PF_W) === 0) continue;
    const view = library.bytes.view(p_vaddr, p_memsz, "data");
    const words = new Uint32Array(view.buffer, view.byteOffset, Math.floor(view.byteLength / 4));
    const places: number[] = [];
    for (let i = 0; i + 1 < words.length; i += 2) if (words[i] === low && words[i + 1] === high) places.push(i);
    const at = (word: number) => library.addressOf(add(p_vaddr, 4 * word));
    for (const i of places)
      for (const near of [-2, -1, 2, 3]) if (words[i + near] === argc) return [{ pointer: at(i), count: at(i + near) }];
    if (places[0] !== undefined) return [{ pointer: at(places[0]), count: undefined }];
  }
  return [];
}

/** Bun has taken the buffer from stdout. Gives the program one as glibc would have made at the first write. */
function rebuffer({ libc, base }: Run): void {
  const stream = pointerAt(addressIn(base.family, "stdout"));
  const IO_UNBUFFERED = 2; // in FILE's first word, _flags
  if ((u32At(stream) & IO_UNBUFFERED) === 0) return;
  const isTerminal = libc.descriptors.isTerminal(1);
  const size = isTerminal ? TERMINAL_BUFFER : blockSizeOf(1);
  libc.setBuffer(stream, isTerminal, size > 0 && size < BUFSIZ ? size : BUFSIZ);
}

const BUFSIZ = 8192;
const TERMINAL_BUFFER = 1024;

/** In bytes; 0 for a closed descriptor. */
function blockSizeOf(descriptor: number): number {
  try {
    return fstatSync(descriptor).blksize;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EBADF") return 0;
    throw error;
  }
}

/** program_invocation_name and program_invocation_short_name. */
function renameInvocation(libc: LoadedImage, argv: Address, patch: Patch): void {
  const full = pointerAt(argv);
  const name = bytesAt(full, endOfString(full) - full - 1);
  const short = add(full, name.lastIndexOf("/".charCodeAt(0)) + 1);
  for (const [symbol, value] of [
    ["program_invocation_name", full],
    ["program_invocation_short_name", short],
  ] as const)
    patch.setPointer(addressIn([libc], symbol), value);
}
