// The glibc of a tree. Its libraries and its ld.so are of one build, and none of them
// works with another's: they are found, checked and used together.

import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { openImage } from "../elf/file.ts";
import { compareVersions, newestOf } from "../elf/glibc-version.ts";
import type { Library } from "../elf/library.ts";
import { LinkError } from "../link-error.ts";
import { unlessRefused } from "../system-error.ts";
import { GLIBC, LIBC, LOADER, NSS_MODULE } from "./glibc-names.ts";
import type { Search } from "./search.ts";

/** Where a program says its ld.so is, on x86-64 (psABI), if libc itself does not say it. */
const USUAL_LOADER = `/lib64/${LOADER}`;

/** As numbers: [2, 36]. */
export type Version = readonly number[];

export class Glibc {
  #family?: ReadonlyMap<string, string>;
  #takesArgv0?: boolean;

  private constructor(
    readonly search: Search,
    readonly libc: Library,
    /** The newest that it defines or says it is. */
    readonly version: Version,
  ) {}

  /** Undefined where the tree has no libc. Throws ElfError for one that is unsound. */
  static of(search: Search): Glibc | undefined {
    const found = search.find(LIBC, undefined);
    return found && new Glibc(search, found.library, versionOfLibc(found.library));
  }

  /** "2.36" */
  get name(): string {
    return this.version.join(".");
  }

  /** The path of its ld.so. Throws LinkError where there is none, or one of another build. */
  get loader(): string {
    const { libc } = this;
    const path = this.#loaderPath();
    const loader = this.search.libraryAt(path);
    const fault = this.search.store.compare(libc.path, path, () => belongTogether(libc, loader))
      ? undefined
      : `"${libc.path}" is of glibc ${released(libc)}, and "${path}" of ${released(loader)}`;
    if (fault !== undefined) throw this.#cannot(fault, path);
    return path;
  }

  /** Can its ld.so be told what the program is called (--argv0)? It can since 2.33. */
  get takesArgv0(): boolean {
    this.#takesArgv0 ??= readFileSync(this.loader).includes("--argv0");
    return this.#takesArgv0;
  }

  /** The path of one of its libraries; undefined for one that it does not have, and for what is not its business. */
  find(soname: string): string | undefined {
    return GLIBC.includes(soname) ? this.search.find(soname, undefined)?.path : undefined;
  }

  /** Soname → path of all that belongs to it, ld.so first. Throws LinkError as `loader` does. */
  get family(): ReadonlyMap<string, string> {
    this.#family ??= this.#findFamily();
    return this.#family;
  }

  /**
   * Where it has its character sets (gconv(5)): the directory that is written into libc, in the tree. Undefined where
   * there is none.
   */
  get characterSets(): string | undefined {
    const path = this.libc.gconv;
    return path === undefined ? undefined : this.search.tree.resolve(path);
  }

  #loaderPath(): string {
    const { tree } = this.search;
    const said = this.libc.interpreter ?? USUAL_LOADER;
    const path = tree.resolve(said) ?? this.#besideLibc(basename(said));
    if (path !== undefined) return path;
    const link = tree.resolveLink(said);
    const reason = link === undefined ? "there is none" : "it is a symbolic link that leads to nothing";
    throw this.#cannot(`"${this.libc.path}" needs the ld.so "${tree.root}${said}": ${reason}`, said);
  }

  /** In a tree without the directories of a system. */
  #besideLibc(name: string): string | undefined {
    const { tree, layout } = this.search;
    const directory = dirname(tree.inside(this.libc.path));
    return [...layout.first, ...layout.last].includes(directory) ? tree.resolve(`${directory}/${name}`) : undefined;
  }

  #cannot(fault: string, object: string): LinkError {
    return new LinkError(`Cannot use the glibc of "${this.search.tree.name}": ${fault}`, { object });
  }

  #findFamily(): Map<string, string> {
    const { search, libc, loader } = this;
    const family = new Map([[LOADER, loader]]);
    const directory = dirname(libc.path);
    // A link to libc may be elsewhere than what belongs to it.
    const modules = (unlessRefused(() => readdirSync(directory)) ?? []).filter((name) => NSS_MODULE.test(name));
    for (const soname of [...GLIBC, ...modules]) {
      const found = search.find(soname, undefined);
      if (found && (GLIBC.includes(soname) || found.library.isOfGlibc)) family.set(soname, found.path);
    }
    return family;
  }
}

const released = (library: Library): string => releaseOf(library) ?? "another version";

/** What a file says itself; before 2.33 ld.so does not, but has it in its name. */
const releaseOf = ({ release, path }: Library): string | undefined =>
  release ?? /^ld-(\d+\.\d+)\.so$/.exec(basename(path))?.[1];

/** The newest that it defines or says it is. */
export function versionOfLibc(libc: Library): Version {
  const defined = newestOf(libc.versions, "GLIBC");
  const said = (releaseOf(libc) ?? "").split(".").filter(Boolean).map(Number);
  // A release may define nothing new.
  return compareVersions(said, defined) > 0 ? said : defined;
}

/** Are both of one build, as far as it can be told? */
function belongTogether(libc: Library, loader: Library): boolean {
  const [one, other] = [releaseOf(libc), releaseOf(loader)];
  if (one !== undefined && other !== undefined && one !== other) return false;
  using wanting = openImage(libc.path);
  using having = openImage(loader.path);
  const versions = new Set(wanting.verneeds.filter(({ file }) => file === LOADER).map(({ name }) => name));
  const defined = new Set(having.verdefs.map(({ name }) => name));
  if ([...versions].some((version) => !defined.has(version))) return false;
  const { symbols } = wanting;
  for (let i = 1; i < symbols.length; i++) {
    const sym = symbols.at(i);
    const version = sym.st_shndx === 0 ? wanting.versionOf(i) : undefined;
    if (version !== undefined && versions.has(version) && having.find(symbols.nameOf(sym), version) === undefined)
      return false;
  }
  return true;
}
