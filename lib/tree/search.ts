// Finds libraries in a tree as its own ld.so would with the tree as / (ld.so(8)). For a name without a slash: DT_RPATH
// along the chain of loaders (of those without DT_RUNPATH), LD_LIBRARY_PATH, the requester's own DT_RUNPATH,
// ld.so.cache (or ld.so.conf's directories if there is none), the default directories; in each directory, glibc-hwcaps
// first. A tree may have more directories than its ld.so knows (layout.ts). A file for another class or machine is
// skipped; any other bad file is an error.

import { existsSync, readdirSync } from "node:fs";
import { dirname } from "node:path";
import { isForeign, type Library } from "../elf/library.ts";
import { LinkError } from "../link-error.ts";
import { readBeginning, readWhole } from "../regular-file.ts";
import { unlessRefused } from "../unless.ts";
import { ownHwcaps, ownPlatform } from "./hwcaps.ts";
import { type Layout, PLAIN } from "./layout.ts";
import { type CacheEntry, LdSoCache } from "./ld-so-cache.ts";
import { configuredDirectories } from "./ld-so-conf.ts";
import { LibraryStore } from "./library-store.ts";
import { systemDirectories } from "./system-dirs.ts";
import { Tree } from "./tree.ts";

/** A library that requests another one. */
export interface Requester {
  readonly library: Library;
  readonly loader?: Requester | undefined;
  /** Its $ORIGIN: see Found. The default is its file's directory, as for a program. */
  readonly origin?: string | undefined;
}

export const originOf = ({ library, origin }: Requester): string => origin ?? dirname(library.path);

/** A file that a search has found; it is read on demand. */
export class Found {
  constructor(
    readonly search: Search,
    /** A path on this machine, without symbolic links. */
    readonly path: string,
    /** The search step that found it: "runpath of /usr/bin/game", "ld.so.cache", … */
    readonly why: string,
    /** The path by which it was found, on this machine, with its symbolic links. */
    readonly foundAs: string,
  ) {}

  /** ld.so's $ORIGIN: the directory in which it was found, which may differ from the real file's. */
  get origin(): string {
    return dirname(this.foundAs);
  }

  /** Throws ElfError for a malformed file. */
  get library(): Library {
    return this.search.libraryAt(this.path);
  }
}

/** A search step that found nothing. */
export interface Step {
  /** As in Found's `why`. */
  readonly by: string;
  /** A path on this machine; undefined if the step did not reach a file. */
  readonly path?: string | undefined;
  readonly fault: string;
}

export const textOf = ({ by, path, fault }: Step): string => `${path ?? by}: ${fault}`;

/** A directory to look in. */
interface Place {
  /** Undefined if its name cannot be expanded. */
  readonly directory?: string;
  readonly isOutside?: boolean;
  /** Why nothing is there. */
  readonly fault?: string;
}

/** The steps that found nothing, in order, to explain the result. */
export type Tried = Step[];

const CACHE = "ld.so.cache";
/** Of a DT_RPATH or DT_RUNPATH. */
const MOST_ELEMENTS = 4096;
/** A hundred thousand libraries have so much. */
const CACHE_FILE = { name: CACHE, most: 16 << 20 };

/**
 * LD_LIBRARY_PATH's directories. As in ld.so, an empty value has none, and an empty element is the current directory.
 */
export const libraryPathOf = (value: string | undefined): string[] =>
  value ? value.split(/[:;]/).map((directory) => directory || ".") : [];

export class Search {
  /** LD_LIBRARY_PATH, expanded, without elements that cannot be. */
  readonly libraryDirectories: readonly string[];
  /** Or why there is none to be used. */
  readonly #cache: LdSoCache | string;
  #defaults?: readonly string[];
  #configured?: readonly string[];
  /** By what names them. */
  readonly #places = new Map<string, readonly Place[]>();
  #hwcaps?: readonly string[];
  #platform?: string;
  readonly #foreign = new Set<string>();
  #machine?: Tree;
  /** The base of relative paths: the requester's current directory, which may have changed. */
  cwd: () => string = () => process.cwd();
  readonly #hasHwcaps = new Map<string, boolean>();

