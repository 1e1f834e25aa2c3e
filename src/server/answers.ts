// The answers to dlopen and dlmopen. In a capsule, the file is looked for in its host tree, what it needs is opened
// before it, and the caller's own call goes on with the full path, so that glibc keeps the books (namespace, flags,
// counts, errors). In the program, a request for an isolated library, under whatever name, gets its shim. Isolated
// libraries that nothing has needed so far are opened then, also for a plugin that needs them.

import { join } from "node:path";
import { ElfError } from "../../lib/elf/error.ts";
import type { Library } from "../../lib/elf/library.ts";
import { dlcloseAll, findOpen, LM_ID_BASE, LM_ID_NEWLM, RTLD_GLOBAL, RTLD_NOLOAD } from "../../lib/loader/calls.ts";
import { readU64 } from "../../lib/memory/layout.ts";
import { type Address, toAddress } from "../../lib/memory/numbers.ts";
import { call, type Linking } from "../../lib/process/process.ts";
import { type Closure, closureFrom } from "../../lib/tree/closure.ts";
import { type Dependencies, dependenciesOf } from "../../lib/tree/dependencies.ts";
import {
  expand,
  type Found,
  hasOrigin,
  originOf,
  type Requester,
  type Search,
  type Tried,
  textOf,
} from "../../lib/tree/search.ts";
import { SystemFault, unless } from "../../lib/unless.ts";
import { capsuleOf, standsFor } from "../passes/capsule-of.ts";
import { ensureExposed, exposeAs } from "../passes/expose.ts";
import { followGlobal, lendGlobally } from "../passes/global.ts";
import { showByHandle } from "../passes/handle-scope.ts";
import { showUnique } from "../passes/lend-unique.ts";
import type { Capsule, Linkage } from "../passes/linkage.ts";
import { closureIn, fileOpenAs } from "../passes/names.ts";
import { needsOfProgram } from "../passes/of-program.ts";
import { checkClosure, filesOf, missingOf, share, tellOpened } from "../passes/open.ts";
import { findObject } from "../passes/opened.ts";
import { findTogether, together, unnamed } from "../passes/together.ts";
import type { HostTree } from "../plan/host-tree.ts";
import { needsIn, needsOfOutsider } from "../plan/needs.ts";
import { isShared } from "../profiles/shared-set.ts";
import { NONE, openIn, openInTurn, openTogether } from "./opening.ts";
import { missing } from "./refusals.ts";

/** `open`: let the caller's own call go on with this name. `handle`: it has been opened, return this. */
export type Answer = { readonly open: string } | { readonly handle: Address };

export interface Question {
  readonly file: string;
  readonly mode: number;
  /** What dlmopen was given; undefined for dlopen, which uses the caller's namespace. */
  readonly namespace?: number | undefined;
  /** The asking thread. */
  readonly thread: number;
  readonly returnAddress: Address;
}

export function* answerCapsule(linkage: Linkage, capsule: Capsule, question: Question): Linking<Answer> {
  const { file, mode, namespace } = question;
  const { search, ownership } = capsule;
  // The program, as for NULL: glibc knows it by its empty name only in the base namespace.
  if (file === "") return { handle: toAddress(yield* call("dlopen", 0, mode)) };
  const tell = (text: string) => linkage.trace.log("request", () => `"${file}": ${text}`);
  if (ownership.isShared(file)) {
    tell("both sides have one copy of it");
    return yield* openShared(linkage, capsule, file, question);
  }
  const caller = yield* callerOf(linkage, search, question.returnAddress);
  const requester = caller && { ...caller, origin: originIn(capsule, caller.library, file) };
  const tried: Tried = [];
  const found = isRelative(file) ? undefined : search.find(file, requester, tried);
  const open = namespace === LM_ID_NEWLM ? undefined : yield* openAs(linkage, capsule, file, found);
  if (open !== undefined) {
    tell(`${open}, which is open by that name`);
    return yield* openNamed(open, question);
  }
  if (!found) {
    tell(`not in ${search.tree.name}: ${tried.map(textOf).join("; ")}`);
    // A file of the machine that is not part of its system (a layer in somebody's home) is taken as it is.
    const isOutside =
      isRelative(file) || (file.startsWith("/") && !file.startsWith("/usr/") && !file.startsWith("/lib"));
    if (!isOutside) return { open: missing(search, file) };
    const outside = linkage.runtime.find(absolute(linkage, question), undefined);
    const library = outside && soundLibrary(outside);
    if (!outside || !library) return { open: file };
    return yield* openOutside(linkage, capsule, { library, origin: outside.origin }, question);
  }
  const { library } = found;
  const isOpen = capsule.opened.has(library.path);
  tell(`${library.path}, by ${found.why}${isOpen ? ", open already" : ""}`);
  if (ownership.isShared(library.soname)) return yield* openShared(linkage, capsule, library.soname, question);
  if (namespace !== LM_ID_NEWLM && (isOpen || mode & RTLD_NOLOAD)) return yield* openNamed(library.path, question);
  const find = (open: ReadonlyMap<string, string>) => needsIn(capsule, [file], requester, open);
  const closure = yield* closureFor(linkage, capsule, question, find, requester?.library);
  return yield* openInside(linkage, capsule, closure, library.path, question);
}

