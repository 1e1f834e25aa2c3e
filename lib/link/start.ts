// Links a program and places the code that starts it (start-code.ts) in the same address space. A new process and the
// linking process both start this way.

import { basename } from "node:path";
import { symbolObject } from "../elf/write/symbol-object.ts";
import { LinkError } from "../link-error.ts";
import { writeU64 } from "../memory/layout.ts";
import { cString } from "../memory/live.ts";
import { type Address, add, alignUp, PAGE_SIZE, toAddress, toVaddr } from "../memory/numbers.ts";
import { PROT_EXEC, PROT_READ, PROT_WRITE } from "../process/patch.ts";
import { dependenciesOf } from "../tree/dependencies.ts";
import type { Search } from "../tree/search.ts";
import { Assembler, addressOfLabel, type Code } from "../x86-64/assembler.ts";
import { EntryState } from "./enter-code.ts";
import { allFinalizers, allInitializers } from "./functions.ts";
import { type Linked, type LinkOptions, link } from "./link.ts";
import { entryOf, relroPages } from "./map.ts";
import type { LinkObject } from "./objects.ts";
import { isPending } from "./relocate.ts";
import type { StartStep } from "./relocation.ts";
import { type AddressSpace, writeTo } from "./space.ts";
import { emitStart, type Range, type StartTables } from "./start-code.ts";
import { emitTlsFunctions, TLS_GET_ADDR } from "./tls-code.ts";

/** The object through which a program with thread-local data finds its linker's functions. */
export const LINKER_OBJECT = "liblinker.so";

/**
 * On x86-64 the thread pointer points to itself. The fields that libcs keep after it are zero except two random words:
 * the stack protector's, whose first byte is zero, and the pointer guard.
 */
const THREAD_BLOCK = 256;
const STACK_GUARD = 0x28;
const POINTER_GUARD = 0x30;

/** Writes a file that exists while a program is being linked, and returns its path. */
export type WriteFile = (name: string, bytes: Uint8Array) => string;

/** How the start of a new process and of the linking one differ. */
interface Starting {
  readonly space: AddressSpace;
  /** Reserves pages for the start code and its data, like AddressSpace.reserve(). */
  readonly reserve: (length: number, alignment: number) => Address;
  readonly write: WriteFile;
  /** The program's path as given by the caller. */
  readonly executed: string;
  /**
   * Memory to zero and protect first of all; called when all but the code that does it is in place. `own` has the pages
   * of the start code and its data.
   */
  readonly memory?: (own: readonly Range[]) => Pick<StartTables, "zeroes" | "areas">;
  /** Corrections of the kernel's auxiliary values; `path` is the address of the program's path. */
  readonly auxiliary?: (program: LinkObject, path: Address) => StartTables["auxiliary"];
}

export interface Started extends Linked {
  readonly program: LinkObject;
  /** The address of `start`. */
  readonly start: Address;
  /** The pages of the start code and its data. */
  readonly own: readonly Range[];
}

/** Throws like link(). */
export function prepareStart(
  { space, reserve, write, executed, memory, auxiliary }: Starting,
  search: Search,
  program: string,
  options: LinkOptions = {},
): Started {
  // The TLS functions' address must be known before linking; the data they read is known only after.
  const functions = reserve(PAGE_SIZE, PAGE_SIZE);
  const { preload = [], descriptors } = linkerObject(search, program, functions, write);
  const linked = link(space, search, program, {
    ...options,
    preload: [...(options.preload ?? []), ...preload],
    ...(descriptors ? { descriptors } : {}),
  });
  try {
    const { objects, initialization, steps } = linked;
    const [first] = objects;
    if (!first) throw new LinkError(`Cannot link "${program}"`, { object: program });
    const own: Range[] = [];
    const placeCode = (start: Address, bytes: Uint8Array) => {
      const range = { start, length: wholePages(bytes.length), protection: PROT_READ | PROT_EXEC };
      space.mapZeroes(start, range.length, PROT_READ | PROT_WRITE);
      writeTo(space, start, bytes);
      space.protect(start, range.length, range.protection);
      own.push(range);
    };
    const data = placeData(space, reserve, linked);
    own.push(data.range);
    placeCode(functions, tlsFunctions(data.range.start).bytes);

    const tables: Omit<StartTables, "auxiliary"> = {
      ...(memory?.(own) ?? { zeroes: [], areas: [] }),
      threadPointer: data.threadPointer,
      steps: [...steps, ...data.steps],
      relro: objects
        .flatMap((object) => relroPages(object) ?? [])
        .map((range) => ({ ...range, protection: PROT_READ })),
      initializers: [...allInitializers(space, first, initialization)],
      entry: entryOf(first),
      finalizers: [...allFinalizers(space, initialization)],
      state: data.state,
      name: basename(executed),
    };
    const codeAt = (start: Address): Code => {
      const to = new Assembler();
      to.data(cString(executed)).align(16);
      emitStart(to, { ...tables, auxiliary: auxiliary?.(first, start) ?? new Map() });
      return to.assemble();
    };
    // Its length does not depend on its address.
    const { length } = codeAt(toAddress(0)).bytes;
    const start = reserve(length, PAGE_SIZE);
    const code = codeAt(start);
    placeCode(start, code.bytes);
    return { ...linked, program: first, start: addressOfLabel(code, "start", start), own };
  } catch (error) {
    linked[Symbol.dispose]();
    throw error;
  }
}

