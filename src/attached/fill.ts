// Shims that were loaded before their libraries: placeholders, which are on the library path of an attached process.
// Once the library is open, the placeholder's symbol table gets the real addresses, so that glibc binds to them from
// now on; existing references are recognized by the placeholder's own addresses.

import { SHN_ABS, SHN_UNDEF, STT_GNU_IFUNC, STT_TLS } from "../../lib/elf/constants.ts";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { isExported, Sym, typeOf } from "../../lib/elf/sym.ts";
import { exportsTls } from "../../lib/elf/tls.ts";
import { symbolsAt } from "../../lib/elf/write/mirror.ts";
import { LinkError } from "../../lib/link-error.ts";
import { dlmopen, findIn, LM_ID_BASE, RTLD_LAZY } from "../../lib/loader/calls.ts";
import type { LoadedObject } from "../../lib/loader/link-map.ts";
import { findTlsRecord, lendTls } from "../../lib/loader/tls.ts";
import { readWrapping } from "../../lib/memory/layout.ts";
import { type Address, add } from "../../lib/memory/numbers.ts";
import type { Patch } from "../../lib/process/patch.ts";
import { type Linking, pointerIn } from "../../lib/process/process.ts";
import type { Linkage } from "../passes/linkage.ts";
import { objectOf } from "../passes/opened.ts";

/** The one relocation of a placeholder: its slot for the function that its initializer calls. */
export function slotOf(placeholder: LoadedImage): Address | undefined {
  for (const { r_offset } of placeholder.rela) return placeholder.addressOf(r_offset);
  return undefined;
}

/** Whether it shows its library. `nothing` is what fill was given. */
export function isFilled({ process, image }: LoadedObject, nothing: Address): boolean {
  const slot = slotOf(image);
  return slot !== undefined && pointerIn(process, slot) === nothing;
}

/**
 * Collects into `patch` what makes a placeholder show its library, and into `moved` the new addresses for its own.
 * `nothing` is a function that does nothing; `hooks` replace functions of the library. Throws LinkError if the
 * placeholder was made from another file.
 */
export function* fill(
  { image: placeholder, linkMap }: LoadedObject,
  object: LoadedObject,
  { nothing, hooks }: { readonly nothing: Address; readonly hooks: ReadonlyMap<string, Address> },
  patch: Patch,
  moved: Map<number, Address>,
): Linking<void> {
  const { process, image } = object;
  const { tls } = image;
  const record = tls && exportsTls(image) ? yield* findTlsRecord(process, object.linkMap, tls) : undefined;
  const { loadBias } = placeholder;
  const table = symbolsAt(image, loadBias, record !== undefined, hooks);
  const before = placeholder.symbols.view;
  const slot = slotOf(placeholder);
  // It has one symbol more, after the others: the function that its initializer calls.
  if (slot === undefined || before.byteLength < table.length)
    throw new LinkError(`Cannot link "${placeholder.path}": it was made from another "${object.path}"`, {
      object: placeholder.path,
    });
  const after = new DataView(table.buffer, table.byteOffset, table.length);
  const { st_value, st_shndx, st_info } = Sym.offsetOf;
  for (let at = Sym.size; at < table.length; at += Sym.size) {
    const section = before.getUint16(at + st_shndx, true);
    if (section === SHN_UNDEF || section === SHN_ABS) continue;
    const from = readWrapping(before, at + st_value) + loadBias;
    let to: Address | undefined = add(loadBias, readWrapping(after, at + st_value));
    if (typeOf({ st_info: after.getUint8(at + st_info) } as Sym) === STT_GNU_IFUNC) {
      const index = at / Sym.size;
      const { symbols } = image;
      to = yield* findIn(object.linkMap, symbols.nameOf(symbols.at(index)), image.versionOf(index));
    }
    if (to !== undefined && !moved.has(from)) moved.set(from, to);
  }
  if (record !== undefined) lendTls(process, object.linkMap, linkMap, record);
  patch.set(placeholder.addressOf(placeholder.symbolTableAt), table);
  patch.setPointer(slot, nothing);
}

/** Whether fillCopy has changed it: its own table never points outside it. */
export function isFilledCopy({ process, image }: LoadedObject): boolean {
  const { length } = image.symbols;
  const view = process.memory.view(image.addressOf(image.symbolTableAt), length * Sym.size);
  const table = Array.from({ length }, (_, i) => Sym.at(view, i * Sym.size));
  const own = table.filter((sym) => isExported(sym) && sym.st_shndx !== SHN_ABS && typeOf(sym) !== STT_TLS);
  return own.some(({ st_value }) => !image.holds(image.addressOf(st_value)));
}

/**
 * As `fill`, for a runtime's copy instead of a placeholder: symbols that the host's library also has are the host's
 * from now on.
 */
export function fillCopy(
  { image: copy }: LoadedObject,
  { image: library }: LoadedObject,
  hooks: ReadonlyMap<string, Address>,
  patch: Patch,
  moved: Map<number, Address>,
): void {
  const table = copy.addressOf(copy.symbolTableAt);
  for (let i = 1; i < copy.symbols.length; i++) {
    const sym = copy.symbols.at(i);
    if (!isExported(sym) || sym.st_shndx === SHN_ABS || typeOf(sym) === STT_TLS) continue;
    const name = copy.symbols.nameOf(sym);
    const index = library.findReferenced(name, copy.versionOf(i));
    if (index === undefined) continue;
    const hook = hooks.get(name);
    const to = hook ?? library.symbolAddress(index);
    const at = add(table, i * Sym.size);
    moved.set(copy.symbolAddress(i), to);
    patch.setPointer(add(at, Sym.offsetOf.st_value), copy.vaddrAt(to));
    patch.set(
      add(at, Sym.offsetOf.st_info),
      Uint8Array.of(hook === undefined ? library.symbols.at(index).st_info : sym.st_info),
    );
  }
}

/** A shim for a library that is open: loads its placeholder, whose initializer requests to be filled. */
export function* placeholderShim(
  { process }: Linkage,
  name: string,
  _: LoadedObject,
  needed: readonly string[],
): Linking<LoadedObject> {
  // For a path, the auditor substitutes the library's own placeholder.
  const [soname = name] = needed;
  const handle = yield* dlmopen(process, LM_ID_BASE, name.includes("/") ? soname : name, RTLD_LAZY);
  return yield* objectOf(process, handle);
}