/** What is already open by a name without a slash, if the tree gives something else for it. */
function* openAs(
  linkage: Linkage,
  capsule: Capsule,
  file: string,
  found: Found | undefined,
): Linking<string | undefined> {
  if (file.includes("/")) return undefined;
  if (found) return capsule.names.hasOther(file, found.path) ? yield* fileOpenAs(linkage, capsule, file) : undefined;
  const known = yield* fileOpenAs(linkage, capsule, file);
  return known ?? (yield* findObject(linkage.process, capsule.namespace, file))?.path;
}

/** What has to be opened in the question's namespace; in a new namespace nothing is open. */
function* closureFor(
  linkage: Linkage,
  capsule: Capsule,
  { namespace }: Question,
  find: (open: ReadonlyMap<string, string>) => Dependencies,
  requester?: Library,
): Linking<Closure> {
  if (namespace === LM_ID_NEWLM) return closureFrom(find(new Map()), requester);
  return yield* closureIn(linkage, capsule, find, requester);
}

/** Opens a library with what it needs, by the caller's own call if nothing has to be opened before it. */
function* openInside(
  linkage: Linkage,
  capsule: Capsule,
  closure: Closure,
  name: string,
  question: Question,
): Linking<Answer> {
  checkClosure(capsule, closure);
  if (question.namespace === LM_ID_NEWLM) {
    // glibc puts another libc there, as it always does.
    const object = together(linkage, capsule, filesOf(closure));
    return { handle: yield* openIn(linkage.process, LM_ID_NEWLM, object, name, question.mode) };
  }
  const { paths, files } = yield* missingOf(linkage, capsule, closure);
  capsule.names.addAll(closure);
  if (paths.length > 0) yield* followGlobal(linkage, capsule);
  const others = paths.length > 0 ? yield* needsOfProgram(linkage, capsule, closure) : [];
  const isNamed = files.some(({ names }) => names.length > 0);
  if (files.length <= 1 && others.length === 0 && !isNamed) {
    if (paths.length > 0) tellOpened(linkage, capsule, paths);
    return yield* openNamed(name, question);
  }
  // Its dependencies are opened only for it: once it holds them, or has failed to, they are no longer ours.
  const wanted = [...files, ...unnamed(others)];
  const object = isNamed ? together(linkage, capsule, wanted) : findTogether(linkage, capsule, wanted);
  const before = closure.members.map(({ library }) => library.path).filter((path) => paths.includes(path));
  const opened = object
    ? [yield* openTogether(capsule.namespace, object, question.mode)]
    : yield* openInTurn(capsule.namespace, before.slice(0, -1), question.mode);
  // dlerror() on that thread has the reason until something is closed.
  if (opened.includes(NONE)) return { handle: NONE };
  const handle = yield* call("dlopen", name, question.mode);
  if (handle !== 0) {
    tellOpened(linkage, capsule, paths);
    // It finds symbols of the program's side through that object alone, also on the first call of a function.
    if (others.length === 0) yield* dlcloseAll(opened);
  }
  return { handle: toAddress(handle) };
}

/**
 * Host libraries that name the program's namespace mean their own: the agent, which is in it, calls dlopen for them.
 */
function* openNamed(name: string, { mode, namespace }: Question): Linking<Answer> {
  return namespace === LM_ID_BASE ? { handle: toAddress(yield* call("dlopen", name, mode)) } : { open: name };
}

