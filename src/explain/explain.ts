// Makes an Explanation: links in a simulated address space, and records each step.

import { basename } from "node:path";
import { PT_PHDR, R_X86_64_NONE, R_X86_64_RELATIVE, STT_FUNC } from "../../lib/elf/constants.ts";
import type { Answer } from "../../lib/elf/find-symbol.ts";
import { AUXILIARY_TYPES } from "../../lib/elf/names.ts";
import { type Sym, typeOf } from "../../lib/elf/sym.ts";
import { allFinalizers, allInitializers, functionCounts, type ObjectFunction } from "../../lib/link/functions.ts";
import { auxiliaryOf, entryOf, programHeadersAt, relroPages } from "../../lib/link/map.ts";
import type { LinkObject } from "../../lib/link/objects.ts";
import type { Relocation } from "../../lib/link/relocation.ts";
import { ownContext } from "../../lib/link/run-here.ts";
import { type Simulation, simulate } from "../../lib/link/simulate.ts";
import { LINKER_OBJECT, linkerObject, type WriteFile } from "../../lib/link/start.ts";
import { OURS } from "../../lib/link/start-image.ts";
import type { Value } from "../../lib/link/values.ts";
import { add, hex } from "../../lib/memory/numbers.ts";
import { PROT_EXEC, PROT_READ, PROT_WRITE } from "../../lib/process/patch.ts";
import type { Search } from "../../lib/tree/search.ts";
import { withFiles } from "../directories/short-lived.ts";
import type {
  ContextStep,
  ExplainedFunction,
  ExplainedObject,
  ExplainedRelocation,
  Explanation,
  Range,
} from "./explanation.ts";
import type { Linkable } from "./link-program.ts";

/** The most constructors or destructors listed. The rest are counted, since a file can claim millions. */
const LISTED = 1000;

/** `list` is the program's argv. Throws what link() throws. An undefined symbol is a warning. */
export function explain(
  search: Search,
  { path, executed, fault }: Omit<Linkable, "why">,
  list: readonly string[],
  environment: number,
): Explanation {
  const done: Relocation[] = [];
  const relative = new Map<LinkObject, number>();
  const warnings: string[] = [];
  const onRelocation = (relocation: Relocation): void => {
    if (relocation.type === R_X86_64_RELATIVE)
      relative.set(relocation.object, (relative.get(relocation.object) ?? 0) + 1);
    else if (relocation.type !== R_X86_64_NONE) done.push(relocation);
  };
  // Add the linker's own object, as a run does, if the program can be run.
  const own = (write: WriteFile) => (fault === undefined ? linkerObject(search, path, OURS, write) : {});
  using simulation = withFiles((write) =>
    simulate(search, path, {
      ...own(write),
      onRelocation,
      onUnresolved: ({ message }) => warnings.push(message),
      onWarning: (text) => warnings.push(text),
    }),
  );
  const { objects, initialization, space } = simulation;
  const [first] = objects as [LinkObject];
  const names = new FunctionNames(objects);
  const toldOf = (functions: Generator<ObjectFunction>) => Array.from(functions.take(LISTED), (one) => names.told(one));
  const counts = functionCounts(first, initialization);
  return {
    program: first.path,
    context: contextOf(first, executed, list, environment),
    objects: objects.map((object) => shown(object, simulation, relative.get(object) ?? 0)),
    relocations: done.map(told),
    warnings,
    initializers: toldOf(allInitializers(space, first, initialization, LISTED)),
    initializerCount: counts.initializers,
    entry: names.told({ object: first, address: entryOf(first), at: undefined, from: "e_entry" }),
    finalizers: toldOf(allFinalizers(space, initialization, LISTED)),
    finalizerCount: counts.finalizers,
    isOnlyShown: fault,
  };
}

const MEANINGS: Readonly<Record<string, string>> = {
  AT_PHDR: "where the program's headers are mapped",
  AT_PHENT: "bytes of one of them",
  AT_PHNUM: "how many there are",
  AT_BASE: "where its dynamic linker is mapped: nowhere, this is it",
  AT_ENTRY: "where the program begins",
  AT_PLATFORM: "where the name of the processor's kind is",
  AT_BASE_PLATFORM: "where the name of the real processor's kind is",
  AT_RANDOM: "where 16 random bytes are",
  AT_EXECFN: "the path by which the program has been called",
  AT_SYSINFO_EHDR: "where the kernel's own library, the vDSO, is mapped",
};

/** Entries that point to data whose address the kernel chooses for each process. */
const AT_START = new Set(["AT_PLATFORM", "AT_BASE_PLATFORM", "AT_RANDOM", "AT_SYSINFO_EHDR"]);

