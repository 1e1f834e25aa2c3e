// Which glibc a program runs on. A process has one ld.so, to which libc is tied, so the runtime's and the host's
// libraries share one: the newest that any tree has, as glibc keeps running what was built for older ones.

import { compareVersions } from "../../../lib/elf/glibc-version.ts";
import type { Library } from "../../../lib/elf/library.ts";
import { LinkError } from "../../../lib/link-error.ts";
import type { System } from "../../../lib/process/system.ts";
import { Glibc } from "../../../lib/tree/glibc.ts";
import { LIBC } from "../../../lib/tree/glibc-names.ts";
import type { Search } from "../../../lib/tree/search.ts";
import { UsageError } from "../../diagnostics/errors.ts";
import type { Trace } from "../../diagnostics/trace.ts";
import type { GlibcChoice } from "../../settings/choices.ts";

/** The glibc of a process. */
export interface OwnGlibc {
  /** The path of its libc. */
  readonly path: string;
  /** As gnu_get_libc_version returns it. */
  readonly version: string;
  /** The libc that this process runs on, if another: it has been started over. */
  readonly current?: string;
}

/** The glibc of a program that the kernel starts. Throws LinkError if the machine has none. */
export function machineGlibc(machine: Search): OwnGlibc {
  const glibc = Glibc.of(machine);
  if (!glibc) throw new LinkError(`Cannot find "${LIBC}" in this machine`, { object: LIBC });
  return { path: glibc.libc.path, version: glibc.name };
}

export interface ChosenGlibc {
  /** With its files; undefined if only the tree that ld.so itself searches has it. */
  readonly glibc: Glibc | undefined;
  /** This process, or one that the kernel starts, runs on it. */
  readonly isOwn: boolean;
  /** It is the machine's own, on which the kernel starts programs. */
  readonly isNatural: boolean;
  /** "2.36" */
  readonly version: string;
  /** The path of its libc. */
  readonly path: string;
}

/** The chosen glibc, and the alternatives. */
export interface GlibcDecision extends ChosenGlibc {
  /** "the machine's own", "of the host tree /srv/debian-13", … */
  readonly whose: string;
  readonly others: readonly Pick<GlibcDecision, "version" | "path" | "whose">[];
}

/** A glibc that may be chosen, and whose it is. */
interface Candidate extends OwnGlibc {
  readonly whose: string;
  readonly glibc?: Glibc;
}

/** Where a glibc may come from. */
interface GlibcSources {
  /** What a process has without capsule. */
  readonly own: OwnGlibc;
  readonly machine: Search;
  readonly runtime: Search;
  readonly hosts: readonly Search[];
  /** The tree that the user has named. */
  readonly named: Search | undefined;
}

/** Throws LinkError for a glibc that cannot be used, and UsageError if the chosen place has none. */
export function chooseGlibc(
  choice: GlibcChoice,
  { own, machine, runtime, hosts, named }: GlibcSources,
  system: System,
  trace: Trace,
): GlibcDecision {
  const candidateOf = (whose: string, search: Search): Candidate[] => {
    const glibc = Glibc.of(search);
    return glibc ? [{ whose: `${whose} ${search.tree.name}`, path: glibc.libc.path, version: glibc.name, glibc }] : [];
  };
  const mine: Candidate = { ...own, whose: "the machine's own" };
  const runtimes = runtime === machine ? [mine] : candidateOf("of the runtime", runtime);
  const theirs = hosts
    .filter(({ tree }) => tree.root !== "")
    .flatMap((search) => candidateOf("of the host tree", search));
  const asked = named ? candidateOf("of", named) : [];
  const all = [mine, ...runtimes, ...theirs, ...asked];
  const offered = { auto: all, runtime: runtimes.length > 0 ? runtimes : [mine], host: theirs, named: asked };
  const [first, ...rest] = offered[typeof choice === "string" ? choice : "named"];
  if (!first)
    throw new UsageError(
      `There is no glibc ${named ? `in "${named.tree.name}"` : "of a host's to choose: no host tree has one of its own"}`,
    );
  const chosen = rest.reduce((best, one) => (isNewer(one, best) ? one : best), first);
  const others = all.filter(({ path }, i) => path !== chosen.path && all.findIndex((one) => one.path === path) === i);
  trace.log("plan", () => {
    const compared = others.map(({ whose, version }) => `${version}, ${whose}`).join("; ");
    const why = choice === "auto" ? "no older than" : "as was asked for, and not";
    return `glibc: ${chosen.version}, ${chosen.whose} ("${chosen.path}")${compared && `: ${why} ${compared}`}`;
  });
  const { version, path, whose } = chosen;
  // With another runtime, ld.so would not find the machine's own glibc.
  const known = [...all, ...(runtime === machine ? [] : candidateOf("of", machine))];
  const glibc = known.find((one) => one.glibc && one.path === path)?.glibc;
  const isOwn = path === (own.current ?? own.path);
  if (glibc && !isOwn) check(glibc, system);
  const isNatural = path === own.path;
  return { glibc, isOwn, isNatural, version, path, whose, others };
}

const isNewer = (one: OwnGlibc, other: OwnGlibc): boolean => compareVersions(versionOf(one), versionOf(other)) > 0;

/** "2.36" as numbers. */
export const versionOf = ({ version }: Pick<OwnGlibc, "version">): number[] => version.split(".").map(Number);

/** Throws LinkError. */
function check(glibc: Glibc, system: System): void {
  let loader: string;
  try {
    loader = glibc.loader;
  } catch (error) {
    if (!(error instanceof LinkError)) throw error;
    const message = `${error.message} (--glibc says whose is used)`;
    throw new LinkError(message, { object: glibc.libc.path, cause: error });
  }
  if (system.isNoexec(loader))
    throw new LinkError(
      `Cannot use the glibc of "${glibc.search.tree.name}": the file system of "${loader}" is mounted noexec, so that nothing can be run from there`,
      { object: loader },
    );
}

/** Can a library run on that version of glibc? */
export const runsOn = ({ glibc }: Library, version: string): boolean =>
  glibc === undefined || compareVersions(versionOf({ version: glibc }), versionOf({ version })) <= 0;

/**
 * Throws LinkError for a library that needs a newer glibc than the chosen one, and for one that is, or is built for,
 * another libc.
 */
export function checkNeeds(libraries: readonly Library[], { version, path }: ChosenGlibc): void {
  for (const library of libraries) {
    if (library.isLibc && library.soname !== LIBC) {
      const user = libraries.find(({ needed }) => needed.includes(library.soname)) ?? library;
      throw new LinkError(
        `Cannot use "${user.path}": it is built for another libc than glibc, "${library.path}" (musl's, if it is Alpine's)`,
        { object: user.path },
      );
    }
    if (runsOn(library, version)) continue;
    throw new LinkError(
      `Cannot use "${library.path}": it needs glibc ${library.glibc}, and the one that was chosen is ${version} ("${path}")`,
      { object: library.path },
    );
  }
}
