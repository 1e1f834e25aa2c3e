// Links a process from outside: one of its threads has loaded shims that are
// placeholders yet, and waits in the initializer of one of them. Everything that is
// loaded is relocated by now, and nothing that needs an isolated library has run.

import { ET_EXEC, SHN_UNDEF, STT_FUNC } from "../../lib/elf/constants.ts";
import { findAddress, type LoadedImage } from "../../lib/elf/loaded.ts";
import { type Sym, typeOf } from "../../lib/elf/sym.ts";
import { LinkError } from "../../lib/link-error.ts";
import { searchListOf } from "../../lib/loader/handle-scope.ts";
import { LoadedObject } from "../../lib/loader/link-map.ts";
import { type Address, add } from "../../lib/memory/numbers.ts";
import { Patch } from "../../lib/process/patch.ts";
import { type Linking, type Process, setPointerIn } from "../../lib/process/process.ts";
import { newAction } from "../../lib/process/sigaction.ts";
import { FATAL_SIGNALS } from "../agent/code/signals.ts";
import type { LinkedEvent } from "../diagnostics/events.ts";
import type { Trace } from "../diagnostics/trace.ts";
import { settledSignals } from "../handover/signals.ts";
import { allocatorOf } from "../passes/allocator.ts";
import { bindingsOf } from "../passes/bindings.ts";
import { standsFor } from "../passes/capsule-of.ts";
import { type Copy, copiedIn, findCopies } from "../passes/copy-objects.ts";
import { finishProgramFirst } from "../passes/finish.ts";
import { followGlobal } from "../passes/global.ts";
import { scopesOf, widen } from "../passes/handle-scope.ts";
import { openHooks } from "../passes/hooks.ts";
import type { Capsule } from "../passes/launch.ts";
import { lendStatics, showStatics } from "../passes/lend-statics.ts";
import { moveObjects } from "../passes/move-objects.ts";
import { closureIn } from "../passes/names.ts";
import { checkClosure, isOpenAs, openClosure, openedAs } from "../passes/open.ts";
import { type Moved, redirect } from "../passes/redirect.ts";
import { objectsOf, scopeOf } from "../passes/scope-of.ts";
import { makeNamespace, repairGlobal } from "../passes/share.ts";
import { needsIn } from "../plan/needs.ts";
import { UNWINDER } from "../profiles/shared-set.ts";
import type { Attachment } from "./attachment.ts";
import { awaitAllocator, restoreConstructor } from "./await-allocator.ts";
import { fill, fillCopy, isFilled, isFilledCopy, slotOf } from "./fill.ts";
import { intercept } from "./intercept.ts";
import { renameLinked } from "./rename.ts";

/** A shim that nobody has linked yet. */
interface Placeholder {
  readonly object: LoadedObject;
  readonly soname: string;
  readonly capsule: Capsule;
  /** It is none of ours, but a copy that ld.so has found before: by a path in the program, or in front of ours. */
  readonly isCopy: boolean;
}

/**
 * `shim` is the one whose initializer has asked, `returnAddress` where that, or whoever has called a function of it, was
 * called from. Returns undefined where linking has to wait: it is asked for once more. Throws LinkError, ElfError, what
 * reading files throws, and UnreadableError where the process dies meanwhile.
 */
