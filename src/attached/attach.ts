// Links a process from outside: one of its threads has loaded shims that are still placeholders, and waits in the
// initializer of one of them. All loaded objects are relocated by now, and nothing that needs an isolated library has
// run.

import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { LinkError } from "../../lib/link-error.ts";
import { searchListOf } from "../../lib/loader/handle-scope.ts";
import { LoadedObject } from "../../lib/loader/link-map.ts";
import { type Address, add, toAddress } from "../../lib/memory/numbers.ts";
import { Patch } from "../../lib/process/patch.ts";
import { type Linking, type Process, setPointerIn } from "../../lib/process/process.ts";
import { newAction } from "../../lib/process/signals.ts";
import { FATAL_SIGNALS } from "../agent/code/signals.ts";
import type { LinkedEvent } from "../diagnostics/events.ts";
import { settledSignals } from "../handover/signals.ts";
import { allocatorOf } from "../passes/allocator.ts";
import { bindingsOf } from "../passes/bindings.ts";
import { findOpened } from "../passes/capsule-of.ts";
import { finishProgramFirst } from "../passes/finish.ts";
import { followGlobal } from "../passes/global.ts";
import { scopesOf, showByHandle } from "../passes/handle-scope.ts";
import { openHooks } from "../passes/hooks.ts";
import { lendUnique, showUnique } from "../passes/lend-unique.ts";
import { moveObjects } from "../passes/move-objects.ts";
import { closureIn } from "../passes/names.ts";
import { checkClosure, openClosure, openedAs } from "../passes/open.ts";
import { type Moved, redirect } from "../passes/redirect.ts";
import { objectsOf, scopeOf } from "../passes/scope-of.ts";
import { makeNamespace, repairGlobal } from "../passes/share.ts";
import { needsIn } from "../plan/needs.ts";
import { UNWINDER } from "../profiles/shared-set.ts";
import type { Attachment } from "./attachment.ts";
import { awaitAllocator, restoreConstructor } from "./await-allocator.ts";
import { fill, fillCopy, type Places } from "./fill.ts";
import { intercept } from "./intercept.ts";
import { copiedBy, entriesOf, findPlaceholders, images, isRedirected, type Placeholder } from "./placeholders.ts";
import { renameLinked } from "./rename.ts";

/**
 * `shim` is the one whose initializer sent the request; `returnAddress` is that of the request: in ld.so for an
 * initializer, in the shim for a call of one of its functions. Returns undefined if linking has to wait: the request
 * will be sent again. Throws LinkError, ElfError, what reading files throws, and UnreadableError if the process dies
 * meanwhile.
 */
export function* attach(
  attachment: Attachment,
  shim: Address,
  returnAddress: Address,
): Linking<Pick<LinkedEvent, "libraries" | "bindings"> | undefined> {
  const { process, trace } = attachment;
  const before = attachment.objects();
  const [program] = before;
  if (!program) throw new LinkError(`Cannot find the program of process ${process.pid}`);
  const patch = new Patch();
  const moved = new Map<number, Address>();
  const copied = copiedBy(program, before, trace);
  attachment.isRunning = !scopeOf(program, before).some(({ loadBias }) => loadBias === shim);

  // Not before the program's allocator is ready.
  const isFirst = attachment.capsules.length === 0;
  const isCalled = before.some((object) => attachment.isOwn(object) && object.image.holds(returnAddress));
  if (isFirst && !attachment.isRunning && !isCalled && (yield* awaitAllocator(attachment, before, shim)))
    return undefined;
  restoreConstructor(attachment, patch);

  // The first time: names of glibc's files, intercepted functions, and the namespaces.
  if (isFirst) {
    const family = [...attachment.shared.values()];
    for (const { from, to } of copied) if (family.some((image) => image.holds(from))) attachment.moved.set(from, to);
    renameLinked(attachment, program, before);
    yield* begin(attachment, moved);
  }

  // A constructor may send a request meanwhile: it gets what is not in work yet.
  const placeholders = findPlaceholders(attachment);
  const linkMaps = placeholders.map(({ object }) => object.linkMap);
  for (const linkMap of linkMaps) attachment.inWork.add(linkMap);
  try {
    // The libraries that the shims stand for, with all dependencies.
    yield* openLibraries(attachment, placeholders);
    trace.mark("open");

    // The shims show them; references to placeholders, or to intercepted functions, are redirected.
    const lost = new Map<number, string>();
    yield* show(attachment, placeholders, patch, { moved, lost });
    const objects = attachment.objects();
    const redirected = images(objects.filter((object) => isRedirected(attachment, object)));
    const met = new Set(copied.map(({ from }) => from as number));
    for (const from of lost.keys()) moved.set(from, moved.get(from) ?? toAddress(from));
    const slots = redirect(redirected, moved, patch, { met, slots: "all" });
    for (const [from, name] of lost)
      if (met.has(from))
        throw new LinkError(
          `Cannot link "${program.path || attachment.program.path}": a library was replaced since the launch began, and "${name}" is not in it any more, or not at the same place as before (start the program again)`,
        );
    trace.mark("redirect");
    const windows = yield* patch.apply(process);
    trace.log("redirect", () => `${patch.length} writes in ${windows} windows, ${slots} slots looked at`);
    trace.mark("patch");

    // Scopes as ld.so would make them, and what the program has copied.
    yield* settle(attachment, placeholders);
    const copies = copied.flatMap(({ from, ...copy }) => {
      const real = moved.get(from);
      return real === undefined ? [] : [{ ...copy, from: real }];
    });
    const entries = entriesOf(program, objects, moved);
    if (copies.length + entries.size > 0) yield* moveObjects(attachment, copies, entries);
    return told(attachment, placeholders, redirected, moved);
  } finally {
    for (const linkMap of linkMaps) attachment.inWork.delete(linkMap);
  }
}