/** A library that the host tree does not have, with what it needs from there. */
function* openOutside(
  linkage: Linkage,
  capsule: Capsule,
  { library, origin }: Requester,
  question: Question,
): Linking<Answer> {
  const { file } = question;
  if (question.mode & RTLD_NOLOAD) return { open: file };
  const find = (open: ReadonlyMap<string, string>) => needsOfOutsider(capsule, library, origin, open);
  return yield* openInside(linkage, capsule, yield* closureFor(linkage, capsule, question, find), file, question);
}

/** A library of the shared set, or of another capsule: it is shown to the capsule. */
function* openShared(linkage: Linkage, capsule: Capsule, soname: string, question: Question): Linking<Answer> {
  const { mode } = question;
  const isOpen = (mode & RTLD_NOLOAD) === 0 || (yield* findOpen(LM_ID_BASE, soname)) !== undefined;
  if (isOpen) yield* share(linkage, capsule, soname);
  return yield* openNamed(soname, question);
}

export function* answerProgram(
  linkage: Linkage,
  capsules: readonly Capsule[],
  program: Requester & { readonly image: string },
  question: Question,
): Linking<Answer> {
  const { file, mode, namespace = LM_ID_BASE, returnAddress } = question;
  const tell = (text: string) => linkage.trace.log("request", () => `"${file}": ${text}`);
  if (isShared(file) || file === "") {
    tell("left to glibc, as the whole process has one copy of it");
    return { open: file };
  }
  const own = capsuleOf(capsules, file);
  if (own) return yield* openIsolated(linkage, own, file, question);
  // The program may have made the file itself a moment ago.
  linkage.runtime.refresh();
  const caller = yield* callerOf(linkage, linkage.runtime, returnAddress, program);
  const asked = absolute(linkage, question);
  const found = linkage.runtime.find(asked, caller);
  const library = found ? soundLibrary(found) : namesake(capsules, file);
  // The program runs from a copy elsewhere, so glibc would expand its $ORIGIN to another directory.
  const isProgram = caller !== undefined && caller.library === program.library;
  const name = (isProgram && file.includes("$") && expand(file, originOf(program), linkage.runtime)) || file;
  if (!library) {
    tell("left to glibc, as neither side has it");
    return { open: name };
  }
  // Whatever the name, the file says which library it is.
  const { soname } = library;
  if (isShared(soname)) return { open: soname };
  const isolated = standsFor(capsules, { soname, path: found?.foundAs ?? library.path });
  if (isolated) {
    tell(`it is ${isolated.soname}, which is isolated`);
    return yield* openIsolated(linkage, isolated.capsule, isolated.soname, question);
  }
  tell(`left to glibc, as ${soname} is not isolated`);
  // RTLD_NOLOAD only asks whether the file is open: nothing may be opened for that.
  const isOpening = (mode & RTLD_NOLOAD) === 0;
  const isGlobal = namespace === LM_ID_BASE && (mode & RTLD_GLOBAL) !== 0;
  if (!isOpening && !(isGlobal && (yield* findObject(linkage.process, LM_ID_BASE, name)))) return { open: name };
  const isIsolated = (needed: string) => capsuleOf(capsules, needed) !== undefined;
  const shims: string[] = [];
  for (const [needed, soname] of isolatedNeeds(linkage, asked, isIsolated, caller)) {
    const capsule = capsuleOf(capsules, soname);
    if (!capsule) continue;
    if (isOpening) yield* show(linkage, capsule, soname, mode);
    if (isOpening && needed !== soname) yield* exposeAs(linkage, capsule, needed, soname);
    if (isGlobal) yield* lendGlobally(linkage, capsule, [soname]);
    const shim = capsule.shims.get(needed);
    if (shim) shims.push(shim.path);
  }
  if (namespace === LM_ID_BASE || shims.length === 0) return { open: name };
  const [first] = capsules;
  if (!first) return { open: name };
  const object = together(linkage, first, unnamed([...shims, library.path]));
  return { handle: yield* openIn(linkage.process, namespace, object, library.path, mode) };
}

