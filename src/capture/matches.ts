// The libraries of a tree that a request is for.

import { readdirSync } from "node:fs";
import { basename } from "node:path";
import { ElfError } from "../../lib/elf/error.ts";
import { isForeign, type Library } from "../../lib/elf/library.ts";
import { LinkError } from "../../lib/link-error.ts";
import { readBeginning } from "../../lib/regular-file.ts";
import { LOADER } from "../../lib/tree/glibc-names.ts";
import { globPattern, pathsMatching } from "../../lib/tree/glob.ts";
import { mustFind, reasonOf, type Search } from "../../lib/tree/search.ts";
import { SystemFault, unless, unlessRefused } from "../../lib/unless.ts";
import type { Request } from "./pattern.ts";

/** A library that matches a request. */
export interface Match {
  /** The name that it gets. */
  readonly name: string;
  readonly library: Library;
  /** Why this file: the search step that found it. */
  readonly why: string;
  /** Its $ORIGIN, as in Requester. */
  readonly origin: string | undefined;
  /** The path in the tree by which it was found, with its symbolic links. */
  readonly foundAs: string;
}

/** Nothing matches. `isForeign`: but for files of another class or machine. */
export class NoMatch extends LinkError {
  constructor(
    message: string,
    object: string,
    readonly isForeign = false,
    cause?: unknown,
  ) {
    super(message, { object, ...(cause === undefined ? {} : { cause }) });
  }
}

/** Throws NoMatch, and ElfError for a file that is damaged. */
export function matchesOf(request: Request, provider: Provider): Match[] {
  const { kind, name } = request;
  const { search } = provider;
  switch (kind) {
    case "soname":
    case "exact-soname":
      return [bySoname(name, kind === "exact-soname", search)];
    case "path":
      return [byPath(name, search)];
    case "soname-match":
      return someOf(request, provider, provider.matching(name), (soname) => bySoname(soname, false, search));
    case "path-match":
      return someOf(request, provider, pathsMatching(search.tree, name), (path) => byPath(path, search));
  }
}

function someOf({ name }: Request, { search }: Provider, names: readonly string[], find: (name: string) => Match) {
  let isForeign = false;
  // What is no library is passed over: /usr/lib has linker scripts, too.
  const matches = names.flatMap((one) => {
    const tell = (error: Error) => {
      isForeign ||= error instanceof NoMatch && error.isForeign;
    };
    return unless([NoMatch, ElfError, SystemFault], () => find(one), tell) ?? [];
  });
  if (matches.length > 0) return matches;
  const has = isForeign ? "only has libraries for another class or machine" : "has no library";
  throw new NoMatch(`Cannot capture "${name}": "${search.tree.name}" ${has} that it matches`, name, isForeign);
}

function bySoname(name: string, isExact: boolean, search: Search): Match {
  let found: ReturnType<typeof mustFind>;
  try {
    found = mustFind(search, name, undefined);
  } catch (cause) {
    if (!(cause instanceof LinkError) || !cause.details.tried) throw cause;
    throw new NoMatch(cause.message, name, false, cause);
  }
  const { library, why, origin, foundAs } = found;
  if (isExact && !(library.hasSoname && library.soname === name))
    throw new NoMatch(
      `Cannot capture "${name}": "${library.path}", which is found by that name, ${library.hasSoname ? `is "${library.soname}"` : "has no DT_SONAME"}`,
      name,
    );
  return { name, library, why, origin, foundAs: search.tree.inside(foundAs) };
}

function byPath(path: string, search: Search): Match {
  const { tree } = search;
  const cannot = (why: string, foreign = false, cause?: unknown) =>
    new NoMatch(`Cannot capture "${path}": ${why}`, path, foreign, cause);
  const real = tree.resolve(path);
  if (real === undefined) throw cannot(`"${tree.name}" has no such file`);
  let head: Buffer;
  try {
    head = readBeginning(real, 20);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === undefined) throw cause;
    throw cannot(reasonOf(code), false, cause);
  }
  if (isForeign(new DataView(head.buffer, head.byteOffset, head.byteLength)))
    throw cannot(`"${real}" is for another class or machine`, true);
  const origin = `${tree.root}${path.slice(0, path.lastIndexOf("/"))}`;
  return { name: basename(path), library: search.libraryAt(real), why: "its path", origin, foundAs: path };
}

/** Files that ldconfig takes for libraries. */
const LIBRARY = /^(lib|ld-).*\.so/;

/** A tree to take libraries from, and the sonames of what is in it. */
export class Provider {
  #cached?: readonly string[];
  #listed?: readonly string[];

  constructor(readonly search: Search) {
    // What is relative is so to the tree: nothing is ever taken from outside.
    search.cwd = () => search.tree.root || "/";
  }

  /** The sonames that match a glob, sorted: those of ld.so.cache, and of libraries that ldconfig has not seen. */
  matching(glob: string): string[] {
    const pattern = globPattern(glob);
    this.#cached ??= [...this.search.cachedSonames];
    this.#listed ??= this.#inDirectories();
    const found = new Set(this.#cached.filter((name) => pattern.test(name)));
    for (const name of this.#listed)
      if (!found.has(name) && pattern.test(name) && this.#isSoname(name)) found.add(name);
    return [...found].filter((name) => name !== LOADER).sort();
  }

  #inDirectories(): string[] {
    const names = this.search.directories.flatMap((directory) => unlessRefused(() => readdirSync(directory)) ?? []);
    return [...new Set(names)].filter((name) => LIBRARY.test(name));
  }

  /** As ldconfig has it: not other names of a file, such as libfoo.so.1.2.3 and what is there for compilers. */
  #isSoname(name: string): boolean {
    const library = unless([LinkError, ElfError, SystemFault], () => this.search.find(name, undefined)?.library);
    return library !== undefined && (!library.hasSoname || library.soname === name);
  }
}