  /**
   * `libraryPath` is LD_LIBRARY_PATH, split: directories on this machine. $ORIGIN in it is always the directory of
   * `program`, a path on this machine without symbolic links, whoever the requester is. `layout` is the tree's. Throws
   * LinkError for a cache that is too large, or links that lead to none.
   */
  constructor(
    readonly tree: Tree,
    readonly libraryPath: readonly string[] = [],
    readonly store = new LibraryStore(),
    program?: string,
    readonly layout: Layout = PLAIN,
  ) {
    const origin = program === undefined ? undefined : dirname(program);
    this.libraryDirectories = libraryPath.flatMap((directory) => expand(directory, origin, this) ?? []);
    this.#cache = cacheOf(tree);
  }

  /** Undefined if no step finds it; `tried` then says why. */
  find(name: string, requester: Requester | undefined, tried: Tried = []): Found | undefined {
    if (name.includes("/")) {
      const path = expand(name, requester && originOf(requester), this);
      return path === undefined ? undefined : this.#at(path, "its path", tried, this.#isOutside(name, path, requester));
    }
    const runpath = requester?.library.runpath;
    if (runpath === undefined) {
      for (let link = requester; link; link = link.loader) {
        const { rpath, runpath: own, path } = link.library;
        if (rpath === undefined || own !== undefined) continue;
        const found = this.#along(rpath, link, name, `rpath of ${path}`, tried);
        if (found) return found;
      }
    }
    const inRunpath = (): Found | undefined =>
      runpath === undefined || !requester
        ? undefined
        : this.#along(runpath, requester, name, `runpath of ${requester.library.path}`, tried);
    return (
      this.#inAll(this.libraryDirectories, name, "LD_LIBRARY_PATH", tried, true) ??
      inRunpath() ??
      this.#inAll(this.layout.first, name, "named directory", tried) ??
      this.#inCache(name, tried) ??
      this.#inDefaults(name, requester, tried) ??
      this.#inAll(this.layout.last, name, "drivers' directory", tried)
    );
  }

  /** Looks at files again, but not at ld.so.cache and similar data. */
  refresh(): void {
    this.tree.refresh();
    this.#places.clear();
    this.#machine?.refresh();
    this.store.refresh();
  }

  /** The sonames that ld.so.cache has; none without a cache. */
  get cachedSonames(): ReadonlySet<string> {
    return typeof this.#cache === "string" ? new Set() : this.#cache.sonames;
  }

  /** The default directories, as paths in the tree. */
  get defaults(): readonly string[] {
    this.#defaults ??= systemDirectories(this.tree);
    return this.#defaults;
  }

  /** The default directories and the layout's. */
  get places(): readonly string[] {
    return [...this.layout.first, ...this.defaults, ...this.layout.last];
  }

  /** The existing directories of ld.so.conf and `places`, as paths on this machine. */
  get directories(): string[] {
    const all = [...configuredDirectories(this.tree), ...this.places];
    return [...new Set(all.map((directory) => this.tree.resolve(directory)).filter((path) => path !== undefined))];
  }

  /**
   * Whether none of the directories with libraries is there any more: the tree has been removed, or is not mounted any
   * more. Looks at the file system, whatever is known of the tree.
   */
  get isGone(): boolean {
    return !this.places.some((directory) => existsSync(`${this.tree.root}${directory}`));
  }

  /** Throws what open(2) throws, and ElfError. */
  libraryAt(path: string): Library {
    return this.store.read(path);
  }