function contextOf(program: LinkObject, executed: string, list: readonly string[], environment: number): ContextStep {
  const own = auxiliaryOf(program);
  const auxiliary = ownContext().auxiliary.map(({ type, value }) => {
    const name = AUXILIARY_TYPES.get(type) ?? `type ${type}`;
    // All others have the same value in every process that is started here.
    const known = AT_START.has(name) ? undefined : hex(own.get(type) ?? value);
    return { name, value: name === "AT_EXECFN" ? executed : known, meaning: MEANINGS[name] };
  });
  const header = program.image.segment(PT_PHDR);
  const headersAt = programHeadersAt(program);
  const loadBias =
    header && headersAt !== undefined
      ? { headersAt: hex(headersAt), vaddr: hex(header.p_vaddr), bias: hex(program.loadBias) }
      : undefined;
  return { arguments: list, environment, auxiliary, loadBias };
}

function shown(object: LinkObject, { mapped }: Simulation, relative: number): ExplainedObject {
  const { index, needs, loadBias, start, end, tls } = object;
  const isOwn = object.library.soname === LINKER_OBJECT;
  const relro = relroPages(object);
  const segments = mapped
    .filter((area) => area.start >= start && area.end <= end && area.protection !== 0)
    .map((area) => ({
      ...rangeOf(area.start, area.end),
      protection: protectionOf(area.protection),
      offset: area.backing && hex(area.backing.offset),
    }));
  return {
    index,
    // the program's name is its path
    name: basename(object.name),
    path: isOwn ? LINKER_OBJECT : object.path,
    why: isOwn ? "capsule's own, with what programs call of their linker" : object.why,
    needs: [...needs],
    loadBias: hex(loadBias),
    ...rangeOf(start, end),
    segments,
    relro: relro && rangeOf(relro.start, add(relro.start, relro.length)),
    tls: tls && {
      ...{ module: tls.module, offset: tls.offset, size: tls.size },
      image: tls.fileSize > 0 ? rangeOf(tls.image, add(tls.image, tls.fileSize)) : undefined,
    },
    relative,
  };
}

const rangeOf = (start: number, end: number): Range => ({ start: hex(start), end: hex(end) });

const protectionOf = (protection: number): string =>
  [PROT_READ, PROT_WRITE, PROT_EXEC].map((bit, i) => (protection & bit ? "rwx"[i] : "-")).join("");

function told(relocation: Relocation): ExplainedRelocation {
  const { object, table, vaddr, typeName, name, version, addend, definition, effect, searched } = relocation;
  const { copied, call, value } = effect;
  return {
    object: object.index,
    table,
    type: typeName,
    at: hex(add(object.loadBias, vaddr)),
    vaddr: hex(vaddr),
    symbol: name,
    version,
    addend: shownValue(addend),
    definer: name === undefined ? undefined : definition?.object.index,
    value: value === undefined ? undefined : shownValue(value),
    copied: copied && { from: hex(copied.from), length: copied.length },
    resolver: call && hex(call.resolver),
    searched: searched.map(({ object, answer }) => ({ object: object.index, answer: wordsOf(answer) })),
  };
}

const shownValue = (value: Value): string => (value < 0 ? `-${hex(-value as number)}` : hex(value as number));

const WORDS: Readonly<Partial<Record<Answer, string>>> = {
  "no such name": "does not have it",
  undefined: "needs it, too",
};

const wordsOf = (answer: Answer): string => (typeof answer === "number" ? "has it" : (WORDS[answer] ?? answer));

/**
 * Finds the names of functions. Each object's symbols are indexed at most once, and only if one of its functions is
 * called.
 */
class FunctionNames {
  readonly #known = new Map<LinkObject, ReadonlyMap<number, Sym>>();

  constructor(readonly objects: readonly LinkObject[]) {}

  told({ object, address, from }: ObjectFunction): ExplainedFunction {
    const holder = this.objects.find(({ start, end }) => address >= start && address < end) ?? object;
    const sym = this.#of(holder).get(address - holder.loadBias);
    const symbol = sym && holder.image.symbols.nameOf(sym);
    return { object: object.index, from, address: hex(address), symbol };
  }

  #of(object: LinkObject): ReadonlyMap<number, Sym> {
    return this.#known.getOrInsertComputed(object, () => {
      const functions = new Map<number, Sym>();
      for (const sym of object.image.symbols)
        if (sym.st_shndx !== 0 && typeOf(sym) === STT_FUNC) functions.getOrInsert(sym.st_value, sym);
      return functions;
    });
  }
}
