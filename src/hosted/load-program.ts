// Makes glibc load the program and its libraries, and performs its COPY relocations in between: when everything is
// relocated and no constructor has run.

import { CFunction, JSCallback } from "bun:ffi";
import { basename } from "node:path";
import { LinkError } from "../../lib/link-error.ts";
import { dlmopen, LM_ID_BASE, RTLD_GLOBAL, RTLD_LAZY, RTLD_NODELETE, RTLD_NOLOAD } from "../../lib/loader/calls.ts";
import type { LoadedObject } from "../../lib/loader/link-map.ts";
import { pointer } from "../../lib/memory/live.ts";
import { type Address, toAddress } from "../../lib/memory/numbers.ts";
import type { Linking } from "../../lib/process/process.ts";
import { EXIT, ProgramError } from "../diagnostics/errors.ts";
import { findCopies } from "../passes/copy-objects.ts";
import { moveObjects } from "../passes/move-objects.ts";
import { objectOf } from "../passes/opened.ts";
import { scopeOf } from "../passes/scope-of.ts";
import { findUnified } from "../passes/unify-unique.ts";
import { isShared } from "../profiles/shared-set.ts";
import type { Displaced } from "./displace.ts";
import { renameImage } from "./identity.ts";
import { hostedImage, type ProgramImage } from "./image.ts";
import type { Interposer } from "./interpose.ts";
import { mapOwnFile } from "./own-file.ts";
import { baseObjects, type Run } from "./run.ts";
import { settleScope } from "./scope.ts";

/** Also returns its entry point. `fail` ends the process: inside glibc nothing can be thrown. */
export function loadProgram(
  run: Run,
  imagePath: string,
  { object: interposer, addressOf }: Interposer,
  displaced: readonly Displaced[],
  fail: (error: unknown) => never,
): { object: LoadedObject; entry: Address } {
  const { libc, directory, plan, trace } = run;
  const start = addressOf("start");
  const cleanup = addressOf("cleanup");
  let image: ProgramImage | undefined;
  const hook = new JSCallback(
    () => {
      try {
        if (image) settleScope(run, beforeConstructors(run, imagePath, image), interposer, displaced);
        libc.system.clearErrno();
      } catch (error) {
        fail(error);
      }
      return BigInt(start);
    },
    { args: [], returns: "u64" },
  );
  const relocated = toAddress(Number(hook.ptr));
  image = hostedImage(plan.program.path, { relocated, atExit: cleanup, cxaAtexit: run.functions.atExit });
  if (!image.isHookedBehindLibraries) libc.atExit(cleanup);
  directory.write(basename(imagePath), image.bytes);
  const opened = libc.run(objectOf(libc, openImageOf(run, imagePath)));
  const object = run.base.known.get(opened.linkMap) ?? opened;
  trace.log("program", () => `${plan.program.path} loaded as ${imagePath} at 0x${object.loadBias.toString(16)}`);
  libc.run(keepLoaded(scopeOf(object, baseObjects(run)).filter(isOwn)));
  return { object, entry: object.image.addressOf(image.entry) };
}

/** Whether an object is the program's, and not of the shared set. */
const isOwn = ({ image }: LoadedObject): boolean => !isShared(image.soname ?? "");

/** libc was bound to its own malloc long ago: another would free what it has allocated (strdup, getline). */
function refuseOtherMalloc(run: Run, scope: readonly LoadedObject[]): void {
  const other = scope.find((object) => isOwn(object) && object.image.find("malloc") !== undefined);
  if (!other) return;
  const path = other === scope[0] ? run.plan.program.path : other.path;
  throw new ProgramError(
    `Cannot host "${run.plan.program.path}": "${path}" brings a malloc of its own, and libc in this process has bound to another`,
    EXIT.notRunnable,
  );
}

/**
 * Like a program that the kernel started, none of it can be unloaded. So ld.so does not record what binds to it, and
 * need not finalize that first.
 */
function* keepLoaded(objects: readonly LoadedObject[]): Linking<void> {
  const mode = RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE;
  yield objects.map(({ path }) => ({ name: "dlmopen" as const, arguments: [LM_ID_BASE, path, mode] }));
}

/** Errors name the program's own file: glibc opens our copy. */
function openImageOf({ libc, plan }: Run, imagePath: string): Address {
  try {
    return libc.run(dlmopen(libc, LM_ID_BASE, imagePath, RTLD_LAZY | RTLD_GLOBAL | RTLD_NODELETE));
  } catch (error) {
    if (!(error instanceof LinkError)) throw error;
    const { path } = plan.program;
    throw new LinkError(error.message.replaceAll(imagePath, path), { ...error.details, object: path, cause: error });
  }
}

function beforeConstructors(run: Run, imagePath: string, { segments, copied }: ProgramImage): LoadedObject {
  const { libc, base, trace, counts } = run;
  const objects = baseObjects(run);
  const program = objects.find(({ path }) => path === imagePath);
  if (!program) throw new Error(`Cannot find "${imagePath}" in the link map`);
  const scope = scopeOf(program, objects);
  base.known.set(program.linkMap, renameImage(run, program));
  mapOwnFile(run, program.image, segments);
  refuseOtherMalloc(run, scope);
  const unified = libc.run(findUnified(run, scope));
  if (copied.length === 0 && unified.length === 0) return program;
  const sources = [...base.preloaded, ...scope.slice(1)].map(({ image }) => image);
  const copies = [...findCopies(program.image, copied, sources, trace), ...unified];
  const family = [...run.shared.values()];
  for (const { from, to } of copies) if (family.some((image) => image.holds(from))) run.moved.set(from, to);
  counts.written += libc.run(moveObjects(run, copies));
  return program;
}

/** Calls the program's entry point, which calls the replacement of __libc_start_main, which does not return. */
export function enter(entry: Address): never {
  CFunction({ ptr: pointer(entry), args: [], returns: "void" })();
  throw new Error("The program's entry point returned");
}
