// A capsule in a process that goes on running: Bun stays the program and is not modified, and the capsule can be
// removed again. Each capsule has its own server, directory and code, independent of other capsules.

import { LinkMap, type LoadedObject, linkMap } from "../../lib/loader/link-map.ts";
import { findMapping, readMaps } from "../../lib/memory/maps.ts";
import { type Address, add } from "../../lib/memory/numbers.ts";
import type { Libc } from "../../lib/process/libc.ts";
import { pointerIn, setPointerIn } from "../../lib/process/process.ts";
import type { Search } from "../../lib/tree/search.ts";
import { addressOfLabel } from "../../lib/x86-64/assembler.ts";
import { emitStackSize } from "../agent/code/stack-size.ts";
import type { Trace } from "../diagnostics/trace.ts";
import { MARK, PrivateDirectory } from "../directories/private-directory.ts";
import type { Interposer } from "../hosted/interpose.ts";
import { type OwnProcess, ownProcess } from "../hosted/run.ts";
import type { Served, ServerHandle } from "../hosted/serve.ts";
import { allocatorOf } from "../passes/allocator.ts";
import { copiedIn, findCopies, movesOf } from "../passes/copy-objects.ts";
import type { Functions } from "../passes/functions.ts";
import { codeOfProgramsSide } from "../passes/intercept.ts";
import type { Capsule, EmitAsking, Linker } from "../passes/linkage.ts";
import { objectsOf } from "../passes/scope-of.ts";
import { makeNamespace, repairGlobal } from "../passes/share.ts";
import type { ChosenGlibc } from "../plan/glibc/choice.ts";
import type { HostTree } from "../plan/host-tree.ts";
import { isShared } from "../profiles/shared-set.ts";
import { showToUnwinder } from "./unwinding.ts";

/** The token of its agent. Constant, since each capsule has its own server. */
const TOKEN = 1;

/** The counterpart of a Run, without a program. */
export interface Embedding extends Linker, Omit<Served, keyof Linker>, OwnProcess {
  readonly directory: PrivateDirectory;
  readonly capsules: readonly [Capsule];
  /** Stops showing its objects to the unwinder, once there are none. */
  hide(): void;
}

/** The glibc of this process, the only one possible. */
export function glibcOf(libc: Libc): ChosenGlibc {
  const path = findMapping(readMaps("self"), libc.symbols.mustFind("gnu_get_libc_version"))?.path ?? "";
  return { glibc: undefined, isOwn: true, isNatural: true, version: libc.version, path };
}

/** Makes an empty capsule. Throws LinkError, and what writing throws. Nothing is left behind then. */
export function embed(
  libc: Libc,
  plan: HostTree,
  runtime: Search,
  unwinder: ReadonlyMap<string, string>,
  server: ServerHandle,
  trace: Trace,
): Embedding {
  const directory = PrivateDirectory.make(libc);
  try {
    directory.write(MARK, new Uint8Array(0));
    const own = ownProcess(libc, server.addresses);
    const { bun, bunImage, family, namespaces, scope } = own.base;
    // More of glibc's libraries may have been loaded since the process started.
    for (const object of linkMap(libc, bun.linkMap))
      if (object.path !== "" && isShared(sonameOf(object))) own.shared.set(sonameOf(object), object.image);
    const moved = new Map(movesOf(findCopies(bunImage, copiedIn(bunImage), family, trace)));
    const program = { path: process.execPath };
    const capsules: Capsule[] = [];
    const linker = {
      ...{ ...own, moved, directory, trace, runtime, program, capsules, token: 0, isHosted: false },
      programName: pointerIn(libc, add(bun.linkMap, LinkMap.offsetOf.l_name)),
      sharedFile: (soname) => unwinder.get(soname) ?? soname,
    } satisfies Linker;
    const iterators = own.internWords([0, 0]);
    const unshow = showToUnwinder(linker, libc, iterators);
    const both = ownFunctions(linker, libc, iterators);
    server.awaitBoot();
    const allocator = libc.run(allocatorOf(objectsOf(scope.entries, [...linkMap(libc, bun.linkMap)]), bun.linkMap));
    const capsule = libc.run(makeNamespace(linker, plan, TOKEN, both, allocator));
    capsules.push(capsule);
    repairGlobal(linker, namespaces, bun.linkMap, scope, capsule);
    setPointerIn(libc, iterators, capsule.iterateHere);
    const embedding: Embedding = {
      ...own,
      ...linker,
      capsules: [capsule],
      plan: { program, shared: unwinder, glibc: glibcOf(libc) },
      hide() {
        setPointerIn(libc, iterators, 0);
        unshow?.();
      },
    };
    server.start(embedding);
    return embedding;
  } catch (error) {
    directory.remove();
    throw error;
  }
}

const sonameOf = ({ path }: LoadedObject): string => path.slice(path.lastIndexOf("/") + 1);

/**
 * Functions that the capsule sees in place of glibc's, besides those that every capsule needs. They are in pages that
 * are never unmapped.
 */
function ownFunctions(linker: Linker, libc: Libc, iterators: Address): Interposer["both"] {
  const { functions, directory, programName } = linker;
  const side = codeOfProgramsSide(directory.path);
  const own = new Map<string, number>([
    ["token", TOKEN],
    ["program", programName],
    // No process of a library has been started by an ld.so's name.
    ["exeShim", 0],
    ["iterators", iterators],
    ...side.own.flatMap((name) => (name in functions ? [[name, functions[name as keyof Functions]] as const] : [])),
  ]);
  const emit: EmitAsking<string[]> = (to, value, connection) => {
    side.emit(to, value, connection);
    return emitStackSize(to, (name) => value(name) as Address | undefined);
  };
  const { code, result: stacks } = linker.assemble("", emit, (name) => own.get(name) ?? linker.findSymbol(name));
  const at = libc.placeCode(code.bytes);
  return new Map(["dl_iterate_phdr", ...stacks].map((name) => [name, addressOfLabel(code, name, at)]));
}