  #along(searchPath: string, owner: Requester, name: string, why: string, tried: Tried): Found | undefined {
    const origin = originOf(owner);
    const places = this.#places.getOrInsertComputed(`${origin}\0${searchPath}`, () => {
      const elements = searchPath.split(":");
      if (elements.length > MOST_ELEMENTS)
        throw new LinkError(`Cannot follow the ${why}: it has ${elements.length} directories, and no library so many`, {
          object: owner.library.path,
        });
      return elements.map((element) => {
        const directory = expand(element || ".", origin, this);
        return directory === undefined
          ? { fault: `"${element}" cannot be expanded` }
          : this.#placeAt(directory, this.#isOutside(element, directory, owner));
      });
    });
    return this.#inPlaces(places, name, why, tried);
  }

  /**
   * A program need not be in its libraries' tree, and then neither is what $ORIGIN names. Relative paths start at the
   * current directory.
   */
  #isOutside(path: string, expanded: string, owner: Requester | undefined): boolean {
    if (!expanded.startsWith("/")) return true;
    return owner !== undefined && hasOrigin(path) && !this.tree.holds(originOf(owner));
  }

  #inCache(name: string, tried: Tried): Found | undefined {
    const path = `${this.tree.root}${CACHE_PATH}`;
    if (typeof this.#cache === "string") {
      tried.push({ by: CACHE, path, fault: this.#cache });
      // ldconfig has not run in this tree.
      this.#configured ??= configuredDirectories(this.tree);
      return this.#inAll(this.#configured, name, "ld.so.conf", tried);
    }
    const entries = this.#cache.find(name);
    if (entries.length === 0) tried.push({ by: CACHE, path, fault: "it does not have it" });
    const rank = ({ hwcap }: CacheEntry) => (hwcap === undefined ? this.#levels.length : this.#levels.indexOf(hwcap));
    const usable = entries.filter((entry) => rank(entry) >= 0).sort((one, other) => rank(one) - rank(other));
    return firstOf(usable, ({ path }) => this.#at(path, CACHE, tried));
  }

  #inDefaults(name: string, requester: Requester | undefined, tried: Tried): Found | undefined {
    if (requester?.library.avoidsDefaults) {
      tried.push({ by: "default directories", fault: `not for ${requester.library.path} (DF_1_NODEFLIB)` });
      return undefined;
    }
    return this.#inAll(this.defaults, name, "default directory", tried);
  }

  #inAll(
    directories: readonly string[],
    name: string,
    why: string,
    tried: Tried,
    isOutside = false,
  ): Found | undefined {
    const places = this.#places.getOrInsertComputed(why, () =>
      directories.map((path) => this.#placeAt(path, isOutside)),
    );
    return this.#inPlaces(places, name, why, tried);
  }

  /** A tree may name thousands of directories that it lacks: none takes time for each library. */
  #placeAt(directory: string, isOutside: boolean): Place {
    if (isOutside) return { directory, isOutside };
    const inTree = this.#inTree(directory);
    const isMissing = unlessRefused(() => this.tree.resolve(inTree) === undefined);
    return isMissing ? { directory: `${this.tree.root}${inTree}`, fault: NO_FILE } : { directory };
  }

  #inPlaces(places: readonly Place[], name: string, why: string, tried: Tried): Found | undefined {
    for (const { directory, isOutside = false, fault } of places) {
      if (directory === undefined || fault !== undefined)
        tried.push({ by: why, path: directory && `${directory}/${name}`, fault: fault ?? "" });
      else {
        const found = this.#inDirectory(directory, name, why, tried, isOutside);
        if (found) return found;
      }
    }
    return undefined;
  }

  #inDirectory(directory: string, name: string, why: string, tried: Tried, isOutside: boolean): Found | undefined {
    const levels = this.#hwcapsIn(directory, isOutside);
    return (
      firstOf(levels, (level) => this.#at(`${directory}/glibc-hwcaps/${level}/${name}`, why, [], isOutside)) ??
      this.#at(`${directory}/${name}`, why, tried, isOutside)
    );
  }

  get #levels(): readonly string[] {
    this.#hwcaps ??= ownHwcaps();
    return this.#hwcaps;
  }

  /** The value of $PLATFORM. */
  get platform(): string {
    this.#platform ??= ownPlatform();
    return this.#platform;
  }

  #hwcapsIn(directory: string, isOutside: boolean): readonly string[] {
    const has = this.#hasHwcaps.getOrInsertComputed(directory, () => {
      const path = `${directory}/glibc-hwcaps`;
      const real = isOutside ? path : this.#real(this.#inTree(path), "", []);
      return real !== undefined && unlessRefused(() => readdirSync(real).length > 0) === true;
    });
    return has ? this.#levels : [];
  }

  #at(path: string, why: string, tried: Tried, isOutside = false): Found | undefined {
    const inTree = isOutside ? undefined : this.#inTree(path);
    const real = inTree === undefined ? this.#outside(path, why, tried) : this.#real(inTree, why, tried);
    if (real === undefined) return undefined;
    // Symbolic links in a tree path are relative to the tree: lookups from here go through the tree again.
    const foundAs = inTree === undefined ? this.#absolute(path) : `${this.tree.root}${this.#absolute(inTree)}`;
    let fault = "for another class or machine";
    // ld.so skips files that it cannot open; any other fault is an error.
    const isOther = unlessRefused(
      () => this.#foreign.has(real) || (!this.store.known(real) && isForeign(headOf(real))),
      ({ code = "" }) => {
        fault = reasonOf(code);
      },
    );
    if (isOther === false) return new Found(this, real, why, foundAs);
    if (isOther) this.#foreign.add(real);
    tried.push({ by: why, path: real, fault });
    return undefined;
  }

  #outside(path: string, why: string, tried: Tried): string | undefined {
    if (path.startsWith("/")) return path;
    // Not realpath(3): Bun's reads /proc/self/fd, which a thread with its own descriptor table lacks.
    this.#machine ??= this.tree.root === "" ? this.tree : new Tree("/", true);
    return this.#real(this.#absolute(path), why, tried, this.#machine);
  }

  /** "x/.." stays, as x may be a link. */
  #absolute(path: string): string {
    return path.startsWith("/") ? path : `${this.cwd()}/${path}`;
  }

  /** $ORIGIN and drivers' variables give paths that already contain the tree's root. */
  #inTree(path: string): string {
    return this.tree.root !== "" && this.tree.holds(path) ? this.tree.inside(path) : path;
  }

  #real(inTree: string, why: string, tried: Tried, tree = this.tree): string | undefined {
    let fault = NO_FILE;
    const real = unlessRefused(
      () => tree.resolve(inTree),
      ({ code = "" }) => {
        fault = reasonOf(code);
      },
    );
    if (real === undefined) tried.push({ by: why, path: `${tree.root}${inTree}`, fault });
    return real;
  }
}

