// The files of the shared set, of which the process has one copy.

import type { Given } from "../../lib/tree/dependencies.ts";
import { LIBC } from "../../lib/tree/glibc-names.ts";
import type { ChosenGlibc } from "../plan/glibc/choice.ts";
import { newestUnwinder } from "../plan/glibc/unwinder.ts";
import { searchesOf, type Trees } from "../plan/trees.ts";
import { isShared, LOADER, UNWINDER } from "../profiles/shared-set.ts";

/** Gives the files of the shared set that a search of the runtime would not find. */
export function sharedFiles(trees: Trees): (soname: string) => Given | undefined {
  const { runtime, glibc: chosen, store } = trees;
  const isFoundAnyway = runtime.find(LIBC, undefined)?.path === chosen.path;
  const unwinder = newestUnwinder(searchesOf(trees), chosen);
  return (soname) => {
    if (!isShared(soname)) return undefined;
    if (soname === UNWINDER && unwinder) return { library: unwinder.library, why: "the newest of all trees'" };
    const path = isFoundAnyway ? undefined : fileOf(soname, chosen);
    return path === undefined ? undefined : { library: store.read(path), why: `glibc ${chosen.version}` };
  };
}

const fileOf = (soname: string, { glibc }: ChosenGlibc): string | undefined =>
  soname === LOADER ? glibc?.loader : glibc?.find(soname);
