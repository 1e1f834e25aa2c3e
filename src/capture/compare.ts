// Which of two copies of a library is the newer one. No single fact tells: file names have no version, or the version
// of a package; symbol versions are not everywhere; symbols come and go. So comparisons are made in an order, and the
// first that can tell decides.

import { basename } from "node:path";
import { SHN_ABS } from "../../lib/elf/constants.ts";
import { openImage } from "../../lib/elf/file.ts";
import { isExported } from "../../lib/elf/sym.ts";
import type { LibraryStore } from "../../lib/tree/library-store.ts";
import { type Comparator, isPublic, type Known } from "./knowledge.ts";

export type Side = "provider" | "container";

/** A comparison, and what it says. */
export interface Comparison {
  readonly by: Comparator;
  /** The side with the newer library; null if it cannot tell. */
  readonly newer: Side | null;
  /** What it has seen: "libfoo.so.1.10 is newer than libfoo.so.1.9". */
  readonly why: string;
}

export interface Verdict {
  readonly winner: Side;
  /** The comparison that decided; null if none could tell, and the provider's is taken. */
  readonly by: Comparator | null;
  /** Up to the one that decided. */
  readonly comparisons: readonly Comparison[];
}

/** The paths of two files of one soname, on this machine, without symbolic links. */
export interface Copies {
  readonly soname: string;
  readonly provider: string;
  readonly container: string;
}

/** Throws what open(2) throws, and ElfError. */
export function compare(
  copies: Copies,
  comparators: readonly Comparator[],
  known: Known,
  store: LibraryStore,
): Verdict {
  const comparisons: Comparison[] = [];
  for (const by of known.compareBy ?? comparators) {
    const comparison = compareBy(by, copies, known, store);
    comparisons.push(comparison);
    if (comparison.newer !== null) return { winner: comparison.newer, by, comparisons };
  }
  return { winner: "provider", by: null, comparisons };
}

function compareBy(by: Comparator, copies: Copies, known: Known, store: LibraryStore): Comparison {
  switch (by) {
    case "provider":
    case "container":
      return { by, newer: by, why: `the ${by}'s is preferred` };
    case "name":
      return { by, ...byName(copies) };
    default:
      return { by, ...byContent(by, copies, known, store) };
  }
}

type Said = Omit<Comparison, "by">;

function byName({ soname, provider, container }: Copies): Said {
  const [ours, theirs] = [basename(provider), basename(container)];
  if (ours === theirs) return { newer: null, why: `both are named ${ours}` };
  // Only a longer name has a version.
  if (ours === soname || theirs === soname) return { newer: null, why: `the file name ${soname} has no version` };
  const order = strverscmp(ours, theirs);
  if (order === 0) return { newer: null, why: `${ours} and ${theirs} are the same version` };
  return order > 0
    ? { newer: "provider", why: `${ours} is newer than ${theirs}` }
    : { newer: "container", why: `${theirs} is newer than ${ours}` };
}

/**
 * As strverscmp(3): names are compared byte by byte, but runs of digits as numbers, and those that begin with zeroes as
 * what follows a decimal point: 000 < 00 < 01 < 010 < 09 < 0 < 1 < 9 < 10.
 */
export function strverscmp(one: string, other: string): number {
  let at = 0;
  while (at < one.length && one[at] === other[at]) at++;
  // The digits before the first difference: the difference is in that number.
  const digits = /\d*$/.exec(one.slice(0, at))?.[0] ?? "";
  const [first, second] = [one, other].map((text) => /^\d*/.exec(text.slice(at))?.[0] ?? "") as [string, string];
  if (digits === "" ? isWhole(first) && isWhole(second) : isWhole(digits)) {
    if (first.length !== second.length) return first.length - second.length;
  } else if (/^0+$/.test(digits) && (first === "") !== (second === "")) return first === "" ? 1 : -1;
  const codeOf = (text: string) => (at < text.length ? text.charCodeAt(at) : 0);
  return codeOf(one) - codeOf(other);
}

/** Not what follows a decimal point. */
const isWhole = (digits: string): boolean => /^[1-9]/.test(digits);

const WORDS = { versions: "symbol version", symbols: "symbol" } as const;

/** Reading a large library's symbols takes some milliseconds, so the result is kept. */
function byContent(by: keyof typeof WORDS, { provider, container }: Copies, known: Known, store: LibraryStore): Said {
  if (provider === container) return { newer: null, why: "both are one file" };
  const question = JSON.stringify(["compare", by, known.versions, known.symbols]);
  const [newer = "", why = ""] = store.ofAll([provider, container], question, () => {
    const [ours, theirs] = [provider, container].map((path) => contentOf(path, by, known)) as [
      Set<string>,
      Set<string>,
    ];
    const [more, lacked] = [ours.difference(theirs), theirs.difference(ours)];
    const word = WORDS[by];
    if (more.size === 0 && lacked.size === 0) return ["", `both have the same ${word}s`];
    if (lacked.size === 0) return ["provider", `the provider's has more: ${someOf(more)}`];
    if (more.size === 0) return ["container", `the container's has more: ${someOf(lacked)}`];
    return [
      "",
      `each has ${word}s that the other lacks: the provider's ${someOf(more)}, the container's ${someOf(lacked)}`,
    ];
  });
  return { newer: newer === "" ? null : (newer as Side), why };
}

/** More names help nobody. */
const SHOWN = 3;

function someOf(names: ReadonlySet<string>): string {
  const some = [...names].sort().slice(0, SHOWN);
  const rest = names.size - some.length;
  return `${some.join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}

function contentOf(path: string, by: keyof typeof WORDS, { versions, symbols: filter }: Known): Set<string> {
  using image = openImage(path);
  const defined = image.verdefs.filter(({ isBase, name }) => !isBase && isPublic([name], versions));
  const names = new Set(defined.map(({ name }) => name));
  if (by === "versions") return names;
  const { symbols } = image;
  // Read the whole table at once: there are many strings.
  void image.strings.bytes;
  const isPublicVersion = new Map<string | undefined, boolean>([[undefined, true]]);
  const found = new Set<string>();
  for (let i = 1; i < symbols.length; i++) {
    const sym = symbols.at(i);
    if (!isExported(sym)) continue;
    const [name, version] = [symbols.nameOf(sym), image.versionOf(i)];
    // The symbol that a version itself defines.
    if (sym.st_shndx === SHN_ABS && name === version) continue;
    const isOpen = isPublicVersion.getOrInsertComputed(version, (one) => isPublic([one ?? ""], versions));
    const full = version === undefined ? name : `${name}@${version}`;
    if (isOpen && isPublic([name, full], filter)) found.add(full);
  }
  return found;
}