const NO_FILE = "no such file";

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: NO_FILE,
  EACCES: "permission denied",
  EISDIR: "a directory",
  ENOTDIR: "not in a directory",
  ENXIO: "not a regular file",
  ELOOP: "its symbolic links loop",
};

/** The text for an errno's name; the name itself for unusual ones. */
export const reasonOf = (code: string): string => REASONS[code] ?? code;

const CACHE_PATH = "/etc/ld.so.cache";

/** As ld.so, it does without a cache that it cannot open or does not know. */
function cacheOf(tree: Tree): LdSoCache | string {
  let fault = "there is none";
  const path = tree.resolve(CACHE_PATH);
  const bytes =
    path &&
    unlessRefused(
      () => readWhole(path, CACHE_FILE),
      ({ code = "" }) => {
        fault = reasonOf(code);
      },
    );
  return bytes ? (LdSoCache.parse(bytes) ?? "not a cache of ld.so") : fault;
}

function headOf(path: string): DataView {
  const { buffer, byteOffset, byteLength } = readBeginning(path, 20);
  return new DataView(buffer, byteOffset, byteLength);
}

/** The first result; nothing is looked up after it. */
const firstOf = <Item>(items: readonly Item[], look: (item: Item) => Found | undefined): Found | undefined =>
  items.values().map(look).find(Boolean);

export const hasOrigin = (path: string): boolean => /\$(\{ORIGIN\}|ORIGIN(?![A-Za-z0-9_]))/.test(path);

/** Expands $ORIGIN, $LIB and $PLATFORM, with or without braces. Undefined if $ORIGIN is used without an `origin`. */
export function expand(path: string, origin: string | undefined, search: Search): string | undefined {
  if (!path.includes("$")) return path;
  if (origin === undefined && hasOrigin(path)) return undefined;
  return path.replace(/\$(?:\{(ORIGIN|LIB|PLATFORM)\}|(ORIGIN|LIB|PLATFORM)(?![A-Za-z0-9_]))/g, (_, braced, plain) => {
    const token = braced ?? plain;
    if (token === "LIB") return (search.defaults.find((directory) => !directory.startsWith("/usr")) ?? "/lib").slice(1);
    return token === "PLATFORM" ? search.platform : (origin ?? "");
  });
}

/** Like Search.find, but throws LinkError with all steps tried if nothing is found. */
export function mustFind(search: Search, name: string, requester: Requester | undefined): Found {
  const steps: Tried = [];
  const found = search.find(name, requester, steps);
  if (found) return found;
  const tried = steps.map(textOf);
  const needer = requester ? `, which "${requester.library.path}" needs,` : "";
  throw new LinkError(`Cannot find "${name}"${needer} in "${search.tree.name}": ${tried.join("; ")}`, {
    object: name,
    tried,
  });
}
