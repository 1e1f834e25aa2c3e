// Makes libraries that the process loaded earlier use a capsule. Slots that hold an address in the process's own copy
// of an isolated library, or will once glibc binds them on the first call, get the capsule's address of the same
// symbol. The previous values are kept for undo.

import { eachBoundSlot } from "../../lib/elf/bound-slots.ts";
import { findIn } from "../../lib/loader/calls.ts";
import { type LoadedObject, linkMap } from "../../lib/loader/link-map.ts";
import { type Address, add, toAddress } from "../../lib/memory/numbers.ts";
import type { Libc } from "../../lib/process/libc.ts";
import { Patch } from "../../lib/process/patch.ts";
import { pointerIn } from "../../lib/process/process.ts";
import { scopeOf } from "../passes/scope-of.ts";
import { isShared } from "../profiles/shared-set.ts";
import type { Embedding } from "./embedding.ts";

/** A slot of a library, such as an entry of its global offset table: 8 bytes that hold an address. */
export interface Slot {
  /** The library's file. */
  readonly object: string;
  /** The symbol that it refers to. */
  readonly symbol: string;
  /** Undefined if the library requests none. */
  readonly version: string | undefined;
  /** The file that it was bound to, and is again after `undo`. */
  readonly from: string;
  /** The capsule's file. */
  readonly to: string;
}

/** A slot before its replacement in the capsule is known. */
interface Found extends Omit<Slot, "to"> {
  readonly in: LoadedObject;
  readonly at: Address;
  readonly before: Address;
  readonly addend: number;
  readonly soname: string;
}

interface Written extends Slot, Pick<Found, "in" | "at" | "before"> {
  readonly after: Address;
}

/** The result of {@link Capsule.redirect}. `using` undoes it. */
export class Redirection {
  #written: readonly Written[];
  readonly #restore: (written: readonly Written[]) => void;

  /** @internal */
  constructor(
    written: readonly Written[],
    /** Slots left unchanged because the capsule's libraries lack the symbol. */
    readonly kept: readonly Omit<Slot, "to">[],
    restore: (written: readonly Written[]) => void,
  ) {
    this.#written = written;
    this.#restore = restore;
  }

  /** What has been overwritten. Empty after `undo`. */
  get slots(): readonly Slot[] {
    return this.#written.map(({ object, symbol, version, from, to }) => ({ object, symbol, version, from, to }));
  }

  /**
   * Restores the previous values, in libraries that are still loaded and in slots that nothing else has written since.
   * Undoing twice does nothing.
   *
   * @throws {@link LinkError} if the kernel refuses. Nothing is changed then.
   */
  undo(): void {
    this.#restore(this.#written);
    this.#written = [];
  }

  /**
   * Like {@link undo}.
   *
   * @throws {@link LinkError} like {@link undo}.
   */
  [Symbol.dispose](): void {
    this.undo();
  }
}

/**
 * `opened` are the capsule's libraries that replace others with their sonames. Throws LinkError, ElfError and what
 * reading throws, with nothing changed.
 *
 * @internal
 */
export function redirectTo(
  { libc, base, directory }: Embedding,
  opened: readonly LoadedObject[],
  isChosen: (path: string) => boolean,
  whenUndone: () => void,
): Redirection {
  const objects = [...linkMap(libc, base.bun.linkMap)].filter(
    ({ path, isVdso }) => !isVdso && !path.startsWith(`${directory.path}/`),
  );
  const replacements = new Map(opened.map((object) => [object.image.soname ?? "", object]));
  const copies = objects.filter(({ path, image }) => path !== "" && replacements.has(image.soname ?? ""));
  const [, ...global] = scopeOf(base.bun, objects);
  const found = objects
    .filter((object) => object.path !== "" && !copies.includes(object) && isChosen(object.path))
    .filter(({ image }) => !isShared(image.soname ?? ""))
    .flatMap((object) => [...slotsOf(object, copies, [...global, ...scopeOf(object, objects)])]);
  const written: Written[] = [];
  const kept: Omit<Slot, "to">[] = [];
  const patch = new Patch();
  for (const { addend, soname, ...slot } of found) {
    const replacement = replacements.get(soname);
    const target = replacement && libc.run(findIn(replacement.linkMap, slot.symbol, slot.version));
    const { object, symbol, version, from } = slot;
    if (!replacement || target === undefined) kept.push({ object, symbol, version, from });
    else {
      const after = add(target, addend);
      patch.setPointer(slot.at, after);
      written.push({ ...slot, after, to: replacement.path });
    }
  }
  libc.run(patch.apply(libc));
  return new Redirection(written, kept, (slots) => {
    restore(libc, base.bun.linkMap, slots);
    whenUndone();
  });
}

/** `main` is the first entry of the base namespace's link map. */
function restore(libc: Libc, main: Address, written: readonly Written[]): void {
  const patch = new Patch();
  const loaded = new Map([...linkMap(libc, main)].map((object) => [object.linkMap, object]));
  for (const { in: object, at, before, after } of written) {
    const now = loaded.get(object.linkMap);
    const isThere = now?.loadBias === object.loadBias && now.path === object.path;
    if (isThere && pointerIn(libc, at) === after) patch.setPointer(at, before);
  }
  libc.run(patch.apply(libc));
}

/**
 * The slots of an object that are bound to one of the copies, or will be. `scope` is where glibc looks up the object's
 * symbols.
 */
function slotsOf(object: LoadedObject, copies: readonly LoadedObject[], scope: readonly LoadedObject[]): Found[] {
  const { image, path } = object;
  const found: Found[] = [];
  eachBoundSlot(image, "all", (value, vaddr, addend, index, isCall) => {
    if (index === 0) return;
    const symbol = image.symbols.nameOf(image.symbols.at(index));
    const version = image.versionOf(index);
    const copy =
      copies.find((each) => each.image.holds(value)) ??
      (isCall && image.holds(value) ? definerOf(symbol, version, scope, copies) : undefined);
    if (!copy) return;
    const [at, before] = [image.addressOf(vaddr), toAddress(value + addend)];
    const soname = copy.image.soname ?? "";
    found.push({ in: object, object: path, at, before, addend, symbol, version, from: copy.path, soname });
  });
  return found;
}

/** The object to which a first call will bind a function, if it is one of the copies. */
function definerOf(
  symbol: string,
  version: string | undefined,
  scope: readonly LoadedObject[],
  copies: readonly LoadedObject[],
): LoadedObject | undefined {
  const definer = scope.find(({ image }) => image.findReferenced(symbol, version) !== undefined);
  return definer && copies.find(({ linkMap }) => linkMap === definer.linkMap);
}
