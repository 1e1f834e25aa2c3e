// What is captured from a provider's tree for a container, as data: which names, which files, why these, and what was
// left to the container, by which comparison. Made from files alone; nothing is loaded, run or written.

import { ElfError } from "../../lib/elf/error.ts";
import { LinkError } from "../../lib/link-error.ts";
import { GLIBC, LIBC, LOADER, NSS_MODULE } from "../../lib/tree/glibc-names.ts";
import type { Search } from "../../lib/tree/search.ts";
import { unless } from "../../lib/unless.ts";
import { compare, type Verdict } from "./compare.ts";
import { type Comparator, type Knowledge, knownOf } from "./knowledge.ts";
import { type Match, matchesOf, NoMatch, type Provider } from "./matches.ts";
import { Missing, type Needed, Needs } from "./needs.ts";
import type { Request } from "./pattern.ts";

export interface CaptureOptions {
  readonly provider: Provider;
  /** Undefined if everything is captured. */
  readonly container: Search | undefined;
  readonly compareBy: readonly Comparator[];
  readonly knowledge: Knowledge;
  /** Leave out all of glibc. */
  readonly isWithoutGlibc: boolean;
}

/** Who wants a library: a pattern, and for a dependency the file that needs it. */
export interface Wanted {
  readonly pattern: string;
  /** Undefined for what matches the pattern itself. */
  readonly neededBy: string | undefined;
}

/** Why a library is captured, or is not. */
export type Reason =
  /** The two copies were compared. */
  | ({ readonly kind: "compared" } & Verdict)
  /** The container has none. */
  | { readonly kind: "alone" }
  /** `even-if-older:` */
  | { readonly kind: "asked" }
  /** A file that libraries read. */
  | { readonly kind: "data" }
  /** It goes with libc, of which this is the verdict; null if only the provider has one. */
  | { readonly kind: "glibc"; readonly verdict: Verdict | null };

export interface Captured {
  /** The name of the link. */
  readonly name: string;
  /** The provider's file: a path on this machine, without symbolic links. */
  readonly path: string;
  /** The path in the provider by which it was found. */
  readonly foundAs: string;
  /** The search step that found it. */
  readonly why: string;
  readonly wanted: Wanted;
  readonly reason: Reason;
  /** The container's file that it takes the place of, if there is one. */
  readonly instead: string | undefined;
}

export interface Left {
  readonly name: string;
  readonly path: string;
  /** The container's file; undefined for a part of glibc that its newer glibc does not have. */
  readonly container: string | undefined;
  readonly wanted: Wanted;
  readonly reason: Reason;
}

export interface Plan {
  /** Each name once. */
  readonly captured: readonly Captured[];
  readonly left: readonly Left[];
  /** Patterns that nothing was captured for, and why that is no error. */
  readonly ignored: readonly { readonly pattern: string; readonly why: string }[];
}

/** A library that some request wants by a name. */
interface Candidate {
  readonly name: string;
  readonly path: string;
  readonly foundAs: string;
  readonly why: string;
  readonly wanted: Wanted;
  readonly isAsked: boolean;
}

/** Throws LinkError for what is missing, and ElfError for what is damaged. */
export function planCapture(requests: readonly Request[], options: CaptureOptions): Plan {
  const ignored: { pattern: string; why: string }[] = [];
  const needs = new Needs(options.provider.search);
  const candidates = requests.flatMap((request) => {
    const unlessFine = <Found>(find: () => Found[]): Found[] => {
      try {
        return find();
      } catch (error) {
        const isMissing = error instanceof NoMatch || error instanceof Missing;
        const { ifExists, ifSameAbi, kind } = request;
        const isOther = error instanceof NoMatch && error.isForeign;
        // A glob of paths is for those of its matches that can be used.
        if (!isMissing || !(ifExists || (isOther && (ifSameAbi || kind === "path-match")))) throw error;
        ignored.push({ pattern: request.text, why: error.message });
        return [];
      }
    };
    const matches = unlessFine(() => matchesOf(request, options.provider));
    return matches.flatMap((match) => unlessFine(() => candidatesOf(match, request, needs)));
  });
  return { ...new Choices(candidates, options).plan, ignored };
}

function candidatesOf(match: Match, request: Request, needs: Needs): Candidate[] {
  const { text: pattern, part, evenIfOlder } = request;
  const { library, origin, foundAs, why } = match;
  const name = request.into === undefined ? match.name : `${request.into}/${match.name}`;
  const wanted = { pattern, neededBy: undefined };
  const root: Candidate = { name, path: library.path, foundAs, why, wanted, isAsked: evenIfOlder };
  if (part === "no-dependencies") return [root];
  const asCandidate = ({ neededBy, ...one }: Needed): Candidate => ({
    ...one,
    wanted: { pattern, neededBy },
    isAsked: false,
  });
  if (part === "both") return [root, ...needs.ofMore(library, origin).map(asCandidate)];
  const needed = needs.of(library, origin).filter(({ path }) => path !== library.path);
  return needed.map(asCandidate);
}

/** What glibc installs beside what programs need of it, and what it had before. */
const MORE_OF_GLIBC = [
  ...["libmemusage.so", "libpcprofile.so", "libSegFault.so", "libcidn.so.1", "libthread_db-1.0.so"],
  ...["libnss_nis.so.2", "libnss_nisplus.so.2"],
];
/** Of glibc's until others took it over: an old one of the container's would not run on the provider's libc. */
const ONCE_OF_GLIBC = ["libcrypt.so.1"];
const FAMILY: ReadonlySet<string> = new Set([...GLIBC, ...MORE_OF_GLIBC]);

