// Has glibc load the program, with its libraries, and does its COPY relocations in
// between: when everything is relocated and no constructor has run.

import { JSCallback } from "bun:ffi";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { dlmopen, LM_ID_BASE, linkMapOf, RTLD_GLOBAL, RTLD_LAZY } from "../../lib/loader/calls.ts";
import { LoadedObject, linkMap } from "../../lib/loader/link-map.ts";
import { type Address, add, toAddress, toVaddr } from "../../lib/memory/numbers.ts";
import { Patch } from "../../lib/process/patch.ts";
import { EXIT, ProgramError } from "../errors.ts";
import type { Capsule } from "../launch.ts";
import { baseObjects, type Run } from "../run.ts";
import { isShared, LOADER } from "../shared-set.ts";
import { findCopies, makeCopies, movesOf, updateSymbols } from "./copy-objects.ts";
import { renameImage } from "./identity.ts";
import { hostedImage, type ProgramImage } from "./image.ts";
import type { Interposer } from "./interpose.ts";
import { redirectKept } from "./kept-pointers.ts";
import { mapOwnFile } from "./own-file.ts";
import { redirect } from "./redirect.ts";
import { scopeOf } from "./scope.ts";
import { findUnited } from "./unite-statics.ts";

export interface LoadedProgram {
  readonly object: LoadedObject;
  readonly entry: Address;
  /** Its program headers, and how many. */
  readonly headers: Address;
  readonly headerCount: number;
}

/** `fail` ends the process: within glibc nothing can be thrown. */
export function loadProgram(
  run: Run,
  imagePath: string,
  { start, cleanup }: Interposer,
  fail: (error: unknown) => never,
): LoadedProgram {
  const { libc, directory, plan, trace } = run;
  let image: ProgramImage | undefined;
  const hook = new JSCallback(
    () => {
      try {
        if (image) beforeConstructors(run, imagePath, image);
        libc.clearErrno();
      } catch (error) {
        fail(error);
      }
      return BigInt(start);
    },
    { args: [], returns: "u64" },
  );
  const { atExit } = run.functions;
  const relocated = toAddress(Number(hook.ptr));
  image = hostedImage(plan.program.path, { relocated, atExit: cleanup, cxaAtexit: atExit });
  // DT_INIT, where there is one, does it once more, behind all that the libraries' constructors register.
  libc.atExit(cleanup);
  directory.write(imagePath.slice(imagePath.lastIndexOf("/") + 1), image.bytes);
  const handle = libc.run(dlmopen(libc, LM_ID_BASE, imagePath, RTLD_LAZY | RTLD_GLOBAL));
  const opened = libc.run(linkMapOf(libc, handle));
  const object = run.base.known.get(opened) ?? new LoadedObject(libc, opened);
  trace.tell("program", () => `${plan.program.path} loaded as ${imagePath} at 0x${object.loadBias.toString(16)}`);
  const { ehdr, phdrs, loads } = object.image;
  const headers = add(object.image.addressOf(loads[0]?.p_vaddr ?? toVaddr(0)), ehdr.e_phoff);
  return { object, entry: object.image.addressOf(image.entry), headers, headerCount: phdrs.length };
}

/** libc was bound to its own malloc long ago, so what it allocates (strdup, getline) would be freed by another. */
function refuseOtherMalloc(run: Run, scope: readonly LoadedObject[]): void {
  const other = scope.find(({ image }) => !isShared(image.soname ?? "") && image.find("malloc") !== undefined);
  if (!other) return;
  const path = other === scope[0] ? run.plan.program.path : other.path;
  throw new ProgramError(
    `Cannot host "${run.plan.program.path}": "${path}" brings a malloc of its own, and libc in this process has bound to another`,
    EXIT.notRunnable,
  );
}

function beforeConstructors(run: Run, imagePath: string, { segments, copied }: ProgramImage): void {
  const { capsules, base, trace, counts } = run;
  const objects = baseObjects(run);
  const program = objects.find(({ path }) => path === imagePath);
  if (!program) throw new Error(`Cannot find "${imagePath}" in the link map`);
  const scope = scopeOf(program, objects);
  base.known.set(program.linkMap, renameImage(run, program));
  mapOwnFile(run, program.image, segments);
  refuseOtherMalloc(run, scope);
  const united = findUnited(run, scope);
  if (copied.length === 0 && united.length === 0) return;
  const [, ...libraries] = scope;
  const preloaded = base.preloaded.map(({ image }) => image);
  const sources = [...preloaded, ...libraries.map(({ image }) => image)];
  const copies = [...findCopies(program.image, copied, sources, trace), ...united];

  // Slots first: an object that points at another one is copied with the new address in it.
  const moved = movesOf(copies);
  const patch = new Patch();
  counts.slots += redirect([...run.shared.values()], moved, patch);
  for (const capsule of capsules) {
    const images = objectsIn(run, capsule);
    const own = copies.filter(({ from }) => images.some((image) => image.holds(from)));
    // What a library defines and does not refer to by name is bound to itself, also natively, and keeps what it has.
    const named = images.flatMap((image) => {
      const met = new Set<number>();
      counts.slots += redirect([image], moved, patch, met);
      return own.filter(({ from }) => met.has(from) && image.holds(from));
    });
    // libc has the arguments of destructors.
    const libcImage = run.shared.get("libc.so.6");
    const kept = redirectKept(libcImage ? [...images, libcImage] : images, named, patch);
    if (named.length > 0) trace.tell("redirect", () => `${kept} pointers to objects of host libraries redirected`);
    for (const { image } of capsule.mirrors.values()) updateSymbols(image, moved, patch);
    for (const image of images)
      if (own.some(({ from }) => image.holds(from))) updateSymbols(image, movesOf(own), patch);
  }
  run.libc.run(patch.apply(run.libc));
  makeCopies(run.libc, copies);
  counts.written += patch.length;
  trace.tell("redirect", () => `${copies.length} objects copied to the program, ${patch.length} references redirected`);
}

/**
 * What a capsule has loaded but for its mirrors, also what its constructors have opened. glibc gives each namespace an entry of
 * the one ld.so, without its address in 2.31.
 */
function objectsIn({ libc, shared }: Run, { mirrors, opened }: Capsule): LoadedImage[] {
  const others = new Set([...mirrors.values()].map((object) => object.linkMap));
  const known = new Map([...opened.values()].map((object) => [object.linkMap, object]));
  const [first] = mirrors.values();
  const objects = first ? [...linkMap(libc, first.linkMap)] : [];
  return objects
    .filter(({ linkMap }) => !others.has(linkMap))
    .filter(({ loadBias }) => loadBias !== 0 && loadBias !== shared.get(LOADER)?.loadBias)
    .map((object) => (known.get(object.linkMap) ?? object).image);
}
