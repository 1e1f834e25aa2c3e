// A process is linked when its first shim is initialized, and ld.so allocates then. The program's own allocator may be
// initialized later and not work before that: one that looks up the next malloc in its constructor has nothing to call
// until then. In that case linking waits: the agent replaces the allocator's last constructor, calls it, and sends the
// request again. A call into an isolated library in the meantime links the process (see placeholder-code.ts), as
// natively that call would come earlier, too.

import { type Constructor, calling, lastConstructor } from "../../lib/loader/last-constructor.ts";
import type { LoadedObject } from "../../lib/loader/link-map.ts";
import type { GlobalScope } from "../../lib/loader/namespace.ts";
import { type Address, add } from "../../lib/memory/numbers.ts";
import { Patch } from "../../lib/process/patch.ts";
import { type Linking, type Process, setPointerIn } from "../../lib/process/process.ts";
import { ControlBlock } from "../agent/code/connect.ts";
import { providersOf } from "../passes/allocator.ts";
import { objectsOf } from "../passes/scope-of.ts";
import type { Attachment } from "./attachment.ts";

/**
 * Makes the agent send the request again once the program's allocator is initialized. Returns false if it already is,
 * or there is none. `objects` are those of the base namespace.
 */
export function* awaitAllocator(
  attachment: Attachment,
  objects: readonly LoadedObject[],
  shim: Address,
): Linking<boolean> {
  const { process, controlBlock, namespaces, main, trace } = attachment;
  if (attachment.awaited) return true;
  const scope = namespaces.baseScope(main);
  const pending = scope && findPendingConstructor(process, scope, objectsOf(scope.entries, objects), shim);
  if (!pending) return false;
  attachment.awaited = pending;
  setPointerIn(process, add(controlBlock.at, ControlBlock.offsetOf.constructor), pending.address);
  setPointerIn(process, add(controlBlock.at, ControlBlock.offsetOf.shim), shim);
  const patch = new Patch();
  patch.setPointer(pending.slot, calling(pending, attachment.late));
  yield* patch.apply(process);
  trace.log("program", () => `process ${process.pid}: linked when its allocator is initialized`);
  return true;
}

/** Restores it, so that the program's tables read as they do natively. */
export function restoreConstructor(attachment: Attachment, patch: Patch): void {
  const { awaited } = attachment;
  if (awaited) patch.setPointer(awaited.slot, calling(awaited, awaited.address));
  attachment.awaited = undefined;
}

/**
 * The last constructor of the program's own allocator, if ld.so has yet to call it when it initializes `shim`.
 * `objects` are those of the global scope, in its order.
 */
function findPendingConstructor(
  process: Process,
  scope: GlobalScope,
  objects: readonly LoadedObject[],
  shim: Address,
): Constructor | undefined {
  const providers = providersOf(objects);
  const asking = objects.find(({ loadBias }) => loadBias === shim);
  if (providers.length === 0 || !asking) return undefined;
  // ld.so goes through it from its end.
  const order = scope.initializationOrder ?? [];
  for (const linkMap of order.slice(0, Math.max(0, order.indexOf(asking.linkMap)))) {
    const provider = providers.find((object) => object.linkMap === linkMap);
    const last = provider && lastConstructor(process, provider.image);
    if (last) return last;
  }
  return undefined;
}
