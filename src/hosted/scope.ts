// Scopes: where glibc looks for symbols, and in which order.

import type { LoadedObject } from "../../lib/loader/link-map.ts";
import { objectsOf, scopeOf } from "../passes/scope-of.ts";
import type { Displaced } from "./displace.ts";
import { baseObjects, type Run } from "./run.ts";

/**
 * glibc allocates eight entries more than it needs when it makes the list, and doubles it when it grows (2.31–2.41),
 * and keeps using the old size.
 */
const SPARE = 64;

/**
 * Gives glibc a global scope of these objects only. The list comes from malloc, since glibc frees it when it grows. It
 * has the capacity that glibc assumes, and is filled beyond its length, since a thread in a lookup may have read the
 * previous length.
 */
function setGlobalScope(run: Run, objects: readonly LoadedObject[]): void {
  const { scope } = run.base;
  const list = objects.map(({ linkMap }) => linkMap as number);
  const before = scope.entries.length;
  const padding = Array.from({ length: Math.max(0, 2 * before - list.length) + SPARE }, () => list.at(-1) ?? 0);
  scope.set(run.internWords([...list, ...padding]), list.length);
  run.trace.log("program", () => `global scope: ${objects.map(({ path }) => path || "Bun").join(" ") || "empty"}`);
}

/**
 * Until the program is loaded: what is preloaded, then glibc, since constructors of the host's libraries look for its
 * functions with dlopen(NULL), as libglvnd (1.4 and newer) does for pthread_create. `interposer` takes Bun's place:
 * glibc reads the first entry of a scope without checking its length (2.31–2.41).
 */
export function hostScope(run: Run, interposer: LoadedObject): void {
  const { preloaded, dependencies, family, known } = run.base;
  const shared = [...known.values()].filter((object) => family.some(({ path }) => path === object.path));
  setGlobalScope(run, [...new Set([...preloaded, interposer, ...dependencies, ...shared])]);
}

/**
 * While the program is relocated: what is preloaded, and the shims of displaced copies, before the program's own scope.
 * Not glibc, whose functions the program's libraries may override.
 */
export function openScope(run: Run, interposer: LoadedObject, displaced: readonly Displaced[]): void {
  const { preloaded, dependencies } = run.base;
  const copies = displaced.map(({ copy }) => copy);
  const rest = dependencies.filter((object) => !copies.includes(object));
  setGlobalScope(run, [...preloaded, interposer, ...displaced.map(({ shim }) => shim), ...rest, ...copies]);
}

/**
 * The program, what is preloaded, its libraries; then whatever else glibc has added meanwhile. Called before the
 * program's constructors, and again after them, as glibc adds the program when they have run.
 */
export function settleScope(
  run: Run,
  program: LoadedObject,
  interposer: LoadedObject,
  displaced: readonly Displaced[],
): void {
  const { scope, preloaded, known } = run.base;
  const objects = baseObjects(run);
  const own = (object: LoadedObject) => known.get(object.linkMap) ?? object;
  const [first, ...libraries] = scopeOf(own(program), objects);
  const added = objectsOf(scope.entries, objects);
  const shims = displaced.map(({ shim }) => own(shim));
  const order = [first ?? program, ...preloaded.map(own), own(interposer), ...shims, ...libraries, ...added];
  // The displaced copies come last: they look up their own symbols there, also those that an older host library lacks.
  const copies = displaced.map(({ copy }) => own(copy));
  const others = [...new Set(order)].filter((object) => !copies.includes(object));
  setGlobalScope(run, [...others, ...copies]);
}