/** `length` rounded up to whole pages. */
export const wholePages = (length: number): number => alignUp(toVaddr(length), PAGE_SIZE);

function tlsFunctions(table: number): Code {
  const to = new Assembler();
  emitTlsFunctions(to, table);
  return to.assemble();
}

/** The LinkOptions for the TLS functions at an address, if any object has thread-local data; otherwise none. */
export function linkerObject(
  search: Search,
  program: string,
  functions: Address,
  write: WriteFile,
): Pick<LinkOptions, "preload" | "descriptors"> {
  const library = search.libraryAt(program);
  const { nodes } = dependenciesOf(search, library.needed, () => false, { library });
  if (![library, ...nodes.map((node) => node.library)].some(({ tls }) => tls && tls.size > 0)) return {};
  const code = tlsFunctions(0);
  const at = (label: string) => addressOfLabel(code, label, functions);
  const { bytes } = symbolObject({
    soname: LINKER_OBJECT,
    functions: new Map([[TLS_GET_ADDR, { address: at(TLS_GET_ADDR) }]]),
  });
  return {
    preload: [write(LINKER_OBJECT, bytes)],
    descriptors: { static: at("static descriptor"), undefined: at("undefined descriptor") },
  };
}

interface Data {
  readonly range: Range;
  readonly state: Address;
  readonly threadPointer: Address;
  /** Copies of initialization images with slots that wait for calls. */
  readonly steps: readonly StartStep[];
}

/** The blocks' distances, the state, and the blocks themselves, followed by the thread pointer. */
function placeData(space: AddressSpace, reserve: Starting["reserve"], { objects, tls, steps }: Linked): Data {
  const blocks = objects.flatMap((object) => object.tls ?? []);
  const stateAt = 8 * (blocks.length + 1);
  const alignment = Math.max(tls.alignment, 64);
  const blocksEnd = alignUp(toVaddr(stateAt + EntryState.size + tls.size), alignment);
  const length = wholePages(blocksEnd + THREAD_BLOCK);
  const start = reserve(length, Math.max(alignment, PAGE_SIZE));
  const range = { start, length, protection: PROT_READ | PROT_WRITE };
  space.mapZeroes(start, length, range.protection);
  const threadPointer = add(start, blocksEnd);
  const copies: StartStep[] = [];
  for (const { module, offset, fileSize, image } of blocks) {
    writeTo(space, add(start, 8 * module), word(offset));
    if (fileSize === 0) continue;
    const to = add(threadPointer, -offset);
    const { buffer, byteOffset } = space.read(image, fileSize);
    writeTo(space, to, new Uint8Array(buffer, byteOffset, fileSize));
    if (isPending(steps, image, fileSize)) copies.push({ kind: "copy", from: image, to, length: fileSize });
  }
  writeTo(space, threadPointer, word(threadPointer));
  const guards = crypto.getRandomValues(new Uint8Array(POINTER_GUARD + 8 - STACK_GUARD));
  guards[0] = 0;
  writeTo(space, add(threadPointer, STACK_GUARD), guards);
  return { range, state: add(start, stateAt), threadPointer, steps: copies };
}

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  writeU64(new DataView(bytes.buffer), 0, value);
  return bytes;
}
