// What a link writes: the slots of a real process, as ld.so has relocated them, and those of the simulation with its
// objects at the same addresses. What constructors cannot have changed is compared: RELRO, and slots of calls.

import { expect, test } from "bun:test";
import { R_X86_64_GLOB_DAT, R_X86_64_JUMP_SLOT } from "../../lib/elf/constants.ts";
import { link } from "../../lib/link/link.ts";
import type { LinkObject } from "../../lib/link/objects.ts";
import type { Relocation } from "../../lib/link/relocation.ts";
import { simulate } from "../../lib/link/simulate.ts";
import { add, alignDown, hex, PAGE_SIZE, type Vaddr } from "../../lib/memory/numbers.ts";
import { Search } from "../../lib/tree/search.ts";
import { Tree } from "../../lib/tree/tree.ts";
import { PausedProcess, SpaceOf } from "../support/paused-process.ts";

const CAT = "/usr/bin/cat";

test("slots hold what ld.so has written to them, in glxinfo's libraries and Mesa's with libLLVM: 400,000 at least", async () => {
  const preload = ["libGL.so.1", "libX11.so.6", "libGLX_mesa.so.0", "/usr/lib/x86_64-linux-gnu/dri/swrast_dri.so"];
  const env = { LD_PRELOAD: preload.join(":"), LD_BIND_NOW: "1" };
  await using paused = await PausedProcess.start([CAT], env, "x");
  const search = new Search(new Tree("/"));
  using model = simulate(search, CAT, { preload });
  const space = new SpaceOf(model.objects.map(({ path }) => paused.startOf(path)));
  const relocations: Relocation[] = [];
  using linked = link(space, search, CAT, { preload, onRelocation: (relocation) => relocations.push(relocation) });

  const called = new Set<number>(linked.steps.flatMap((step) => (step.kind === "call" ? [step.slot] : [])));
  const differences: string[] = [];
  let count = 0;
  for (const { object, vaddr, type, typeName, name } of relocations) {
    const slot = add(object.loadBias, vaddr);
    // It has relocated itself, and keeps its variables there.
    if (object.library.soname === "ld-linux-x86-64.so.2" || called.has(slot)) continue;
    if (!isProtected(object, vaddr) && type !== R_X86_64_GLOB_DAT && type !== R_X86_64_JUMP_SLOT) continue;
    count++;
    const [real, ours] = [paused.word(slot), space.read(slot, 8).getBigUint64(0, true)];
    if (real !== ours)
      differences.push(`${object.path} ${typeName} at ${hex(vaddr)} (${name}): ${hex(real)} ${hex(ours)}`);
  }
  expect(differences).toEqual([]);
  expect(count).toBeGreaterThan(400_000);
});

/** Has it been read-only since it was relocated? */
function isProtected({ image: { relro } }: LinkObject, vaddr: Vaddr): boolean {
  if (!relro) return false;
  const end = relro.p_vaddr + relro.p_memsz;
  return vaddr >= relro.p_vaddr && vaddr < alignDown(end, PAGE_SIZE);
}
