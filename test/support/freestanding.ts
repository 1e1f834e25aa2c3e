// Programs and libraries without a libc, and what ld.so makes of them: nothing but ld.so has written to their memory,
// so that every byte of it must be what a link gives.

import { expect } from "bun:test";
import { PF_W, PT_DYNAMIC, R_X86_64_TLSDESC, STV_PROTECTED } from "../../lib/elf/constants.ts";
import { type Linked, type LinkOptions, link } from "../../lib/link/link.ts";
import { protectRelro } from "../../lib/link/map.ts";
import type { LinkObject } from "../../lib/link/objects.ts";
import type { Relocation } from "../../lib/link/relocation.ts";
import { simulate } from "../../lib/link/simulate.ts";
import { type Address, add, alignUp, hex, PAGE_SIZE } from "../../lib/memory/numbers.ts";
import { Search } from "../../lib/tree/search.ts";
import { Tree } from "../../lib/tree/tree.ts";
import { type Binary, build } from "./fixtures.ts";
import { bindingLine, boundByLdSo } from "./ld-debug.ts";
import { PausedProcess, SpaceOf } from "./paused-process.ts";

/** What a program of these fixtures does: it writes a byte, and waits for its end. */
const START = `__asm__(".globl _start\\n_start:\\n push $120\\n mov $1, %eax\\n mov $1, %edi\\n mov %rsp, %rsi\\n mov $1, %edx\\n syscall\\n\
1: xor %eax, %eax\\n xor %edi, %edi\\n mov %rsp, %rsi\\n mov $1, %edx\\n syscall\\n test %eax, %eax\\n jg 1b\\n\
mov $60, %eax\\n xor %edi, %edi\\n syscall\\n");`;

export const FREESTANDING = ["-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fno-builtin", `-DSTART=${START}`];
export const FIXED = ["-fno-pie", "-no-pie"];

/** Builds fixtures/link/<folder>. */
export function freestanding(folder: string, binaries: readonly Binary[]): Promise<string> {
  return build(
    `link/${folder}`,
    binaries.map((binary) => ({ ...binary, flags: [...FREESTANDING, ...(binary.flags ?? [])] })),
  );
}

export const ownSearch = (): Search => new Search(new Tree("/"));

/** Every page of the program's objects has the same bytes, and the same protection, as in a process of it. */
export async function expectAsLdSo(program: string, options: LinkOptions = {}): Promise<Relocation[]> {
  const env = { LD_BIND_NOW: "1", ...(options.preload ? { LD_PRELOAD: options.preload.join(":") } : {}) };
  await using paused = await PausedProcess.start([program], env);
  const search = ownSearch();
  using model = simulate(search, program, options);
  const space = new SpaceOf(model.objects.map(({ path }) => paused.startOf(path)));
  const relocations: Relocation[] = [];
  using linked = link(space, search, program, { ...options, onRelocation: (one) => relocations.push(one) });
  for (const object of linked.objects) protectRelro(space, object);
  const differences: string[] = [];
  for (const object of linked.objects.filter(({ library }) => library.soname !== "ld-linux-x86-64.so.2")) {
    differences.push(...differentBytes(paused, space, linked, object, relocations));
    differences.push(...differentProtections(paused, space, object));
  }
  expect(differences).toEqual([]);
  return relocations;
}

/** Symbol by symbol. */
export function expectBindingsAsLdSo(program: string): void {
  const bindings = new Set<string>();
  using _ = simulate(ownSearch(), program, {
    onRelocation({ object, symbol, isSearched, definition, name = "", version }) {
      if (!isSearched || !definition) return;
      const isProtected = object.image.symbols.visibility(symbol) === STV_PROTECTED;
      bindings.add(bindingLine(object.path, definition.object.path, name, version, isProtected));
    },
  });
  expect(boundByLdSo(new Tree("/"), program).bindings).toEqual(bindings);
}

function differentBytes(
  paused: PausedProcess,
  space: SpaceOf,
  linked: Linked,
  object: LinkObject,
  relocations: readonly Relocation[],
): string[] {
  const excused = excusedWords(linked, object, relocations);
  const differences: string[] = [];
  for (const { p_vaddr, p_memsz, p_flags } of object.image.loads) {
    if ((p_flags & PF_W) === 0) continue;
    const start = add(object.loadBias, p_vaddr);
    const real = paused.read(start, p_memsz);
    const ours = space.read(start, p_memsz);
    for (let i = 0; i < p_memsz; i++) {
      if (real[i] === ours.getUint8(i) || excused.some((at) => start + i >= at && start + i < at + 8)) continue;
      const by = relocations.find(
        (one) => one.object === object && p_vaddr + i >= one.vaddr && p_vaddr + i < one.vaddr + 8,
      );
      differences.push(
        `${object.path} vaddr ${hex(p_vaddr + i)} (${by?.typeName} ${by?.name}): ${real[i]}, not ${ours.getUint8(i)}`,
      );
      i += 7;
    }
  }
  return differences;
}

/**
 * Words that are not to be compared: what a resolver has chosen, what descriptors call, and the dynamic section, which
 * ld.so makes its own.
 */
function excusedWords({ steps }: Linked, object: LinkObject, relocations: readonly Relocation[]): Address[] {
  const excused: Address[] = steps.flatMap((step) => (step.kind === "call" ? [step.slot] : []));
  for (const { object: of, type, vaddr } of relocations)
    if (of === object && type === R_X86_64_TLSDESC) excused.push(add(object.loadBias, vaddr));
  const section = object.image.segment(PT_DYNAMIC);
  for (let at = 0; section && at < section.p_memsz; at += 8) excused.push(add(object.loadBias, section.p_vaddr + at));
  return excused;
}

function differentProtections(paused: PausedProcess, space: SpaceOf, object: LinkObject): string[] {
  const differences: string[] = [];
  for (const { p_vaddr, p_memsz } of object.image.loads) {
    const end = alignUp(add(object.loadBias, p_vaddr + p_memsz), PAGE_SIZE);
    for (let at = add(object.loadBias, p_vaddr); at < end; at = add(at, PAGE_SIZE)) {
      const mapping = paused.mappings.find(({ start, end: last }) => at >= start && at < last);
      const real = mapping && [mapping.readable, mapping.writable, mapping.executable];
      const ours = space.areas.find(({ start, end: last }) => at >= start && at < last)?.protection ?? 0;
      const bits = [1, 2, 4].map((bit) => (ours & bit) !== 0);
      if (`${real}` !== `${bits}`) differences.push(`${object.path} at ${hex(at)}: protection ${real}, not ${bits}`);
    }
  }
  return differences;
}
