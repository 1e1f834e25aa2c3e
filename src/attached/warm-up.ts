// What the server does before the first request: the same as it will do for the first process, with itself as the
// subject. Code takes several times as long on its first run, and the program would wait for it. In steps of a
// millisecond or two, so that a request does not wait for the rest.

import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { mirrorOf } from "../../lib/elf/write/mirror.ts";
import { firstLinkMap, linkMap } from "../../lib/loader/link-map.ts";
import { bytesAt } from "../../lib/memory/live.ts";
import { toAddress } from "../../lib/memory/numbers.ts";
import type { Libc } from "../../lib/process/libc.ts";
import { type MemoryTransport, OtherProcess } from "../../lib/process/other.ts";
import { Patch } from "../../lib/process/patch.ts";
import { closureOf } from "../../lib/tree/closure.ts";
import { agentExports } from "../agent/code/connect.ts";
import { findFunctions } from "../passes/functions.ts";
import { codeOfProgramsSide } from "../passes/intercept.ts";
import type { ProcessCode } from "../passes/linkage.ts";
import { redirect } from "../passes/redirect.ts";
import { codeOf } from "../passes/share.ts";
import { isShared } from "../profiles/shared-set.ts";
import type { AttachedContext } from "./server-context.ts";

/** Reads a process, and builds from its libc what a capsule gets; writes nothing. Returns the process's glibc. */
export function* warmUp(libc: Libc): Generator<undefined, readonly LoadedImage[]> {
  const own = new OtherProcess(libc, libc.pid, ownTransport);
  const debug = libc.symbols.find("_r_debug");
  if (debug === undefined) return [];
  const objects = [...linkMap(own, firstLinkMap(own, debug))];
  yield;
  const family = objects.map(({ image }) => image).filter(({ soname }) => soname !== undefined && isShared(soname));
  const home = family.find(({ soname }) => soname === "libc.so.6");
  yield;
  if (!home) return [];
  findFunctions([home, ...family.filter((image) => image !== home)]);
  yield;
  const overrides = new Map([["dlopen", { zeroPageOffset: 0 }]]);
  mirrorOf(home, { soname: "libc.so.6", overrides, zeroPages: 1 });
  yield;
  redirect(family, new Map([[0, toAddress(0)]]), new Patch(), { slots: "all" });
  yield;
  return family;
}

/**
 * Finds what the first process may need, as far as files tell, and assembles the code that each process gets: nearly
 * always it has this same glibc.
 */
export function* prepare(context: AttachedContext, glibc: readonly LoadedImage[]): Generator<undefined> {
  const lent = agentExports(() => SOMEWHERE);
  const assemble = <Result>({ key, emit, own }: ProcessCode<Result>, finds: boolean): void => {
    const isThere = (name: string) => own.includes(name) || (finds && glibc.some((image) => image.find(name)));
    context.assemble(key, emit, (name) => (isThere(name) ? SOMEWHERE : undefined), lent);
  };
  assemble(codeOfProgramsSide(context.directory), true);
  yield;
  for (const { search, ownership, isolated } of context.sources) {
    const hasTree = search.tree.root !== "";
    assemble(codeOf(hasTree, false, ""), hasTree);
    yield;
    for (const soname of isolated) {
      if (!search.find(soname, undefined)) continue;
      for (const { library } of closureOf(search, [soname], (name) => ownership.isShared(name)).members)
        context.store.check(library.path, "whole");
      yield;
    }
  }
}

const SOMEWHERE = toAddress(1);

/** Used if the kernel does not even let us copy our own memory. */
const ownTransport: MemoryTransport = {
  read: (address, into) => into.set(bytesAt(address, into.length)),
  write: () => {
    throw new Error("A warm-up writes nothing");
  },
};
