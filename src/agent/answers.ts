// What is answered to a dlopen or dlmopen. In a capsule: the file is looked for in
// its host tree, what it needs is opened before it, and the caller's own call goes
// on with the full path, so that glibc keeps the books (namespace, flags, counts,
// errors). In the program: isolated libraries, under whatever name they are asked
// for, are the shims; those that nobody has needed so far are opened now, also for
// a plugin that needs them.

import { ElfError } from "../../lib/elf/error.ts";
import type { Library } from "../../lib/elf/library.ts";
import { dlcloseAll, RTLD_DEEPBIND, RTLD_LAZY, RTLD_NOLOAD, RTLD_NOW } from "../../lib/loader/calls.ts";
import { LinkError } from "../../lib/loader/error.ts";
import { readU64 } from "../../lib/memory/layout.ts";
import { type Address, toAddress } from "../../lib/memory/numbers.ts";
import { call, type Linking } from "../../lib/process/process.ts";
import { closureOf } from "../../lib/tree/closure.ts";
import type { Found, Requester, Search } from "../../lib/tree/search.ts";
import type { Capsule, Launch } from "../launch.ts";
import { capsuleOf, ensureExposed } from "../passes/expose.ts";
import { missingOf, together } from "../passes/open.ts";
import { share } from "../passes/share.ts";
import { LIBDIR } from "../profiles/profiles.ts";
import { isShared } from "../shared-set.ts";

/** `open`: let the caller's own call go on with this name. `handle`: it has been opened, return this. */
export type Answer = { readonly open: string } | { readonly handle: Address };

export interface Question {
  readonly file: string;
  readonly mode: number;
  readonly returnAddress: Address;
}

export function* answerCapsule(launch: Launch, capsule: Capsule, question: Question): Linking<Answer> {
  const { file, mode } = question;
  const { search } = capsule;
  const isElsewhere = (soname: string) => capsule.ownership.isShared(soname);
  if (isElsewhere(file)) {
    if ((mode & RTLD_NOLOAD) === 0) yield* share(launch, capsule, file);
    return { open: file };
  }
  const requester = yield* callerOf(launch, search, question.returnAddress);
  const tried: string[] = [];
  const found = isRelative(file) ? undefined : search.find(file, requester, tried);
  if (!found) {
    launch.trace.tell("request", () => `${file}: not in ${search.tree.name}: ${tried.join("; ")}`);
    // What belongs to the machine and not to its system (a layer in somebody's home) is taken as it is.
    const isOutside =
      isRelative(file) || (file.startsWith("/") && !file.startsWith("/usr/") && !file.startsWith("/lib"));
    return { open: isOutside ? file : missing(search, file) };
  }
  const { library } = found;
  if (isElsewhere(library.soname)) return { open: library.soname };
  if (capsule.opened.has(library.path) || mode & RTLD_NOLOAD) return { open: library.path };

  const closure = closureOf(search, [library.path], isElsewhere, requester);
  for (const member of closure.members)
    if (!capsule.opened.has(member.library.path)) search.store.check(member.library.path, "tables");
  const paths = yield* missingOf(launch, capsule, closure);
  if (paths.length === 1) return { open: library.path };
  // What it needs is opened for this one: once it holds them, or has failed to, they are not ours any more.
  const object = together(launch, capsule, paths);
  let all = 0;
  // Once the object that needs them is closed, glibc puts the global scope in front again, so they are bound before.
  if (mode & RTLD_DEEPBIND) all = yield* call("dlmopen", capsule.namespace, object, RTLD_NOW | RTLD_DEEPBIND);
  if (all === 0) all = yield* call("dlmopen", capsule.namespace, object, mode & (RTLD_LAZY | RTLD_NOW | RTLD_DEEPBIND));
  // dlerror() on that thread has the reason.
  if (all === 0) return { handle: toAddress(0) };
  const handle = yield* call("dlopen", library.path, mode);
  yield* dlcloseAll([toAddress(all)]);
  return { handle: toAddress(handle) };
}

