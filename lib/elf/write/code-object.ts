// A shared object with its own machine code: functions that others can bind to, data that they write to, and addresses
// of other objects' symbols, which the loader writes into that data.

import { add, type Vaddr } from "../../memory/numbers.ts";
import type { Code } from "../../x86-64/assembler.ts";
import * as elf from "../constants.ts";
import { Rela } from "../rela.ts";
import { Sym } from "../sym.ts";
import { ANY_SECTION, emitSharedObject, planSharedObject, type SharedObjectPlan } from "./shared-object.ts";
import { StringTableWriter } from "./string-table.ts";
import { hashOfFirst } from "./symbol-object.ts";

export interface CodeObjectOptions {
  readonly soname: string;
  /** Sonames or paths. */
  readonly needed?: readonly string[];
  /** Instructions, then writable data from `dataAt` on. */
  readonly code: Code;
  /** In bytes, a multiple of the page size. If the code ends before it, the object has no data. */
  readonly dataAt: number;
  /** Exported name → label. They have no versions and match a reference with any. */
  readonly functions?: ReadonlyMap<string, string>;
  /** The functions that are IFUNCs: a reference gets what they return. */
  readonly indirect?: ReadonlySet<string>;
  /**
   * Symbol → label of the quad in the writable data that gets its address. They name no version: if a library has
   * several, glibc takes the oldest (memcpy@GLIBC_2.2.5, not memcpy@@GLIBC_2.14).
   */
  readonly imports?: ReadonlyMap<string, string>;
  /** The imports whose quads become 0 if nobody defines them; if any other is undefined, the object does not load. */
  readonly weak?: ReadonlySet<string>;
  readonly zeroPages?: number;
  /** DF_1_NODELETE: once loaded, it stays. */
  readonly nodelete?: boolean;
  /**
   * Label of a function that the loader calls while it relocates the object, after filling the imports and before any
   * constructor.
   */
  readonly resolver?: string;
  /** Like `resolver`, but can tell whether functions are bound lazily. */
  readonly gate?: Gate;
  /** Label of a function that the loader calls with (argc, argv, envp), after those of `needed`. */
  readonly init?: string;
  /** Label of a function that the loader calls at the end. */
  readonly fini?: string;
}

/** Labels: the function; a quad that is 0 when it runs if functions are bound at once; three quads for the loader. */
interface Gate {
  readonly resolver: string;
  readonly isLazy: string;
  readonly pltGot: string;
}

export interface CodeObject {
  readonly bytes: Uint8Array;
  readonly plan: SharedObjectPlan;
  readonly labels: ReadonlyMap<string, Vaddr>;
}

/**
 * A function that nobody defines: its slot is 0 once it has been looked up, and nonzero while lazy binding is pending.
 */
const NOBODYS = "capsule_nobodys";

/** Throws for a missing label, and for an import whose quad is not writable. */
export function codeObject(options: CodeObjectOptions): CodeObject {
  const { code, dataAt, weak = new Set(), indirect = new Set() } = options;
  const place = (label: string): number => {
    const at = code.labels.get(label);
    if (at === undefined) throw new Error(`Cannot write "${options.soname}": there is no label "${label}"`);
    return at;
  };
  const functions = [...(options.functions ?? [])].map(([name, label]) => ({ name, at: place(label) }));
  const imports = [...(options.imports ?? [])].map(([name, label]) => ({ name, at: place(label), label }));
  for (const { at, label } of imports)
    if (at < dataAt) throw new Error(`Cannot write "${options.soname}": the quad "${label}" is not among its data`);

  const strings = new StringTableWriter();
  const soname = strings.add(options.soname);
  const needed = (options.needed ?? []).map((name) => strings.add(name));
  const { gate } = options;
  const probe = gate ? [{ name: NOBODYS }] : [];
  const names = [...functions, ...imports, ...probe].map(({ name }) => strings.add(name));
  const count = 1 + names.length;
  const symbols = new Uint8Array(count * Sym.size);
  const resolver = options.resolver === undefined ? [] : [place(options.resolver)];
  const relocations = new Uint8Array((imports.length + resolver.length) * Rela.size);
  const jumps = new Uint8Array(2 * Rela.size);
  const tables = [
    { tag: elf.DT_SYMTAB, bytes: symbols },
    { tag: elf.DT_STRTAB, bytes: strings.bytes },
    hashOfFirst(functions.length, count),
    ...(relocations.length > 0 ? [{ tag: elf.DT_RELA, bytes: relocations }] : []),
    ...(gate ? [{ tag: elf.DT_JMPREL, bytes: jumps }] : []),
  ];
  const placeIf = (label: string | undefined) => (label === undefined ? undefined : place(label));
  const [init, fini, pltGot] = [options.init, options.fini, gate?.pltGot].map(placeIf);
  const plan = planSharedObject({
    ...{ tables, soname, needed, zeroPages: options.zeroPages, slots: gate ? 1 : resolver.length },
    code: { bytes: code.bytes, dataAt, init, fini, pltGot },
    flags1: options.nodelete ? elf.DF_1_NODELETE : undefined,
    osAbi: indirect.size > 0 ? elf.ELFOSABI_GNU : undefined,
  });

  names.forEach((name, i) => {
    const sym = Sym.at(new DataView(symbols.buffer), (1 + i) * Sym.size);
    sym.st_name = name;
    const defined = functions[i];
    if (defined) {
      sym.st_info = (elf.STB_GLOBAL << 4) | (indirect.has(defined.name) ? elf.STT_GNU_IFUNC : elf.STT_FUNC);
      sym.st_shndx = ANY_SECTION;
      sym.st_value = add(plan.codeAt, defined.at);
      return;
    }
    const index = i - functions.length;
    const wanted = imports[index];
    if (!wanted) {
      sym.st_info = (elf.STB_WEAK << 4) | elf.STT_NOTYPE;
      return;
    }
    sym.st_info = ((weak.has(wanted.name) ? elf.STB_WEAK : elf.STB_GLOBAL) << 4) | elf.STT_NOTYPE;
    const relocation = Rela.at(new DataView(relocations.buffer), index * Rela.size);
    relocation.r_offset = add(plan.codeAt, wanted.at);
    relocation.r_type = elf.R_X86_64_GLOB_DAT;
    relocation.r_sym = 1 + i;
  });
  for (const at of resolver) placeResolver(relocations, imports.length, plan, at);
  if (gate) {
    const relocation = Rela.at(new DataView(jumps.buffer));
    relocation.r_offset = add(plan.codeAt, place(gate.isLazy));
    relocation.r_type = elf.R_X86_64_JUMP_SLOT;
    relocation.r_sym = names.length;
    placeResolver(jumps, 1, plan, place(gate.resolver));
  }
  const labels = new Map(Array.from(code.labels, ([label, at]) => [label, add(plan.codeAt, at)]));
  return { bytes: emitSharedObject(plan), plan, labels };
}

/** Makes the loader call the function at offset `at` in the object's code, and store its result in a slot. */
export function placeResolver(relocations: Uint8Array, index: number, plan: SharedObjectPlan, at: number): void {
  const relocation = Rela.at(new DataView(relocations.buffer), index * Rela.size);
  relocation.r_offset = plan.slotsAt;
  relocation.r_type = elf.R_X86_64_IRELATIVE;
  relocation.r_addend = add(plan.codeAt, at);
}
