// Shims that were loaded before their libraries: placeholders, which are on the library path of an attached process.
// Once the library is open, the placeholder's symbol table gets the real addresses, so that glibc binds to them from
// now on; existing references are recognized by the placeholder's own addresses.

import { SHN_ABS, SHN_UNDEF, STB_LOCAL, STT_GNU_IFUNC, STT_TLS } from "../../lib/elf/constants.ts";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { isExported, SYM_WORDS, Sym, typeOf } from "../../lib/elf/sym.ts";
import { exportsTls } from "../../lib/elf/tls.ts";
import { wordsOf } from "../../lib/elf/words.ts";
import { copyOf } from "../../lib/elf/write/copied-tables.ts";
import { symbolsAt } from "../../lib/elf/write/mirror.ts";
import { ANY_SECTION } from "../../lib/elf/write/shared-object.ts";
import { LinkError } from "../../lib/link-error.ts";
import { dlmopen, findIn, LM_ID_BASE, RTLD_LAZY } from "../../lib/loader/calls.ts";
import type { LoadedObject } from "../../lib/loader/link-map.ts";
import { findTlsRecord, lendTls } from "../../lib/loader/tls.ts";
import { readWrapping } from "../../lib/memory/layout.ts";
import { type Address, add, toAddress } from "../../lib/memory/numbers.ts";
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

/** What became of the addresses that references to placeholders hold. */
export interface Places {
  /** Where the symbols are now. */
  readonly moved: Map<number, Address>;
  /** Those of symbols that the library has lost, by name, or no longer has at one address. */
  readonly lost: Map<number, string>;
}

/**
 * Collects into `patch` what makes a placeholder show its library, and into `places` the new addresses for its own.
 * `nothing` is a function that does nothing; `hooks` replace functions of the library. Returns false if the placeholder
 * was made from a file with other symbols, since replaced: then it shows those that both have. Throws LinkError for
 * what is no placeholder.
 */
export function* fill(
  { image: placeholder, linkMap }: LoadedObject,
  object: LoadedObject,
  { nothing, hooks }: { readonly nothing: Address; readonly hooks: ReadonlyMap<string, Address> },
  patch: Patch,
  { moved, lost }: Places,
): Linking<boolean> {
  const { process, image } = object;
  const { tls } = image;
  const record = tls && exportsTls(image) ? yield* findTlsRecord(process, object.linkMap, tls) : undefined;
  const { loadBias } = placeholder;
  const slot = slotOf(placeholder);
  if (slot === undefined)
    throw new LinkError(`Cannot link "${placeholder.path}": it is no placeholder`, { object: placeholder.path });
  const shown = symbolsAt(image, loadBias, record !== undefined, hooks);
  const isSame = haveSameSymbols(placeholder, image);
  const indexOf = isSame ? (index: number) => index : (index: number) => sameIn(image, placeholder, index);
  const table = isSame ? shown : symbolsByName(placeholder, shown, indexOf);
  const before = placeholder.symbols.view;
  const after = new DataView(table.buffer, table.byteOffset, table.length);
  const own = new Map<number, Address>();
  const hooked = new Set(hooks.values());
  const nameAt = (at: number) => placeholder.symbols.nameOf(placeholder.symbols.at(at / Sym.size));
  const { st_value, st_shndx, st_info } = Sym.offsetOf;
  for (let at = Sym.size; at < table.length; at += Sym.size) {
    const section = before.getUint16(at + st_shndx, true);
    if (section === SHN_UNDEF || section === SHN_ABS) continue;
    const from = readWrapping(before, at + st_value) + loadBias;
    const index = indexOf(at / Sym.size);
    if (index === undefined) {
      lost.set(from, nameAt(at));
      continue;
    }
    const value = readWrapping(after, at + st_value);
    let to: Address | undefined =
      after.getUint16(at + st_shndx, true) === SHN_ABS ? toAddress(value) : add(loadBias, value);
    if (typeOf({ st_info: after.getUint8(at + st_info) } as Sym) === STT_GNU_IFUNC) {
      const { symbols } = image;
      to = yield* findIn(object.linkMap, symbols.nameOf(symbols.at(index)), image.versionOf(index));
    }
    if (to === undefined) continue;
    const other = own.get(from);
    if (other === undefined) own.set(from, to);
    // Of several names for one function, one may have a hook.
    else if (other !== to && !hooked.has(other) && !hooked.has(to)) lost.set(from, nameAt(at));
  }
  for (const [from, to] of own) if (!moved.has(from)) moved.set(from, to);
  if (record !== undefined) lendTls(process, object.linkMap, linkMap, record);
  patch.set(placeholder.addressOf(placeholder.symbolTableAt), table);
  patch.setPointer(slot, nothing);
  return isSame;
}

