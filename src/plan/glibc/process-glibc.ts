// What processes run on: a tree's glibc, if the kernel and ld.so would find another, and the newest unwinder of all
// trees.

import { realpathSync } from "node:fs";
import { LinkError } from "../../../lib/link-error.ts";
import { Glibc } from "../../../lib/tree/glibc.ts";
import { LOADER } from "../../../lib/tree/glibc-names.ts";
import type { Search } from "../../../lib/tree/search.ts";
import { unless } from "../../../lib/unless.ts";
import { UNWINDER } from "../../profiles/shared-set.ts";
import type { ChosenGlibc } from "./choice.ts";
import { newestUnwinder } from "./unwinder.ts";

export interface ProcessGlibc {
  /** Soname → file of shared libraries that the processes would not find by themselves. */
  readonly shared: ReadonlyMap<string, string>;
  /** Undefined if the files belong to the ld.so that the kernel starts. */
  readonly starter: Starter | undefined;
}

/** An ld.so to start in place of a program's own. */
export interface Starter {
  readonly loader: string;
  readonly takesArgv0: boolean;
  /** The directory with its character sets. */
  readonly characterSets: string | undefined;
}

/** `trees` are the runtime's and the hosts'. Throws LinkError for a glibc that cannot be used. */
export function processGlibcOf(
  trees: readonly Search[],
  chosen: Pick<ChosenGlibc, "glibc" | "version" | "isNatural">,
): ProcessGlibc {
  const { glibc, isNatural } = chosen;
  const unwinder = newestUnwinder(trees, chosen);
  const shared = new Map(glibc?.family);
  if (unwinder) shared.set(UNWINDER, unwinder.path);
  if (!glibc || isNatural) return { shared, starter: undefined };
  const { loader, takesArgv0, characterSets } = glibc;
  return { shared, starter: { loader, takesArgv0, characterSets } };
}

/**
 * For processes that bring an older libc than the chosen one, where all others find the chosen glibc anyway: they are
 * started by its ld.so's name. Undefined if the machine's glibc is incomplete or inconsistent.
 */
export function processGlibcOfOlder(processGlibc: ProcessGlibc, machine: Search): ProcessGlibc | undefined {
  if (processGlibc.starter) return processGlibc;
  return unless([LinkError], () => {
    const own = Glibc.of(machine);
    if (!own) return undefined;
    const { family, loader, takesArgv0 } = own;
    return {
      shared: new Map([...family, ...processGlibc.shared]),
      starter: { loader, takesArgv0, characterSets: undefined },
    };
  });
}

/** Maps mount points to what is mounted there: files, and the directory with the character sets. */
export type Mounts = ReadonlyMap<string, string>;

/** What to mount over the machine's own glibc. Empty if nothing has to be replaced. */
export function mountsOf({ shared, starter }: ProcessGlibc, machine: Search): Mounts {
  const mounts = new Map<string, string>();
  const own = Glibc.of(machine);
  if (!own || !starter) return mounts;
  const put = (over: string | undefined, file: string): void => {
    if (over !== undefined && over !== file) mounts.set(over, file);
  };
  for (const [soname, file] of shared)
    if (soname !== UNWINDER) put(soname === LOADER ? own.loader : machine.find(soname, undefined)?.path, file);
  const sets = own.characterSets;
  if (starter.characterSets !== undefined) put(sets, realpathSync(starter.characterSets));
  return mounts;
}
