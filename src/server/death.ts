// Where a thread dies of a signal: object, symbol and tree, if it is in a capsule. glibc's own functions (abort,
// memcpy) do not show whose fault it is, so the first return address above them counts.

import { STT_FUNC, STT_GNU_IFUNC } from "../../lib/elf/constants.ts";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { typeOf } from "../../lib/elf/sym.ts";
import { type LoadedObject, linkMap } from "../../lib/loader/link-map.ts";
import { readU64 } from "../../lib/memory/layout.ts";
import { findMapping, type Mapping, readMaps } from "../../lib/memory/maps.ts";
import { type Address, add, hex, toAddress } from "../../lib/memory/numbers.ts";
import type { Process } from "../../lib/process/process.ts";
import { unlessRefused } from "../../lib/unless.ts";
import { FATAL_SIGNALS } from "../agent/code/signals.ts";
import type { Capsule } from "../passes/linkage.ts";

/** Offsets in ucontext_t (x86-64): uc_mcontext.gregs[REG_RSP] and [REG_RIP]. */
const RSP = 160;
const RIP = 168;
/** How far up the stack to look for a return address, in bytes. */
const REACH = 4096;

/**
 * One line, or undefined if the program dies in its own code. `shared` are the files of the shared set, `context` is
 * the handler's third argument.
 */
export function deathNotice(
  process: Process,
  capsules: readonly Capsule[],
  shared: ReadonlySet<string>,
  signal: number,
  context: Address,
): string | undefined {
  const mappings = readMaps(process.task);
  const at = (offset: number) => toAddress(readU64(process.memory.view(add(context, offset), 8), 0));
  const [instruction, stack] = [at(RIP), at(RSP)];
  const isLibc = ({ path }: Mapping) => path === "[vdso]" || shared.has(path);
  const name = FATAL_SIGNALS[signal] ?? `signal ${signal}`;
  const here = placeIn(capsules, process, instruction);
  if (here) return `${name} in ${here}`;
  // Not in a capsule: the program's own fault, unless a capsule called glibc.
  const inside = findMapping(mappings, instruction);
  if (inside && !isLibc(inside)) return undefined;
  const top = Math.min(findMapping(mappings, stack)?.end ?? 0, stack + REACH);
  for (let word = stack; word + 8 <= top; word = add(word, 8)) {
    const value = toAddress(readU64(process.memory.view(word, 8), 0));
    const mapping = Number.isFinite(value) ? findMapping(mappings, value) : undefined;
    if (!mapping?.executable || isLibc(mapping)) continue;
    // The call may have been the last instruction of its function, so the return address may lie after that.
    const caller = placeIn(capsules, process, add(value, -1));
    return (
      caller &&
      `${name} ${inside ? "in libc, called" : `at ${hex(instruction)}, where nothing is, called`} by ${caller}`
    );
  }
  return undefined;
}

/** "symbol+0x14 of soname ("path"), host tree /root". */
function placeIn(capsules: readonly Capsule[], process: Process, address: Address): string | undefined {
  for (const { mirrors, search } of capsules) {
    const first = mirrors.values().next().value;
    if (!first) continue;
    for (const object of linkMap(process, first.linkMap)) {
      const image = imageOf(object);
      if (!image?.holds(address)) continue;
      return `${symbolAt(image, address)} of ${image.soname ?? object.path} ("${object.path}"), host tree ${search.tree.name}`;
    }
  }
  return undefined;
}

/** Undefined if the file is gone. */
const imageOf = (object: LoadedObject): LoadedImage | undefined => unlessRefused(() => object.image);

/** The exported function that contains an address; without one, the offset into the object. */
function symbolAt(image: LoadedImage, address: Address): string {
  const vaddr = image.vaddrAt(address);
  for (const sym of image.symbols) {
    if (sym.st_shndx === 0 || ![STT_FUNC, STT_GNU_IFUNC].includes(typeOf(sym))) continue;
    if (vaddr >= sym.st_value && vaddr < sym.st_value + sym.st_size)
      return `${image.symbols.nameOf(sym)}+${hex(vaddr - sym.st_value)}`;
  }
  return hex(vaddr);
}