/**
 * Whether the symbols of a placeholder are those of a library, one by one: names, versions, and what is defined. The
 * file of that path may have been replaced, and its size, and even the number of its symbols, may be the same.
 */
function haveSameSymbols(placeholder: LoadedImage, library: LoadedImage): boolean {
  const [own, others] = [wordsOf(placeholder.symbols.view), wordsOf(library.symbols.view)];
  // It has one symbol more, after the others: the function that its initializer calls. Some hash tables do not count it.
  const more = placeholder.symbols.length - library.symbols.length;
  if (more !== 0 && more !== 1) return false;
  if (!beginsWith(placeholder.strings.bytes, library.strings.bytes)) return false;
  const [versions, othersVersions] = library.verdefs.length > 0 ? [placeholder.versym, library.versym] : [];
  for (let at = SYM_WORDS, index = 1; index < library.symbols.length; at += SYM_WORDS, index++) {
    if (own[at] !== others[at]) return false;
    const section = shownSection(others[at + 1] as number);
    if (sectionIn(own[at + 1] as number) !== section) return false;
    if (section !== SHN_UNDEF && versions?.at(index) !== othersVersions?.at(index)) return false;
  }
  return haveSameVersions(placeholder, library);
}

/** Of the second word of a symbol: undefined, absolute, or any section. */
function sectionIn(info: number): number {
  const section = info >>> 16;
  return section === SHN_UNDEF || section === SHN_ABS ? section : ANY_SECTION;
}

/** As in a placeholder of it: see placeholderOf(). */
function shownSection(info: number): number {
  const section = sectionIn(info);
  const isHidden = (info & 15) === STT_TLS || ((info >>> 4) & 15) === STB_LOCAL;
  return section === ANY_SECTION && isHidden ? SHN_UNDEF : section;
}

function haveSameVersions(one: LoadedImage, other: LoadedImage): boolean {
  const namesOf = ({ verdefs }: LoadedImage) => verdefs.map(({ index, name }) => `${index} ${name}`).join("\n");
  return namesOf(one) === namesOf(other);
}

const beginsWith = (bytes: Uint8Array, beginning: Uint8Array): boolean =>
  bytes.length >= beginning.length && Buffer.compare(bytes.subarray(0, beginning.length), beginning) === 0;

/** The index of a placeholder's symbol in a library with other symbols. */
function sameIn(library: LoadedImage, placeholder: LoadedImage, index: number): number | undefined {
  const { symbols } = placeholder;
  return library.findReferenced(symbols.nameOf(symbols.at(index)), placeholder.versionOf(index));
}

/** A placeholder's own table with the entries that `shown`, the table of another file, has for its names. */
function symbolsByName(
  { symbols }: LoadedImage,
  shown: Uint8Array,
  indexOf: (index: number) => number | undefined,
): Uint8Array {
  const table = copyOf(symbols.view);
  const end = Sym.offsetOf.st_name + 4;
  for (let i = 1; i < symbols.length; i++) {
    const index = indexOf(i);
    const at = i * Sym.size;
    if (index !== undefined) table.set(shown.subarray(index * Sym.size + end, (index + 1) * Sym.size), at + end);
    // ld.so is not to find it any more.
    else if (isExported(symbols.at(i))) table.fill(0, at + end, at + Sym.size);
  }
  return table;
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
