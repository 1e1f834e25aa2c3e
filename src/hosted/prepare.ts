// Makes the process look like the program's own: arguments, names, signals. Done before anything of either tree is
// loaded, since constructors already look at them.

import { fstatSync } from "node:fs";
import { basename } from "node:path";
import { PF_W } from "../../lib/elf/constants.ts";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { bytesAt, pointerAt, setPointerAt, stringBytesAt, u32At } from "../../lib/memory/live.ts";
import { type Address, add } from "../../lib/memory/numbers.ts";
import { Patch } from "../../lib/process/patch.ts";
import { LIBC, LIBDL } from "../../lib/tree/glibc-names.ts";
import { unlessRefused } from "../../lib/unless.ts";
import type { RunRecord } from "../agent/record.ts";
import { canBeOnPath, librariesIn } from "../directories/library-path.ts";
import { withoutRunner } from "../handover/environment.ts";
import { extendedPath, LIBRARY_PATH, shownInSandboxes } from "../handover/program-environment.ts";
import { resetSignals } from "../handover/signals.ts";
import { addressIn } from "../passes/functions.ts";
import { AUDITORS, canBeAudited, withAuditor } from "../plan/glibc/auditing.ts";
import { TUNABLES } from "../plan/glibc/tunables.ts";
import { withRoomForAudited } from "../plan/static-tls.ts";
import { directoriesBehind } from "../reexec/chosen-glibc.ts";
import { KeptDirectories } from "../reexec/kept-directories.ts";
import { withoutReexec } from "../reexec/reexec.ts";
import { AuxiliaryVector, endOfEnvironment, pointersFrom, tellRecords } from "./identity.ts";
import type { Run } from "./run.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** `caught` are the signals that already have their handler. */
export function prepareProcess(run: Run, record: RunRecord, caught: readonly number[]): AuxiliaryVector {
  const { libc, plan, trace } = run;
  const argv = pointerAt(addressIn(run.base.family, "_dl_argv"));
  const bunArgc = pointersFrom(argv).length;
  const changed = new Map([...withoutRunner(process.env), ...withoutReexec(process.env)]);
  const removed = new Set([...changed.keys()].filter((name) => changed.get(name) === undefined));
  const environmentEnd = endOfEnvironment(argv, bunArgc, removed);
  const auxiliary = new AuxiliaryVector(libc, argv, bunArgc);
  auxiliary.set("EXECFN", run.intern(plan.executed));
  // Before glibc 2.34, dlopen is in libdl.so.2, which keeps its own.
  const holders = [LIBC, LIBDL].flatMap((soname) => run.shared.get(soname) ?? []);
  const kept = holders.flatMap((holder) => keptArguments(holder, argv, bunArgc));
  const canMove = kept.length > 0 && kept.every(({ count }) => count !== undefined);
  const list = [plan.program.name, ...plan.arguments];
  const own = canMove ? add(argv, 8 * (bunArgc - list.length)) : argv;
  const argc = list.length;
  replaceArguments(argv, own, bunArgc, list, (start, end) => tellRecords(libc, start, end, environmentEnd));
  const patch = new Patch();
  const name = pointerAt(own);
  const shortName = add(name, stringBytesAt(name).lastIndexOf("/".charCodeAt(0)) + 1);
  patch.setPointer(addressIn(run.base.family, "program_invocation_name"), name);
  patch.setPointer(addressIn(run.base.family, "program_invocation_short_name"), shortName);
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
  resetSignals(libc, caught);
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
): void {
  const strings = list.map((text, i) => {
    // The argument's own bytes: the text no longer has those that are not UTF-8.
    const bytes = stringBytesAt(pointerAt(add(argv, 8 * (argc - list.length + i))));
    return decoder.decode(bytes) === text ? bytes : encoder.encode(text);
  });
  const size = strings.reduce((sum, { length }) => sum + length + 1, 0);
  const start = pointerAt(argv);
  const last = pointerAt(add(argv, 8 * (argc - 1)));
  const end = add(last, stringBytesAt(last).length + 1);
  if (list.length > argc || size > end - start)
    throw new Error("Cannot pass the program's arguments on: they are longer than this command's");
  const isTold = tell(add(end, -size), end);
  let at = isTold ? add(end, -size) : start;
  bytesAt(start, end - start).fill(0);
  strings.forEach((bytes, i) => {
    bytesAt(at, bytes.length).set(bytes);
    setPointerAt(add(own, 8 * i), at);
    at = add(at, bytes.length + 1);
  });
  setPointerAt(add(own, 8 * list.length), 0);
  // The word before it is argc, unless an ld.so before glibc 2.33 was started by name: it only skips its own arguments.
  if (pointerAt(add(argv, -8)) === argc) setPointerAt(add(own, -8), list.length);
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
  const size = isTerminal ? TERMINAL_BUFFER : (unlessRefused(() => fstatSync(1).blksize) ?? 0);
  libc.setBuffer(stream, isTerminal, size > 0 && size < BUFSIZ ? size : BUFSIZ);
}

const BUFSIZ = 8192;
const TERMINAL_BUFFER = 1024;