function* begin(attachment: Attachment, moved: Map<number, Address>): Linking<void> {
  const { process, shared, context, token, trace } = attachment;
  trace.log("program", () => `process ${process.pid}: ${attachment.program.path}`);
  trace.mark(`process ${process.pid} asks`);
  const fault = attachment.faultOfAuditors;
  if (fault !== undefined) throw new LinkError(`Cannot link process ${process.pid}: ${fault}`);
  const patch = new Patch();
  const { both, onSignal } = yield* intercept(attachment, patch, moved);
  // The unwinder at once, since it asks for objects (glibc before 2.35): a constructor of the host's may throw.
  const unwinder = shared.get(UNWINDER);
  if (unwinder) redirect([unwinder], moved, patch, { slots: "all" });
  yield* patch.apply(process);
  trace.mark("intercept");
  const { namespaces, main } = attachment;
  const scope = namespaces.baseScope(main);
  const objects = attachment.objects();
  attachment.scopes = scope && scopesOf(process, scope, main, objects);
  const allocator = scope ? yield* allocatorOf(objectsOf(scope.entries, objects), main) : new Map();
  for (const [index, source] of context.sources.entries()) {
    const capsule = yield* makeNamespace(attachment, source, token + index + 1, both, allocator);
    repairGlobal(attachment, namespaces, main, scope, capsule);
    setPointerIn(process, add(attachment.iterators, 8 * index), capsule.iterateHere);
    attachment.capsules.push(capsule);
  }
  yield* finishProgramFirst(attachment, namespaces, attachment.capsules);
  yield* catchFatal(process, onSignal);
  trace.mark("namespaces");
}

/** Each tree's libraries together. */
function* openLibraries(attachment: Attachment, placeholders: readonly Placeholder[]): Linking<void> {
  const { process, scopes } = attachment;
  const global = new Set(scopes ? searchListOf(process, scopes.main, scopes.offsets) : []);
  for (const capsule of attachment.capsules) {
    const own = placeholders.filter((each) => each.capsule === capsule);
    const sonames = own.map(({ soname }) => soname);
    const closure = yield* closureIn(attachment, capsule, (open) => needsIn(capsule, sonames, undefined, open));
    checkClosure(capsule, closure);
    // For a dlopen of a running program, ld.so sets this once it has finished.
    const isGlobal = own.every(({ object }) => global.has(object.linkMap));
    const opened = own.filter(({ soname }) => !findOpened(capsule, soname));
    const intern = (text: string) => attachment.intern(text);
    yield* lendUnique(attachment, capsule, closure);
    yield* openClosure(attachment, capsule, closure, { isGlobal, ...(attachment.isRunning ? {} : { intern }) });
    if (isGlobal) for (const { object } of opened) attachment.scopes?.lent.add(object.linkMap);
  }
}

function* show(
  attachment: Attachment,
  placeholders: readonly Placeholder[],
  patch: Patch,
  places: Places,
): Linking<void> {
  const { functions, trace } = attachment;
  let areOwn = true;
  for (const { object, soname, capsule, isCopy } of placeholders) {
    const library = openedAs(capsule, soname);
    const hooks = yield* openHooks(attachment, capsule, soname, library);
    const given = { nothing: functions.nothing, hooks };
    if (isCopy) fillCopy(object, library, hooks, patch, places.moved);
    else if (!(yield* fill(object, library, given, patch, places))) {
      areOwn = false;
      trace.log("shim", () => `${soname}: ${library.path} has been replaced since its placeholder was made`);
    }
    trace.log("shim", () => `${soname}: ${library.path} shown to the program by ${object.path}`);
  }
  // For what is started from now on.
  if (!areOwn) attachment.context.renewShims();
}

function* settle(attachment: Attachment, placeholders: readonly Placeholder[]): Linking<void> {
  for (const { object, soname, capsule } of placeholders) {
    capsule.shims.set(soname, new LoadedObject(attachment.process, object.linkMap));
    if (attachment.isRunning) {
      yield* showByHandle(attachment, capsule, soname, object.linkMap);
      yield* showUnique(attachment, capsule, soname);
    } else attachment.scopes?.staying.set(soname, object.linkMap);
  }
  for (const capsule of attachment.capsules) yield* followGlobal(attachment, capsule);
}

/** For readers of events. */
function told(
  attachment: Attachment,
  placeholders: readonly Placeholder[],
  redirected: readonly LoadedImage[],
  moved: Moved,
): Pick<LinkedEvent, "libraries" | "bindings"> {
  const shown = placeholders.map((each) => ({ ...each, path: openedAs(each.capsule, each.soname).path }));
  const libraries = shown.map(({ soname, path, capsule }) => ({ soname, path, host: capsule.search.tree.name }));
  if (!attachment.trace.events?.hasBindings) return { libraries };
  return { libraries, bindings: bindingsOf(attachment, redirected, shown, moved) };
}

/** Installs `handler` for fatal signals that have their default disposition. */
function* catchFatal({ task }: Process, handler: Address): Linking<void> {
  const action = newAction(handler);
  const taken = new Set(settledSignals(task));
  const free = Object.keys(FATAL_SIGNALS)
    .map(Number)
    .filter((signal) => !taken.has(signal));
  if (free.length > 0) yield free.map((signal) => ({ name: "sigaction", arguments: [signal, action, 0] }));
}