/** Which candidates are captured. */
class Choices {
  readonly #captured = new Map<string, Captured>();
  readonly #left = new Map<string, Left>();
  readonly #options: CaptureOptions;
  readonly #provider: Search;
  /** Undefined if one of the two has no libc, so that there is nothing to compare. */
  readonly #libc: Verdict | undefined;
  readonly #isLibcAsked: boolean;

  constructor(candidates: readonly Candidate[], options: CaptureOptions) {
    this.#options = options;
    this.#provider = options.provider.search;
    this.#isLibcAsked = candidates.some((one) => one.isAsked && this.#isGlibcs(one));
    const isLibcNeeded = candidates.some((one) => this.#isGlibcs(one));
    this.#libc = isLibcNeeded && !options.isWithoutGlibc ? this.#compareLibc() : undefined;
    for (const candidate of candidates) this.#choose(candidate);
    const first = [...this.#captured.values()].find(({ reason }) => reason.kind === "glibc");
    if (first) this.#bringGlibc(first);
  }

  get plan(): Omit<Plan, "ignored"> {
    return { captured: [...this.#captured.values()], left: [...this.#left.values()] };
  }

  #choose(candidate: Candidate): void {
    const { name, path, isAsked } = candidate;
    // ld.so is named by programs, by its path.
    if (name === LOADER || this.#captured.has(name) || (this.#left.has(name) && !isAsked)) return;
    const isGlibcs = this.#isGlibcs(candidate);
    if (isGlibcs && this.#options.isWithoutGlibc) return;
    // What is in a folder of its own takes the place of nothing.
    const other = name.includes("/") ? undefined : this.#options.container?.find(name, undefined)?.path;
    const reason = isGlibcs ? this.#reasonForGlibc() : this.#reasonFor(candidate, other);
    const { foundAs, why, wanted } = candidate;
    const isLeft =
      "winner" in reason
        ? reason.winner === "container"
        : reason.kind === "glibc" && reason.verdict?.winner === "container";
    if (isLeft) {
      // A part of glibc that the container has no more is left with it.
      this.#left.set(name, { name, path, container: other, wanted, reason });
      return;
    }
    this.#left.delete(name);
    this.#captured.set(name, { name, path, foundAs, why, wanted, reason, instead: other });
  }

  #reasonFor({ name, path, isAsked }: Candidate, other: string | undefined): Reason {
    if (isAsked) return { kind: "asked" };
    if (other === undefined) return { kind: "alone" };
    const { compareBy, knowledge, container } = this.#options;
    const paths = [this.#provider.tree.inside(path), container?.tree.inside(other) ?? other];
    const known = knownOf(name, paths, knowledge);
    const copies = { soname: name, provider: path, container: other };
    return { kind: "compared", ...compare(copies, compareBy, known, this.#provider.store) };
  }

  #reasonForGlibc(): Reason {
    return this.#isLibcAsked ? { kind: "asked" } : { kind: "glibc", verdict: this.#libc ?? null };
  }

  #compareLibc(): Verdict | undefined {
    const ours = this.#provider.find(LIBC, undefined)?.path;
    const theirs = this.#options.container?.find(LIBC, undefined)?.path;
    if (ours === undefined || theirs === undefined) return undefined;
    const copies = { soname: LIBC, provider: ours, container: theirs };
    return compare(copies, [], knownOf(LIBC, [], new Map()), this.#provider.store);
  }

  #isGlibcs({ name, path }: { readonly name: string; readonly path: string }): boolean {
    if (FAMILY.has(name)) return true;
    const isMaybe = NSS_MODULE.test(name) || ONCE_OF_GLIBC.includes(name);
    return isMaybe && this.#isOfGlibc(this.#provider, path);
  }

  readonly #isOfGlibc = (search: Search, path: string): boolean =>
    unless([ElfError], () => search.libraryAt(path).isOfGlibc) ?? false;

  /** All of glibc is of one build. */
  #bringGlibc({ path: neededBy, wanted: { pattern }, reason }: Captured): void {
    const { container } = this.#options;
    for (const name of [...FAMILY, ...ONCE_OF_GLIBC, ...this.#modules()]) {
      const found = unless([ElfError, LinkError], () => this.#provider.find(name, undefined));
      if (!found || this.#captured.has(name)) continue;
      const { path, why, foundAs } = found;
      const from = this.#provider.tree.inside(foundAs);
      const candidate = { name, path, foundAs: from, why, wanted: { pattern, neededBy }, isAsked: false };
      const other = container?.find(name, undefined)?.path;
      const isOurs =
        this.#isGlibcs(candidate) || (other !== undefined && container && this.#isOfGlibc(container, other));
      if (isOurs) this.#captured.set(name, { ...candidate, reason, instead: other });
      else this.#choose(candidate);
    }
  }

  /** Modules for users and hosts that the provider's glibc brings. */
  #modules(): string[] {
    return this.#options.provider.matching("libnss_*.so.2").filter((name) => {
      const path = NSS_MODULE.test(name) ? this.#provider.find(name, undefined)?.path : undefined;
      return path !== undefined && this.#isOfGlibc(this.#provider, path);
    });
  }
}
