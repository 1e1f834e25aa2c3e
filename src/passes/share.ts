// Presents the shared set to a capsule: mirrors of the base namespace's glibc family and libgcc_s. They come first in
// the new namespace, so everything loaded later binds to the one copy in the process.
//
// We write the libc mirror's symbol table, so overriding a function for one capsule takes one changed value: dlopen and
// dlmopen reach the agent, getenv adds what the host's drivers must be told. The agent lives in the mirror's own zero
// pages, so glibc attributes its calls to the capsule.

import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { mirrorOf } from "../../lib/elf/write/mirror.ts";
import type { Place } from "../../lib/elf/write/shared-object.ts";
import { LinkError } from "../../lib/link-error.ts";
import { dlmopen, findOpen, LM_ID_BASE, LM_ID_NEWLM, namespaceOf, RTLD_LAZY } from "../../lib/loader/calls.ts";
import { linkMap } from "../../lib/loader/link-map.ts";
import type { GlobalScope, Namespaces } from "../../lib/loader/namespace.ts";
import { type Address, PAGE_SIZE, toAddress } from "../../lib/memory/numbers.ts";
import { install } from "../../lib/process/patch.ts";
import type { Linking } from "../../lib/process/process.ts";
import { LIBC, LIBDL } from "../../lib/tree/glibc-names.ts";
import { Names } from "../../lib/tree/open-names.ts";
import { addressOfLabel } from "../../lib/x86-64/assembler.ts";
import { type Assembled, required } from "../../lib/x86-64/template.ts";
import { emitAgent } from "../agent/code/ask.ts";
import { emitGetenv } from "../agent/code/getenv.ts";
import { emitHere } from "../agent/code/objects.ts";
import { emitPathFunctions } from "../agent/code/paths.ts";
import type { HostTree } from "../plan/host-tree.ts";
import { type Allocator, beyondLibc } from "./allocator.ts";
import type { Capsule, EmitAsking, Linkage, Linker, ProcessCode } from "./linkage.ts";
import { objectOf, openGenerated } from "./opened.ts";

/** Before glibc 2.34, dlopen is in the first, pthread_exit (and another open) in the second. */
const OTHERS_OF_LIBC = [LIBDL, "libpthread.so.0"];

/**
 * Makes a namespace with its libc mirror and the agent in it. `both` are functions that the mirror shows instead of
 * libc's; `allocator` is the program's.
 */
export function* makeNamespace(
  linkage: Linker,
  plan: HostTree,
  token: number,
  both: ReadonlyMap<string, Address>,
  allocator: Allocator,
): Linking<Capsule> {
  const { code, result: names } = capsuleCode(linkage, plan, token);
  const libc = yield* sharedImage(linkage, LIBC);
  const overrides = new Map<string, Place>([["__libc_early_init", { address: linkage.functions.nothing }]]);
  for (const [name, address] of [...allocator, ...both]) overrides.set(name, { address });
  for (const name of names) overrides.set(name, { zeroPageOffset: code.labels.get(name) ?? 0 });
  const zeroPages = Math.ceil(code.bytes.length / PAGE_SIZE);
  const beyond = beyondLibc(linkage, token, allocator, libc);
  const needed = beyond === undefined ? [] : [beyond];
  const { bytes, plan: mirror } = mirrorOf(libc, { soname: LIBC, overrides, zeroPages, needed, moved: linkage.moved });
  const object = yield* openGenerated(linkage, LM_ID_NEWLM, `${token}-${LIBC}`, bytes);
  const at = object.image.addressOf(mirror.zeroAt);
  yield* install(linkage.process, code.bytes, at);
  const namespace = yield* namespaceOf(linkage.process, object.linkMap);
  linkage.trace.log("capsule", () => `namespace ${namespace} for ${plan.search.tree.name}, libc mirror ${object.path}`);
  return {
    ...plan,
    token,
    namespace,
    overrides: new Map([...both, ...names.map((name) => [name, addressOfLabel(code, name, at)] as const)]),
    iterateHere: addressOfLabel(code, "iterate here", at),
    openHere: addressOfLabel(code, "open here", at),
    mirrors: new Map([[LIBC, object]]),
    opened: new Map(),
    names: new Names(),
    shims: new Map(),
  };
}

/**
 * Makes RTLD_GLOBAL work in a capsule. Without it, a library that asks for it would crash, so failure here prevents the
 * launch. `main` and `scope` are the base namespace's first link_map and its global scope. Throws LinkError.
 */
