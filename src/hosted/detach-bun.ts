// Takes Bun out of the program's way. The process was started with Bun as its program, so Bun comes first wherever
// glibc looks: its 690 exported symbols (napi_*, uv_*) would shadow the program's libraries, and libc's stdout, stdin,
// stderr and environ live in Bun's own data (COPY relocations). Afterwards it is as if no program were loaded yet: the
// objects are libc's own again, and the global scope contains only what the user preloads, and glibc.

import { eachBoundSlot } from "../../lib/elf/bound-slots.ts";
import { findReferencedAddress, type LoadedImage } from "../../lib/elf/loaded.ts";
import { Sym } from "../../lib/elf/sym.ts";
import { LinkError } from "../../lib/link-error.ts";
import type { LoadedObject } from "../../lib/loader/link-map.ts";
import { type Address, add } from "../../lib/memory/numbers.ts";
import type { Libc } from "../../lib/process/libc.ts";
import { copy, Patch } from "../../lib/process/patch.ts";
import { copiedIn } from "../passes/copy-objects.ts";
import { redirect } from "../passes/redirect.ts";
import type { Run } from "./run.ts";
import { hostScope } from "./scope.ts";

export function detachBun(run: Run, interposer: LoadedObject): void {
  const { base, libc, trace } = run;
  const bun = base.bunImage;
  const patch = new Patch();
  for (const image of [bun, ...base.family]) bindNow(libc, image, patch);
  const bound = patch.length;
  giveBackCopies(libc, bun, base.family, patch);
  run.counts.written += patch.length;
  libc.run(patch.apply(libc));
  trace.log(
    "redirect",
    () => `Bun: ${bound} functions bound, ${patch.length - bound} slots of libc's objects given back`,
  );
  hostScope(run, interposer);
}

/**
 * Binds the functions that Bun has not called yet, as LD_BIND_NOW would: its threads keep running, and must not look up
 * a function in what becomes the program's scope. The same for the libraries that were loaded with it, which have no
 * other scope (libdl.so.2 of glibc 2.31 is bound lazily).
 */
function bindNow(libc: Libc, image: LoadedImage, patch: Patch): void {
  const { symbols, versym } = image;
  const strings = image.addressOf(image.stringTableAt);
  const versions = new Map(image.verneeds.map(({ index, nameOffset }) => [index, add(strings, nameOffset)]));
  // Hot (280 of them): the names stay in place, no string is made.
  eachBoundSlot(image, "calls", (value, at, _addend, symbol) => {
    if (!image.holds(value)) return;
    const name = add(strings, symbols.view.getUint32(symbol * Sym.size + Sym.offsetOf.st_name, true));
    const found = libc.symbols.findAt(name, versions.get(versym?.at(symbol) ?? 0));
    if (found !== 0) patch.setPointer(image.addressOf(at), found);
  });
}

/** Moves the objects that Bun has copied back to the library that defines them. */
function giveBackCopies(libc: Libc, bun: LoadedImage, family: readonly LoadedImage[], patch: Patch): void {
  const moved = new Map<number, Address>();
  for (const { at, symbol } of copiedIn(bun)) {
    const sym = bun.symbols.at(symbol);
    const name = bun.symbols.nameOf(sym);
    const home = findReferencedAddress(family, name, bun.versionOf(symbol));
    if (home === undefined)
      throw new LinkError(`Cannot find the object "${name}" that Bun has copied`, { symbol: name });
    copy(libc, bun.addressOf(at), home, sym.st_size);
    moved.set(bun.addressOf(at), home);
  }
  redirect(family, moved, patch);
}
