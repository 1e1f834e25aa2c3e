// What is known of single libraries: which comparisons tell the newer of two, and which symbols are nobody else's
// business. A file of the user's has more, in the words of libcapsule:
//
//   [Library libdbus-1.so.3]
//   CompareBy=versions;symbols;name;
//   PublicSymbolVersions=!LIBDBUS_PRIVATE_*;*;

import { readWhole } from "../../lib/regular-file.ts";
import { LIBC } from "../../lib/tree/glibc-names.ts";
import { globPattern } from "../../lib/tree/glob.ts";
import { reasonOf } from "../../lib/tree/search.ts";
import { UsageError } from "../diagnostics/errors.ts";
import { UNWINDER } from "../profiles/shared-set.ts";
import { suggestion } from "../settings/nearest.ts";
import { quoted } from "../settings/source.ts";

/**
 * A way to tell which of two copies of a library is newer: by the `name`s of their files, the `versions` of their
 * symbols, or their `symbols`; or always the `container`'s or the `provider`'s.
 */
export type Comparator = "name" | "versions" | "symbols" | "container" | "provider";

export const COMPARATORS: Readonly<Record<Comparator, string>> = {
  name: "the names of the files: libfoo.so.1.10 is newer than libfoo.so.1.9",
  versions: "one defines all symbol versions of the other, and more",
  symbols: "one has all symbols of the other, and more",
  container: "the container's",
  provider: "the provider's",
};

/** Words to compare by, in order. Throws UsageError for others. */
export function comparatorsOf(words: readonly string[], where: string): Comparator[] {
  const list = words.map((word) => word.trim()).filter(Boolean);
  for (const word of list)
    if (!Object.hasOwn(COMPARATORS, word))
      throw new UsageError(`Cannot compare by ${quoted(word)}${where}: ${suggestion(word, Object.keys(COMPARATORS))}`);
  return list as Comparator[];
}

/** Globs, of which the first that matches decides; with `!` in front, what it matches is private. */
export type Filter = readonly string[];

export interface Known {
  readonly compareBy?: readonly Comparator[];
  readonly versions?: Filter;
  /** Of names, and of NAME@VERSION. */
  readonly symbols?: Filter;
}

const PUBLIC = ["!GLIBC_PRIVATE", "*"];

/** They need no file, nor heed one for libc: it decides for all of glibc. */
const OWN: Readonly<Record<string, Known>> = {
  [LIBC]: { compareBy: ["versions", "symbols", "name"], versions: PUBLIC, symbols: ["!*@GLIBC_PRIVATE", "*"] },
};
/** What a file of the user's may replace. */
const USUAL: Readonly<Record<string, Known>> = {
  // The file's name has no version.
  [UNWINDER]: { compareBy: ["versions", "symbols", "name", "provider"] },
};

/** By soname, or by a path in a tree. */
export type Knowledge = ReadonlyMap<string, Known>;

export const knownOf = (soname: string, paths: readonly string[], knowledge: Knowledge): Known =>
  OWN[soname] ??
  [...paths, soname].map((key) => knowledge.get(key)).find((known) => known !== undefined) ??
  USUAL[soname] ??
  {};

/** Is it public, by the filter, under one of its names? */
export function isPublic(names: readonly string[], filter: Filter | undefined): boolean {
  if (!filter) return true;
  for (const glob of filter) {
    const pattern = globPattern(glob.replace(/^!/, ""));
    if (names.some((name) => pattern.test(name))) return !glob.startsWith("!");
  }
  return false;
}

const FILE = { name: "what is known of libraries", most: 1 << 20 };

/** Throws UsageError for a file that cannot be read, or has something else in it. */
export function readKnowledge(path: string): Knowledge {
  try {
    return parseKnowledge(readWhole(path, FILE).toString(), path);
  } catch (cause) {
    if (cause instanceof UsageError) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new UsageError(`Cannot use ${quoted(path)}: ${code === undefined ? message : reasonOf(code)}`, { cause });
  }
}

const KEYS = ["CompareBy", "PublicSymbolVersions", "PublicSymbols"];

export function parseKnowledge(text: string, path: string): Knowledge {
  const knowledge = new Map<string, Known>();
  let name: string | undefined;
  for (const [i, line] of text
    .split("\n")
    .map((one) => one.trim())
    .entries()) {
    const where = `, as line ${i + 1} of ${quoted(path)} says`;
    if (line === "" || line.startsWith("#") || line.startsWith(";")) continue;
    const [, section] = /^\[(.*)\]$/.exec(line) ?? [];
    if (section !== undefined) {
      [, name] = /^Library\s+(\S.*)$/.exec(section) ?? [];
      if (name !== undefined) knowledge.set(name, knowledge.get(name) ?? {});
      continue;
    }
    const [, key, value] = /^([^=]+?)\s*=\s*(.*)$/.exec(line) ?? [];
    if (key === undefined || value === undefined)
      throw new UsageError(`Cannot use line ${i + 1} of ${quoted(path)}: [Library NAME] or KEY=VALUE; is needed`);
    // Sections of others are theirs.
    if (name === undefined) continue;
    const list = value
      .split(";")
      .map((one) => one.trim())
      .filter(Boolean);
    const known = knowledge.get(name) ?? {};
    if (key === "CompareBy") knowledge.set(name, { ...known, compareBy: comparatorsOf(list, where) });
    else if (key === "PublicSymbolVersions") knowledge.set(name, { ...known, versions: list });
    else if (key === "PublicSymbols") knowledge.set(name, { ...known, symbols: list });
    else throw new UsageError(`There is no key ${quoted(key)}${where}: ${suggestion(key, KEYS)}`);
  }
  return knowledge;
}