/** Opens an isolated library for the program, which gets the shim. */
function* openIsolated(linkage: Linkage, capsule: Capsule, soname: string, question: Question): Linking<Answer> {
  const { mode, namespace = LM_ID_BASE } = question;
  const path = capsule.search.find(soname, undefined)?.path;
  if ((mode & RTLD_NOLOAD) === 0) {
    if (path !== undefined && !capsule.shims.has(soname) && capsule.search.libraryAt(path).isForStart) {
      linkage.trace.log("request", () => `"${question.file}": ${path}, which glibc refuses (DF_1_NOOPEN)`);
      return { open: path };
    }
    yield* show(linkage, capsule, soname, mode);
  }
  const shim = capsule.shims.get(soname);
  linkage.trace.log("request", () =>
    shim ? `"${question.file}": the shim of ${path}` : `"${question.file}": left to glibc, there is no shim of it`,
  );
  if (!shim) return { open: question.file };
  yield* showByHandle(linkage, capsule, soname);
  if (mode & RTLD_GLOBAL && namespace === LM_ID_BASE) yield* lendGlobally(linkage, capsule, [soname]);
  // Another namespace of the program can load the same file: its symbols all lie elsewhere.
  return { open: namespace === LM_ID_BASE ? soname : shim.path };
}

function* show(linkage: Linkage, capsule: Capsule, soname: string, mode: number): Linking<void> {
  const before = new Set(capsule.shims.keys());
  yield* ensureExposed(linkage, capsule, soname, mode);
  for (const name of [...capsule.shims.keys()]) if (!before.has(name)) yield* showUnique(linkage, capsule, name);
}

/** An isolated library of a host tree, by a name that the runtime does not have. */
function namesake(capsules: readonly Capsule[], file: string): Library | undefined {
  for (const { search, isolated } of capsules) {
    const found = isRelative(file) ? undefined : search.find(file, undefined);
    const library = found && soundLibrary(found);
    if (library && isolated.includes(library.soname)) return library;
  }
  return undefined;
}

/**
 * The isolated libraries that a runtime library, requested by name or path, needs, each with the name that it is needed
 * by. glibc may have a missing or unsound one open by that name; otherwise it reports that itself.
 */
function isolatedNeeds(
  { runtime }: Linkage,
  asked: string,
  isIsolated: (soname: string) => boolean,
  caller: Requester | undefined,
): (readonly [name: string, soname: string])[] {
  const { nodes } = dependenciesOf(runtime, [asked], (soname) => isShared(soname) || isIsolated(soname), caller);
  const needs = nodes.flatMap(({ needs }) => needs).filter((need) => "elsewhere" in need);
  const names = needs.map(({ elsewhere }) => [elsewhere, elsewhere] as const);
  const aliases = needs.map(({ name, elsewhere }) => [name, elsewhere] as const);
  return [...new Map([...names, ...aliases])].filter(([, soname]) => isIsolated(soname));
}

/** Undefined for a library that glibc will refuse itself. */
const soundLibrary = (found: Found): Library | undefined => unless([ElfError], () => found.library);

const isRelative = (file: string): boolean => file.includes("/") && !/^[/$]/.test(file);

/** A path resolved in the asking thread's directory; a name without a slash as it is. */
const absolute = ({ runtime }: Linkage, { file }: Question): string =>
  isRelative(file) ? join(runtime.cwd(), file) : file;

/** The path of the object that contains an address. */
export function* objectAt({ process }: Linkage, address: Address): Linking<string | undefined> {
  const info = new Uint8Array(32); // Dl_info: dli_fname, dli_fbase, dli_sname, dli_saddr
  const found = yield* call("dladdr", address, info);
  return found === 0 ? undefined : process.stringAt(toAddress(readU64(new DataView(info.buffer), 0)));
}

/** The library whose code made the call, for its own search path. */
function* callerOf(
  linkage: Linkage,
  search: Search,
  returnAddress: Address,
  program?: Requester & { readonly image: string },
): Linking<Requester | undefined> {
  const path = yield* objectAt(linkage, returnAddress);
  if (path === undefined) return undefined;
  if (program && path === program.image) return program;
  // A caller whose file is gone or is no file has no search path.
  return unless([ElfError, SystemFault], () => ({ library: search.libraryAt(path), loader: program }));
}

/**
 * $ORIGIN of a capsule's library, which is open there by the path of its file: where it was found among what the
 * capsule has needed since its start. Undefined if nothing uses $ORIGIN, and for libraries that were opened later.
 */
export function originIn(
  { search, ownership, isolated }: HostTree,
  { path, rpath = "", runpath = "" }: Library,
  file: string,
): string | undefined {
  if (![file, rpath, runpath].some(hasOrigin)) return undefined;
  const { nodes } = dependenciesOf(search, isolated, (soname) => ownership.isShared(soname));
  return nodes.find(({ library }) => library.path === path)?.origin;
}
