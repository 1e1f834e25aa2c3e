// Links a program into an image of its process: a static executable, in which the program
// and all that it needs are where they will be, relocated, with the code in front that
// does the rest (start-code.ts). The kernel maps it, and nothing has to come in between:
// for programs at fixed addresses, and for those with thread-local data.

import { basename } from "node:path";
import { ET_EXEC, PF_R, PF_W, PF_X, PT_GNU_STACK, PT_LOAD } from "../elf/constants.ts";
import { Ehdr } from "../elf/ehdr.ts";
import { emitHeaders, type Segment, sizeOfHeaders } from "../elf/write/shared-object.ts";
import { symbolObject } from "../elf/write/symbol-object.ts";
import { LinkError } from "../loader/error.ts";
import { writeU64 } from "../memory/layout.ts";
import { cString } from "../memory/live.ts";
import { type Address, add, alignUp, PAGE_SIZE, toAddress, toVaddr } from "../memory/numbers.ts";
import { PROT_EXEC, PROT_READ, PROT_WRITE } from "../process/patch.ts";
import type { Search } from "../tree/search.ts";
import { Assembler, addressOfLabel } from "../x86-64/assembler.ts";
import { AT_EXECFN } from "./context.ts";
import { EntryState } from "./enter-code.ts";
import { allFinalizers, allInitializers } from "./functions.ts";
import { type Linked, type LinkOptions, link } from "./link.ts";
import { auxiliaryOf, entryOf, relroPages, wantsExecutableStack } from "./map.ts";
import { SimulatedSpace } from "./simulated-space.ts";
import { emitStart } from "./start-code.ts";
import { emitTlsFunctions, TLS_GET_ADDR } from "./tls-code.ts";

/** Far from where the kernel puts stacks, libraries and heaps of its own. */
const LIBRARIES = toAddress(0x2aaa_aaaa_a000);
/** Our own pages: what code calls of a linker, then what is written to, then what runs first. */
const LINKER = toAddress(0x3000_0000_0000);
const DATA = add(LINKER, PAGE_SIZE);
/** As on x86-64 the thread pointer points at itself; what libcs have behind it is zero. */
const THREAD_BLOCK = 256;

/** What is at an address, with its protection; what is behind the bytes is zero. */
interface Piece {
  readonly start: Address;
  readonly length: number;
  readonly protection: number;
  readonly bytes: Uint8Array;
}

/** `write` puts a file somewhere, for as long as this takes, and returns its path. Throws as link() does. */
export function startImage(
  search: Search,
  program: string,
  write: (name: string, bytes: Uint8Array) => string,
  options: LinkOptions = {},
): Uint8Array {
  const space = new SimulatedSpace(LIBRARIES);
  const functions = new Assembler();
  emitTlsFunctions(functions, DATA);
  const tls = functions.assemble();
  const at = (label: string) => addressOfLabel(tls, label, LINKER);
  const { bytes } = symbolObject({
    soname: "liblinker.so",
    functions: new Map([[TLS_GET_ADDR, { address: at(TLS_GET_ADDR) }]]),
  });
  using linked = link(space, search, program, {
    ...options,
    preload: [...(options.preload ?? []), write("liblinker.so", bytes)],
    descriptors: { static: at("static descriptor"), undefined: at("undefined descriptor") },
  });
  const { objects, initialization, calls } = linked;
  const [first] = objects;
  if (!first) throw new LinkError(`Cannot link "${program}"`, { object: program });

  const data = dataPiece(space, linked);
  const start = add(data.piece.start, data.piece.length);
  const to = new Assembler();
  // Where the code is: its address is known.
  to.data(cString(first.path)).align(16);
  emitStart(to, {
    auxiliary: auxiliaryOf(first).set(AT_EXECFN, BigInt(start)),
    threadPointer: data.threadPointer,
    resolved: calls.map(({ slot, resolver, addend }) => ({ at: slot, resolver, addend: Number(addend) })),
    protected: objects
      .flatMap((object) => relroPages(object) ?? [])
      .map((range) => ({ ...range, protection: PROT_READ })),
    initializers: Array.from(allInitializers(space, first, initialization), ({ address }) => address),
    entry: entryOf(first),
    finalizers: Array.from(allFinalizers(space, initialization), ({ address }) => address),
    state: data.state,
    name: basename(program),
  });
  const code = to.assemble();
  const own = (from: Address, content: Uint8Array): Piece => {
    return { start: from, length: pages(content.length), protection: PROT_READ | PROT_EXEC, bytes: content };
  };
  const pieces = [...piecesOf(space), own(LINKER, tls.bytes), data.piece, own(start, code.bytes)];
  const isExecutable = objects.some(wantsExecutableStack);
  return emit(pieces, addressOfLabel(code, "start", start), isExecutable);
}

