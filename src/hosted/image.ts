// The program's image in a form that glibc can open like a library: a copy of its PT_LOADs, with
//
//   DF_1_PIE cleared         or dlopen refuses it; DF_1_NOOPEN, too
//   $ORIGIN expanded         a copy is elsewhere; the longer string table is in one
//                            more PT_LOAD, in the program header of PT_INTERP
//   COPY relocations dropped glibc would bind them to the program itself
//   __libc_start_main        its slot gets an IRELATIVE whose resolver is in that
//                            PT_LOAD and jumps to us. glibc resolves it last of
//                            all (IRELATIVE after the others, the program after its
//                            libraries; 2.31–2.41), before any constructor runs:
//                            the moment to copy objects. The result replaces
//                            __libc_start_main
//   DT_INIT hooked           the program's constructors come last, so this is after
//                            those of its libraries, where glibc itself would
//                            register its destructors. If the program has no
//                            DT_INIT, it replaces DT_DEBUG, unused here by glibc

import { dirname } from "node:path";
import {
  DF_1_NOOPEN,
  DF_1_PIE,
  DT_DEBUG,
  DT_FLAGS_1,
  DT_INIT,
  DT_JMPREL,
  DT_RELA,
  DT_RPATH,
  DT_RUNPATH,
  DT_STRSZ,
  DT_STRTAB,
  PF_R,
  PF_X,
  PT_INTERP,
  PT_LOAD,
  R_X86_64_COPY,
  R_X86_64_IRELATIVE,
  R_X86_64_NONE,
} from "../../lib/elf/constants.ts";
import { Dyn } from "../../lib/elf/dyn.ts";
import { Ehdr } from "../../lib/elf/ehdr.ts";
import { type FileImage, openImage } from "../../lib/elf/file.ts";
import { Phdr, segmentAt } from "../../lib/elf/phdr.ts";
import { Rela } from "../../lib/elf/rela.ts";
import { writeU64 } from "../../lib/memory/layout.ts";
import { cString } from "../../lib/memory/live.ts";
import { type Address, add, alignUp, PAGE_SIZE, toOffset, toVaddr, type Vaddr } from "../../lib/memory/numbers.ts";
import { Assembler } from "../../lib/x86-64/assembler.ts";
import { edx, esi } from "../../lib/x86-64/narrow-registers.ts";
import { rip } from "../../lib/x86-64/operands.ts";
import { rax, rcx, rdi, rdx, rsi } from "../../lib/x86-64/registers.ts";
import { EXIT, ProgramError } from "../diagnostics/errors.ts";
import type { CopiedObject } from "../passes/copy-objects.ts";

export interface ProgramImage {
  readonly bytes: Uint8Array;
  /** The PT_LOADs that it shares with the program's file, and whether it changes bytes there. */
  readonly segments: readonly { readonly load: Phdr; readonly isChanged: boolean }[];
  readonly entry: Vaddr;
  readonly copied: readonly CopiedObject[];
  /** Whether it registers `atExit` after the constructors of its libraries. */
  readonly isHookedBehindLibraries: boolean;
}

interface Hooks {
  /** Called by glibc as an IFUNC resolver; its result is called instead of __libc_start_main. */
  readonly relocated: Address;
  /** A function to be called at exit, and __cxa_atexit. */
  readonly atExit: Address;
  readonly cxaAtexit: Address;
}

const START = "__libc_start_main";

/** Throws ProgramError and ElfError. */
export function hostedImage(path: string, hooks: Hooks): ProgramImage {
  using program = openImage(path);
  const size = copiedSize(program);
  const at = alignUp(program.end, PAGE_SIZE);
  const init = program.dynamic.get(DT_INIT);
  const assembler = new Assembler();
  emitStubs(assembler, hooks, init === undefined ? undefined : init - at);
  const { bytes: stub, labels } = assembler.assemble();
  const { table, values } = spelledOut(program, dirname(path), add(at, stub.length));
  const offset = alignUp(toOffset(size), PAGE_SIZE);
  const extra = Buffer.concat([stub, table]);

  const bytes = new Uint8Array(offset + extra.length);
  const before = program.file.copy(size, "PT_LOAD");
  bytes.set(before);
  bytes.set(extra, offset);
  const view = new DataView(bytes.buffer);

  Object.assign(Ehdr.at(view), { e_shoff: 0, e_shnum: 0, e_shstrndx: 0 });
  replacePhdrs(program, view, { at, offset, size: extra.length });
  const hooked = init === undefined ? DT_DEBUG : DT_INIT;
  values.set(hooked, at + (labels.get("init") ?? 0));
  patchDynamic(program, view, hooked, values);
  const copied = patchRelocations(program, view, at);
  const segments = program.loads.map((load) => {
    const [from, to] = [load.p_offset, Math.min(load.p_offset + load.p_filesz, size)];
    return { load, isChanged: Buffer.compare(before.subarray(from, to), bytes.subarray(from, to)) !== 0 };
  });
  const isHookedBehindLibraries = init !== undefined || program.dynamic.get(DT_DEBUG) !== undefined;
  return { bytes, segments, entry: program.ehdr.e_entry, copied, isHookedBehindLibraries };
}

/** How much of the file to copy: the mapped parts, in whole pages, and the headers, which may come after them. */
function copiedSize({ file, ehdr, loads }: FileImage): number {
  const ends = loads.map(({ p_offset, p_filesz }) => (p_filesz === 0 ? 0 : alignUp(p_offset + p_filesz, PAGE_SIZE)));
  return Math.min(file.size, Math.max(ehdr.e_phoff + ehdr.e_phnum * Phdr.size, ...ends));
}