export function* answerProgram(
  launch: Launch,
  capsules: readonly Capsule[],
  program: Requester & { readonly image: string },
  question: Question,
): Linking<Answer> {
  const { file, returnAddress } = question;
  // What is not open yet is not to be opened for the question whether it is.
  if (isShared(file) || question.mode & RTLD_NOLOAD) return { open: file };
  const own = capsuleOf(capsules, file);
  if (own) {
    yield* ensureExposed(launch, own, file);
    return { open: file };
  }
  const caller = yield* callerOf(launch, launch.runtime, returnAddress, program);
  const found = launch.runtime.find(absolute(launch, file), caller);
  const library = found && soundLibrary(found);
  if (!library) return { open: file };
  const alias = capsuleOf(capsules, library.soname);
  if (alias) {
    yield* ensureExposed(launch, alias, library.soname);
    launch.trace.tell("request", () => `${file}: it is ${library.soname}, which is isolated`);
    return { open: library.soname };
  }
  for (const soname of isolatedNeeds(launch, library.path, (name) => capsuleOf(capsules, name) !== undefined, caller)) {
    const capsule = capsuleOf(capsules, soname);
    if (capsule) yield* ensureExposed(launch, capsule, soname);
  }
  // The program's copy is elsewhere, so glibc would expand its $ORIGIN to another directory.
  return { open: caller?.library === program.library && file.includes("/") ? library.path : file };
}

/** The isolated libraries that a library of the runtime needs. None where something is missing or unsound: glibc will say so itself. */
function isolatedNeeds(
  { runtime }: Launch,
  path: string,
  isIsolated: (soname: string) => boolean,
  caller: Requester | undefined,
): string[] {
  try {
    const { elsewhere } = closureOf(runtime, [path], (soname) => isShared(soname) || isIsolated(soname), caller);
    return [...elsewhere.keys()].filter(isIsolated);
  } catch (error) {
    if (error instanceof LinkError || error instanceof ElfError) return [];
    throw error;
  }
}

/** Undefined for one that glibc will refuse itself. */
function soundLibrary(found: Found): Library | undefined {
  try {
    return found.library;
  } catch (error) {
    if (error instanceof ElfError) return undefined;
    throw error;
  }
}

const isRelative = (file: string): boolean => file.includes("/") && !/^[/$]/.test(file);

/** A path from where the asking process is; a name without a slash as it is. */
function absolute({ process }: Launch, file: string): string {
  return isRelative(file) ? `/proc/${process.pid}/cwd/${file}` : file;
}

/** The library whose code has called, for its own search path. */
function* callerOf(
  launch: Launch,
  search: Search,
  returnAddress: Address,
  program?: Requester & { readonly image: string },
): Linking<Requester | undefined> {
  const info = new Uint8Array(32); // Dl_info: dli_fname, dli_fbase, dli_sname, dli_saddr
  const found = yield* call("dladdr", returnAddress, info);
  if (found === 0) return undefined;
  const path = launch.process.stringAt(toAddress(readU64(new DataView(info.buffer), 0)));
  if (program && path === program.image) return program;
  try {
    return { library: search.libraryAt(path), loader: program };
  } catch (error) {
    // A caller whose file is gone or is no file has no search path.
    if (error instanceof ElfError || (error as NodeJS.ErrnoException).code !== undefined) return undefined;
    throw error;
  }
}

/** A path that is not there, for glibc to say so. */
export const missing = (search: Search, file: string): string =>
  `${search.tree.root}${file.includes("/") ? (search.tree.holds(file) ? search.tree.inside(file) : file) : `${search.defaults[0]}/${file}`}`;

/** Reads what will be asked for, while nobody asks. What is wrong with it is said when somebody does. */
export function readAhead({ search, ownership }: Capsule, name: string): void {
  const paths = name.startsWith(LIBDIR) ? search.defaults.map((directory) => name.replace(LIBDIR, directory)) : [name];
  const found = paths.find((path) => search.find(path, undefined));
  if (!found) return;
  try {
    const { members } = closureOf(search, [found], (soname) => ownership.isShared(soname));
    for (const { library } of members) search.store.check(library.path, "tables");
  } catch (error) {
    if (!(error instanceof LinkError || error instanceof ElfError)) throw error;
  }
}