export function* attach(
  attachment: Attachment,
  shim: Address,
  returnAddress: Address,
): Linking<Pick<LinkedEvent, "libraries" | "bindings"> | undefined> {
  const { process, trace, functions } = attachment;
  const patch = new Patch();
  const moved = new Map<number, Address>();

  const before = attachment.objects();
  const [program] = before;
  if (!program) throw new LinkError(`Cannot find the program of process ${process.pid}`);
  attachment.isRunning = !scopeOf(program, before).some(({ loadBias }) => loadBias === shim);
  const copied = copiedBy(program, before, trace);

  // Not before the program's allocator is ready.
  const isFirst = attachment.capsules.length === 0;
  const isCalled = before.some((object) => attachment.isOwn(object) && object.image.holds(returnAddress));
  if (isFirst && !attachment.isRunning && !isCalled && (yield* awaitAllocator(attachment, before, shim)))
    return undefined;
  restoreConstructor(attachment, patch);

  // For the first time: what we must hear of, and the namespaces.
  if (isFirst) {
    const family = [...attachment.shared.values()];
    for (const { from, to } of copied) if (family.some((image) => image.holds(from))) attachment.moved.set(from, to);
    renameLinked(attachment, program, before);
    yield* begin(attachment, moved);
  }

  const { scopes } = attachment;
  const global = new Set(scopes ? searchListOf(process, scopes.main, scopes.offsets) : []);

  // The libraries that its shims stand for, with all that they need, each tree's together.
  const placeholders = findPlaceholders(attachment);
  const linkMaps = placeholders.map(({ object }) => object.linkMap);
  for (const linkMap of linkMaps) attachment.inWork.add(linkMap);
  try {
    for (const capsule of attachment.capsules) {
      const own = placeholders.filter((each) => each.capsule === capsule);
      const sonames = own.map(({ soname }) => soname);
      const closure = yield* closureIn(attachment, capsule, (open) => needsIn(capsule, sonames, undefined, open));
      checkClosure(capsule, closure, "whole");
      // Of what is opened by a running program, ld.so says so when it has been.
      const isGlobal = own.every(({ object }) => global.has(object.linkMap));
      const opened = own.filter(({ soname }) => !isOpenAs(capsule, soname));
      const intern = (text: string) => attachment.intern(text);
      yield* lendStatics(attachment, capsule, closure);
      yield* openClosure(attachment, capsule, closure, { isGlobal, ...(attachment.isRunning ? {} : { intern }) });
      if (isGlobal) for (const { object } of opened) attachment.scopes?.lent.add(object.linkMap);
    }

    trace.lap("open");

    // The shims show them; whoever has bound to a placeholder, or to what we must hear of, is redirected.
    for (const { object, soname, capsule, isCopy } of placeholders) {
      const library = openedAs(capsule, soname);
      const hooks = yield* openHooks(attachment, capsule, soname, library);
      if (isCopy) fillCopy(object, library, hooks, patch, moved);
      else yield* fill(object, library, { nothing: functions.nothing, hooks }, patch, moved);
      trace.tell("shim", () => `${soname}: ${library.path} shown to the program by ${object.path}`);
    }
    const objects = attachment.objects();
    const redirected = images(objects.filter((object) => isRedirected(attachment, object)));
    const slots = redirect(redirected, moved, patch, { slots: "all" });
    const copies = copied.flatMap(({ from, to, size }) => {
      const real = moved.get(from);
      return real === undefined ? [] : [{ from: real, to, size }];
    });
    trace.lap("redirect");
    const windows = yield* patch.apply(process);
    trace.lap("patch");
    trace.tell("redirect", () => `${patch.length} writes in ${windows} windows, ${slots} slots looked at`);
    for (const { object, soname, capsule } of placeholders) {
      capsule.shims.set(soname, new LoadedObject(process, object.linkMap));
      if (attachment.isRunning) {
        yield* widen(attachment, capsule, soname, object.linkMap);
        yield* showStatics(attachment, capsule, soname);
      } else attachment.scopes?.staying.set(soname, object.linkMap);
    }
    for (const capsule of attachment.capsules) yield* followGlobal(attachment, capsule);
    const entries = entriesOf(program, objects, moved);
    if (copies.length + entries.size > 0) yield* moveObjects(attachment, copies, entries);
    const libraries = placeholders.map(({ soname, capsule }) => {
      return { soname, path: openedAs(capsule, soname).path, host: capsule.search.tree.name };
    });
    if (!trace.events?.hasBindings) return { libraries };
    const shims = placeholders.map(({ object, soname, capsule }) => ({ object, path: openedAs(capsule, soname).path }));
    return { libraries, bindings: bindingsOf(attachment, redirected, shims, moved) };
  } finally {
    for (const linkMap of linkMaps) attachment.inWork.delete(linkMap);
  }
}