const pages = (length: number): number => alignUp(toVaddr(length), PAGE_SIZE);

/** Distances of the blocks, the state, and the blocks themselves, with the thread pointer behind them. */
function dataPiece(
  space: SimulatedSpace,
  { objects, tls }: Linked,
): { piece: Piece; state: Address; threadPointer: Address | undefined } {
  const blocks = objects.flatMap((object) => object.tls ?? []);
  const stateAt = 8 * (blocks.length + 1);
  const blocksEnd = alignUp(toVaddr(stateAt + EntryState.size + tls.size), Math.max(tls.alignment, 64));
  const bytes = new Uint8Array(blocksEnd + THREAD_BLOCK);
  const view = new DataView(bytes.buffer);
  for (const { module, offset, fileSize, image } of blocks) {
    writeU64(view, 8 * module, offset);
    const { buffer, byteOffset } = space.read(image, fileSize);
    bytes.set(new Uint8Array(buffer, byteOffset, fileSize), blocksEnd - offset);
  }
  const threadPointer = add(DATA, blocksEnd);
  writeU64(view, blocksEnd, threadPointer);
  const piece = { start: DATA, length: pages(bytes.length), protection: PROT_READ | PROT_WRITE, bytes };
  return { piece, state: add(DATA, stateAt), threadPointer: blocks.length > 0 ? threadPointer : undefined };
}

/** What can be read of the space; RELRO is protected when resolvers have been called. */
const piecesOf = (space: SimulatedSpace): Piece[] =>
  space.areas
    .filter(({ protection }) => protection !== 0)
    .map(({ start, end, protection }) => {
      const { buffer } = space.read(start, end - start);
      return { start, length: end - start, protection, bytes: withoutZeroes(new Uint8Array(buffer)) };
    });

function withoutZeroes(bytes: Uint8Array): Uint8Array {
  const last = bytes.findLastIndex((byte) => byte !== 0);
  return bytes.subarray(0, last + 1);
}

function emit(pieces: readonly Piece[], entry: Address, isStackExecutable: boolean): Uint8Array {
  const sorted = pieces.toSorted((one, other) => one.start - other.start);
  let offset = pages(sizeOfHeaders(sorted.length + 1));
  const segments = sorted.map(({ start, length, protection, bytes }): Segment => {
    const segment = {
      ...{ type: PT_LOAD, flags: flagsOf(protection), vaddr: start, offset },
      ...{ filesz: bytes.length, memsz: length, align: PAGE_SIZE },
    };
    offset += pages(bytes.length);
    return segment;
  });
  const file = new Uint8Array(offset);
  const stack = PF_R | PF_W | (isStackExecutable ? PF_X : 0);
  const view = new DataView(file.buffer);
  emitHeaders(view, [...segments, { type: PT_GNU_STACK, flags: stack, vaddr: 0, filesz: 0, memsz: 0, align: 16 }]);
  const ehdr = Ehdr.at(view);
  ehdr.e_type = ET_EXEC;
  ehdr.e_entry = toVaddr(entry);
  for (const [i, { bytes }] of sorted.entries()) file.set(bytes, segments[i]?.offset ?? 0);
  return file;
}

const flagsOf = (protection: number): number =>
  (protection & PROT_READ ? PF_R : 0) | (protection & PROT_WRITE ? PF_W : 0) | (protection & PROT_EXEC ? PF_X : 0);