/** The file offset of a vaddr. */
function fileOffset(program: FileImage, vaddr: Vaddr): number {
  const load = segmentAt(program.loads, vaddr);
  if (!load || load.p_filesz === 0)
    throw new ProgramError(
      `Cannot host "${program.path}": vaddr 0x${vaddr.toString(16)} is not in the file`,
      EXIT.notRunnable,
    );
  return vaddr - load.p_vaddr + load.p_offset;
}

/** The resolver, at the beginning, and `init`. `originalInit` is DT_INIT relative to the first stub. */
export function emitStubs(to: Assembler, { relocated, atExit, cxaAtexit }: Hooks, originalInit?: number): void {
  to.movabs(relocated, rax).jmp(rax).align(16);
  to.label("init").push(rdi, rsi, rdx); // (argc, argv, envp)
  to.movabs(atExit, rdi).xor(esi, esi).xor(edx, edx).movabs(cxaAtexit, rax).call(rax).pop(rdx, rsi, rdi);
  if (originalInit === undefined) to.ret();
  else {
    // More than 2 GiB of zeroes may lie in between.
    to.lea(rip("here"), rax).label("here");
    to.movabs(originalInit - to.length, rcx)
      .add(rcx, rax)
      .jmp(rax);
  }
  to.align(16);
}

/**
 * The string table with $ORIGIN expanded, empty if the program's own suffices, and what the dynamic section then says:
 * tag → value. It will be at `tableAt`.
 */
function spelledOut(
  program: FileImage,
  origin: string,
  tableAt: Vaddr,
): { table: Uint8Array; values: Map<number, number> } {
  const values = new Map<number, number>();
  const pieces: Uint8Array[] = [];
  let size = program.strings.size;
  for (const [tag, path] of [
    [DT_RPATH, program.rpath],
    [DT_RUNPATH, program.runpath],
  ] as const) {
    const expanded = path?.replace(/\$(?:\{ORIGIN\}|ORIGIN(?![A-Za-z0-9_]))/g, () => origin);
    if (expanded === undefined || expanded === path) continue;
    const piece = cString(expanded);
    values.set(tag, size);
    pieces.push(piece);
    size += piece.length;
  }
  if (pieces.length === 0) return { table: new Uint8Array(0), values };
  values.set(DT_STRTAB, tableAt).set(DT_STRSZ, size);
  return { table: Buffer.concat([program.strings.bytes, ...pieces]), values };
}

function replacePhdrs(
  program: FileImage,
  view: DataView,
  { at, offset, size }: { at: Vaddr; offset: number; size: number },
): void {
  const { e_phoff } = program.ehdr;
  const rawOf = (index: number) => new Uint8Array(view.buffer, e_phoff + index * Phdr.size, Phdr.size).slice();
  const load = new Uint8Array(Phdr.size);
  Object.assign(Phdr.at(new DataView(load.buffer)), {
    ...{ p_type: PT_LOAD, p_flags: PF_R | PF_X, p_offset: offset, p_align: PAGE_SIZE },
    ...{ p_vaddr: at, p_paddr: at, p_filesz: size, p_memsz: size },
  });
  const kinds = program.phdrs.map(({ p_type }) => p_type);
  const lastLoad = kinds.lastIndexOf(PT_LOAD);
  const table = kinds.flatMap((kind, i) => [
    ...(kind === PT_INTERP ? [] : [rawOf(i)]),
    ...(i === lastLoad ? [load] : []),
  ]);
  new Uint8Array(view.buffer, e_phoff, table.length * Phdr.size).set(Buffer.concat(table));
  Ehdr.at(view).e_phnum = table.length;
}

/** `hooked` is the tag of the entry that becomes DT_INIT; `values` has the new values, tag → value. */
function patchDynamic(program: FileImage, view: DataView, hooked: number, values: ReadonlyMap<number, number>): void {
  const start = fileOffset(program, program.dynamicAt);
  for (const { tag, value, at } of program.dynamic.entries) {
    const changed = tag === DT_FLAGS_1 ? [DF_1_PIE, DF_1_NOOPEN].reduce(without, value) : values.get(tag);
    if (changed !== undefined) writeU64(view, start + at + Dyn.offsetOf.d_val, changed);
    if (tag === hooked) writeU64(view, start + at + Dyn.offsetOf.d_tag, DT_INIT);
  }
}

/** The upper half stays as it is. */
const without = (flags: number, flag: number): number => ((flags & flag) !== 0 ? flags - flag : flags);

function patchRelocations(program: FileImage, view: DataView, resolver: Vaddr): CopiedObject[] {
  const copied: CopiedObject[] = [];
  let isHooked = false;
  const { symbols, rela, jmprel } = program;
  for (const { table, tag } of [
    { table: rela, tag: DT_RELA },
    { table: jmprel, tag: DT_JMPREL },
  ]) {
    const start = program.dynamic.get(tag);
    if (start === undefined) continue;
    for (let i = tag === DT_RELA ? program.relativeCount : 0; i < table.length; i++) {
      const { r_type, r_sym, r_offset } = table.at(i);
      const isStart = r_sym !== 0 && !isHooked && symbols.nameOf(symbols.at(r_sym)) === START;
      if (r_type !== R_X86_64_COPY && !isStart) continue;
      const patched = Rela.at(view, fileOffset(program, toVaddr(start + i * Rela.size)));
      patched.r_sym = 0;
      if (isStart) {
        isHooked = true;
        patched.r_type = R_X86_64_IRELATIVE;
        patched.r_addend = resolver;
      } else {
        copied.push({ at: r_offset, symbol: r_sym });
        patched.r_type = R_X86_64_NONE;
      }
    }
  }
  if (!isHooked)
    throw new ProgramError(`Cannot host "${program.path}": it does not start by ${START}`, EXIT.notRunnable);
  return copied;
}