function* begin(attachment: Attachment, moved: Map<number, Address>): Linking<void> {
  const { process, shared, site, token, trace } = attachment;
  trace.tell("program", () => `process ${process.pid}: ${attachment.program.path}`);
  trace.lap(`process ${process.pid} asks`);
  const fault = attachment.faultOfAuditors;
  if (fault !== undefined) throw new LinkError(`Cannot link process ${process.pid}: ${fault}`);
  const patch = new Patch();
  const { both, onSignal } = yield* intercept(attachment, patch, moved);
  // At once for the unwinder, which asks for objects (glibc before 2.35): a constructor of the host's may throw.
  const unwinder = shared.get(UNWINDER);
  if (unwinder) redirect([unwinder], moved, patch, { slots: "all" });
  yield* patch.apply(process);
  trace.lap("intercept");
  const { namespaces, main } = attachment;
  const scope = namespaces.baseScope(main);
  const objects = attachment.objects();
  attachment.scopes = scope && scopesOf(process, scope, main, objects);
  const allocator = scope ? yield* allocatorOf(objectsOf(scope, objects), main) : new Map();
  for (const [index, source] of site.sources.entries()) {
    const capsule = yield* makeNamespace(attachment, source, token + index + 1, both, allocator);
    repairGlobal(attachment, namespaces, main, scope, capsule);
    setPointerIn(process, add(attachment.iterators, 8 * index), capsule.iterateHere);
    attachment.capsules.push(capsule);
  }
  yield* finishProgramFirst(attachment, namespaces, attachment.capsules);
  yield* catchFatal(process, onSignal);
  trace.lap("namespaces");
}

function findPlaceholders(attachment: Attachment): Placeholder[] {
  const { capsules, inWork, functions } = attachment;
  return attachment.objects().flatMap((object) => {
    if (inWork.has(object.linkMap)) return [];
    const there = standsFor(capsules, { soname: object.image.soname, path: object.path });
    if (!there) return [];
    const { capsule, soname } = there;
    const isCopy = !attachment.isOwn(object);
    if (isCopy ? isFilledCopy(object) : slotOf(object.image) === undefined || isFilled(object, functions.nothing))
      return [];
    return [{ object, soname, capsule, isCopy }];
  });
}

/** Neither shims nor glibc itself, but for the unwinder, which asks for the objects that are loaded. */
function isRedirected(attachment: Attachment, object: LoadedObject): boolean {
  if (attachment.isOwn(object) || object.isVdso) return false;
  const { shared } = attachment;
  return object.image.soname === UNWINDER || ![...shared.values()].some((image) => image.loadBias === object.loadBias);
}

/** What the program has copied, by ld.so: of placeholders, and of the shared set. */
function copiedBy(program: LoadedObject, objects: readonly LoadedObject[], trace: Trace): Copy[] {
  const { image } = program;
  const copied = copiedIn(image);
  if (copied.length === 0) return [];
  const [, ...libraries] = scopeOf(program, objects);
  return findCopies(image, copied, images(libraries), trace);
}

/**
 * Functions that have an entry in a program at a fixed address: an undefined symbol with a value, which natively is
 * found before the function itself by whoever wants its address.
 */
function entriesOf(program: LoadedObject, objects: readonly LoadedObject[], moved: Moved): Map<number, Address> {
  const { image } = program;
  const entries = new Map<number, Address>();
  if (image.ehdr.e_type !== ET_EXEC) return entries;
  const [, ...libraries] = scopeOf(program, objects);
  for (let i = 1; i < image.symbols.length; i++) {
    const { st_shndx, st_value, st_info } = image.symbols.at(i);
    if (st_shndx !== SHN_UNDEF || st_value === 0 || typeOf({ st_info } as Sym) !== STT_FUNC) continue;
    const name = image.symbols.nameOf(image.symbols.at(i));
    const real = moved.get(findAddress(images(libraries), name, image.versionOf(i)) ?? 0);
    if (real !== undefined) entries.set(real, image.addressOf(st_value));
  }
  return entries;
}

const images = (objects: readonly LoadedObject[]): LoadedImage[] => objects.map(({ image }) => image);

/** Has `handler` called for signals that a program dies of, where they have their default disposition. */
function* catchFatal({ task }: Process, handler: Address): Linking<void> {
  const action = newAction(handler);
  const taken = new Set(settledSignals(task));
  const free = Object.keys(FATAL_SIGNALS)
    .map(Number)
    .filter((signal) => !taken.has(signal));
  if (free.length > 0) yield free.map((signal) => ({ name: "sigaction", arguments: [signal, action, 0] }));
}
