// A run in this process: its linkage, and what only this process has.

import { basename } from "node:path";
import { findAddress, type LoadedImage, loadedImage } from "../../lib/elf/loaded.ts";
import { LinkError } from "../../lib/link-error.ts";
import { dlmopen, LM_ID_BASE, linkMapOf, RTLD_LAZY } from "../../lib/loader/calls.ts";
import { type LoadedObject, linkMap } from "../../lib/loader/link-map.ts";
import { Namespaces } from "../../lib/loader/namespace.ts";
import { bytesAt, cString } from "../../lib/memory/live.ts";
import { type Address, alignDown, PAGE_SIZE } from "../../lib/memory/numbers.ts";
import type { Libc } from "../../lib/process/libc.ts";
import { readWhole } from "../../lib/regular-file.ts";
import { LIBC } from "../../lib/tree/glibc-names.ts";
import { unlessRefused } from "../../lib/unless.ts";
import { Assembler } from "../../lib/x86-64/assembler.ts";
import type { Connection } from "../agent/code/ask.ts";
import { type Channels, mappedConnection } from "../agent/code/channels.ts";
import type { Trace } from "../diagnostics/trace.ts";
import type { PrivateDirectory } from "../directories/private-directory.ts";
import { mirrorShim } from "../passes/expose.ts";
import { findFunctions } from "../passes/functions.ts";
import { scopesOf } from "../passes/handle-scope.ts";
import type { Capsule, Linker } from "../passes/linkage.ts";
import type { Plan } from "../plan/plan.ts";
import { isShared, LOADER } from "../profiles/shared-set.ts";

/** The parts of a Linker that depend only on this process. */
export interface OwnProcess
  extends Pick<
    Linker,
    "process" | "functions" | "shared" | "moved" | "shim" | "assemble" | "findSymbol" | "intern" | "internWords"
  > {
  readonly libc: Libc;
  readonly base: ReturnType<typeof readBase>;
  /** How agents reach the server. */
  readonly connection: Connection;
}

export interface Run extends Linker, OwnProcess {
  readonly plan: Plan;
  readonly capsules: Capsule[];
  readonly directory: PrivateDirectory;
  readonly counts: { written: number };
}

export function ownProcess(libc: Libc, channels: Channels): OwnProcess {
  const connection = mappedConnection(channels);
  const shared = new Map<string, LoadedImage>();
  const base = readBase(libc, shared);
  const found = new Map<string, Address | undefined>();
  // glibc's own lookup takes a fraction of the time of ours, and libc has nearly all the symbols.
  const home = [...base.known.values()].find(({ path }) => path !== "" && path === shared.get(LIBC)?.path);
  const ownSymbol = (name: string) =>
    (home && libc.symbols.findIn(home.linkMap, name)) ?? findAddress(base.family, name);
  return {
    process: libc,
    libc,
    base,
    connection,
    // Once per run, so a template would not pay.
    assemble: (_, emit, values) => {
      const to = new Assembler();
      const result = emit(to, values, connection);
      return { code: to.assemble(), result };
    },
    functions: findFunctions(base.family),
    findSymbol: (name) => {
      // Asked for by the program's side and by each capsule.
      if (!found.has(name)) found.set(name, ownSymbol(name));
      return found.get(name);
    },
    moved: new Map(),
    shim: mirrorShim(true),
    shared,
    intern: (text) => allocateCopy(libc, cString(text)),
    internWords: (words) => allocateCopy(libc, new Uint8Array(BigUint64Array.from(words, BigInt).buffer)),
  };
}

export function beginRun(libc: Libc, plan: Plan, directory: PrivateDirectory, channels: Channels, trace: Trace): Run {
  const own = ownProcess(libc, channels);
  return {
    ...own,
    plan,
    directory,
    token: 0,
    isHosted: true,
    trace,
    runtime: plan.runtime,
    program: { path: plan.program.path },
    programName: allocateCopy(libc, cString(plan.program.path)),
    capsules: [],
    scopes: scopesOf(libc, own.base.scope, own.base.bun.linkMap, own.base.known.values()),
    sharedFile: (soname) => plan.shared.get(soname) ?? soname,
    counts: { written: 0 },
  };
}

/** The base namespace's objects, in load order. Known objects keep their image, since reading one opens a file. */
export function baseObjects(run: Run): LoadedObject[] {
  const { known } = run.base;
  return [...linkMap(run.libc, run.base.bun.linkMap)].map((object) => {
    const before = known.get(object.linkMap);
    // A constructor may have closed a library, and glibc may have reused its link_map.
    if (before && before.loadBias === object.loadBias && before.path === object.path) return before;
    known.set(object.linkMap, object);
    return object;
  });
}

/** The namespace that the process was started with; puts its part of the shared set into `shared`. Throws LinkError. */
function readBase(libc: Libc, shared: Map<string, LoadedImage>) {
  const anyObject = libc.run(dlmopen(libc, LM_ID_BASE, LIBC, RTLD_LAZY));
  const [bun, ...others] = linkMap(libc, libc.run(linkMapOf(libc, anyObject)));
  if (!bun) throw new LinkError("Cannot find this process's own program");
  // All objects seen so far, by link_map.
  const known = new Map([bun, ...others].map((object) => [object.linkMap, object]));
  // Members of the shared set that were loaded with Bun.
  const family: LoadedImage[] = [];
  // What the user preloads, in the user's order, and what only those objects need.
  const preloaded: LoadedObject[] = [];
  const dependencies: LoadedObject[] = [];
  const names = preloadedNames();
  for (const object of others) {
    if (object.isVdso) continue;
    const soname = object.image.soname ?? "";
    const isPreloaded = names.has(basename(object.path));
    if (isShared(soname)) {
      family.push(object.image);
      shared.set(soname, object.image);
      // One of glibc's own (libc_malloc_debug.so.0) also takes precedence if preloaded.
      if (isPreloaded) preloaded.push(object);
    } else (isPreloaded ? preloaded : dependencies).push(object);
  }
  const loader = shared.get(LOADER);
  if (!loader) throw new LinkError("Cannot find ld.so in this process");
  const namespaces = new Namespaces(libc, loader);
  // Not through its file: /proc/self/exe is ld.so if that was started by name.
  const start = alignDown(libc.programHeaders(), PAGE_SIZE);
  const bunImage = loadedImage("Bun", start, bun.loadBias);
  const scope = namespaces.baseScope(bun.linkMap);
  if (!scope)
    throw new LinkError("Cannot use this glibc: its global scope (in _rtld_global) does not look as expected");
  return { bun, bunImage, family, preloaded, dependencies, namespaces, known, scope };
}

const PRELOAD = "/etc/ld.so.preload";
const PRELOAD_FILE = { name: "ld.so.preload", most: 1 << 20 };

/** The file names in LD_PRELOAD, and of what is preloaded into every process of the machine. */
function preloadedNames(): ReadonlySet<string> {
  const list = unlessRefused(() => readWhole(PRELOAD, PRELOAD_FILE).toString().replace(/#.*/g, "")) ?? "";
  return new Set(`${process.env.LD_PRELOAD ?? ""} ${list}`.split(/[\s:]+/).map((name) => basename(name)));
}

function allocateCopy(libc: Libc, bytes: Uint8Array): Address {
  const at = libc.allocate(bytes.length);
  bytesAt(at, bytes.length).set(bytes);
  return at;
}