export function repairGlobal(
  { process, trace }: Linkage,
  namespaces: Namespaces,
  main: Address,
  scope: GlobalScope | undefined,
  capsule: Capsule,
): void {
  const first = capsule.mirrors.get(LIBC)?.linkMap;
  const objects = first ? [...linkMap(process, first)].length : 0;
  if (!first || !scope || !namespaces.allowGlobal(main, scope, first, objects))
    throw new LinkError("Cannot use this glibc: its record of a namespace (in _rtld_global) does not look as expected");
  trace.log("capsule", () => `RTLD_GLOBAL works in namespace ${capsule.namespace}`);
}

/**
 * Adds a mirror of a library unless the capsule has one: of a member of the shared set, or of another capsule's
 * library, given as `image`.
 */
export function* addMirror(linkage: Linkage, capsule: Capsule, soname: string, given?: LoadedImage): Linking<void> {
  const image = given ?? (yield* sharedImage(linkage, soname));
  const own = OTHERS_OF_LIBC.includes(soname) ? [...capsule.overrides] : [];
  const overrides = new Map(own.map(([name, address]) => [name, { address }]));
  const { bytes } = mirrorOf(image, { soname, overrides, moved: linkage.moved });
  const mirror = yield* openGenerated(linkage, capsule.namespace, `${capsule.token}-${soname}`, bytes);
  capsule.mirrors.set(soname, mirror);
  linkage.trace.log("capsule", () => `${soname}: shared, ${image.path}, mirrored as ${mirror.path}`);
}

/** A member of the shared set in the base namespace: the loaded one, or else the chosen file. */
function* sharedImage(linkage: Linkage, soname: string): Linking<LoadedImage> {
  const known = linkage.shared.get(soname);
  if (known) return known;
  const { process } = linkage;
  const file = linkage.sharedFile(soname);
  // Given a soname, glibc itself finds a library that is already open.
  const isOpen = file === soname ? undefined : yield* findOpen(LM_ID_BASE, soname);
  const handle = isOpen ?? (yield* dlmopen(process, LM_ID_BASE, file, RTLD_LAZY));
  const { linkMap, image } = yield* objectOf(process, handle);
  linkage.scopes?.family.set(soname, linkMap);
  linkage.shared.set(soname, image);
  return image;
}

/** Also returns the names of the functions in it that override glibc's. */
function capsuleCode(linkage: Linker, plan: HostTree, token: number): Assembled<string[]> {
  const { functions } = linkage;
  // The capsule's own environment: pairs of C strings, then NULL.
  const variables = plan.environment.flatMap(([name, value]) => [linkage.intern(name), linkage.intern(value)]);
  const hasTree = plan.search.tree.root !== "";
  const own = new Map<string, Address>([
    ["token", toAddress(token)],
    ["variables", linkage.internWords([...variables, 0])],
    ...OWN_FUNCTIONS.map((name) => [name, functions[name]] as const),
  ]);
  const find = (name: string) => (linkage.isHosted || hasTree ? linkage.findSymbol(name) : undefined);
  const { key, emit } = codeOf(hasTree, linkage.isHosted, linkage.program.path);
  return linkage.assemble(key, emit, (name) => own.get(name) ?? find(name));
}

/** The code of a capsule's agent, the same for every process; `program` is the program's path if hosted. */
export function codeOf(hasTree: boolean, isHosted: boolean, program: string): ProcessCode<string[]> {
  const emit: EmitAsking<string[]> = (to, value, connection) => {
    const must = (name: string) => toAddress(required(value, name));
    const find = (name: string) => value(name) as Address | undefined;
    emitAgent(to, { connection, token: must("token"), dlopen: must("dlopen"), dlmopen: must("dlmopen") });
    for (const name of ["getenv", "secure_getenv"]) emitGetenv(to.align(16), name, must(name), must("variables"));
    const paths = emitPathFunctions(to, { program: isHosted ? program : "", hasTree, isHosted, find });
    emitHere(to, must("dl_iterate_phdr"));
    return ["dlopen", "dlmopen", "getenv", "secure_getenv", ...paths];
  };
  const own = ["token", "variables", ...OWN_FUNCTIONS];
  return { key: `capsule, ${hasTree ? "with" : "without"} a tree`, emit, own };
}

/** The members of Functions that it calls. */
const OWN_FUNCTIONS = ["dlopen", "dlmopen", "getenv", "secure_getenv", "dl_iterate_phdr"] as const;
