// The glibc of a tree. Its libraries and its ld.so are from one build and do not work with another build's, so they are
// found, checked and used together.

import { readdirSync } from "node:fs";
import { basename, dirname } from "node:path";
import { openImage } from "../elf/file.ts";
import { compareVersions, newestOf } from "../elf/glibc-version.ts";
import type { Library } from "../elf/library.ts";
import { LinkError } from "../link-error.ts";
import { readWhole } from "../regular-file.ts";
import { unlessRefused } from "../unless.ts";
import { GLIBC, LD_SO, LIBC, LOADER, LOADER_PATH, NSS_MODULE } from "./glibc-names.ts";
import type { Search } from "./search.ts";

/** As numbers: [2, 36]. */
export type Version = readonly number[];

export class Glibc {
  #family?: ReadonlyMap<string, string>;

  private constructor(
    readonly search: Search,
    readonly libc: Library,
    /** The newest version that it defines or names. */
    readonly version: Version,
  ) {}

  /** Undefined if the tree has no libc. Throws ElfError for a malformed one. */
  static of(search: Search): Glibc | undefined {
    const found = search.find(LIBC, undefined);
    return found && new Glibc(search, found.library, versionOfLibc(found.library));
  }

  /** "2.36" */
  get name(): string {
    return this.version.join(".");
  }

  /** The path of its ld.so. Throws LinkError if there is none, or if it is from another build. */
  get loader(): string {
    const { libc } = this;
    const path = this.#loaderPath();
    const loader = this.search.libraryAt(path);
    if (!this.search.store.compare(libc.path, path, () => belongTogether(libc, loader)))
      throw this.#cannot(`"${libc.path}" is of glibc ${released(libc)}, and "${path}" of ${released(loader)}`, path);
    return path;
  }

  /** Does its ld.so support --argv0? It does since 2.33. */
  get takesArgv0(): boolean {
    return this.loaderSays("--argv0");
  }

  /** Has its ld.so this text, such as the name of an option or a tunable? */
  loaderSays(text: string): boolean {
    return readWhole(this.loader, LD_SO).includes(text);
  }

  /** The path of one of its libraries; undefined for a library that it lacks or that is not part of glibc. */
  find(soname: string): string | undefined {
    return GLIBC.includes(soname) ? this.search.find(soname, undefined)?.path : undefined;
  }

  /** Soname → path of all its libraries, ld.so first. Throws LinkError like `loader`. */
  get family(): ReadonlyMap<string, string> {
    this.#family ??= this.#findFamily();
    return this.#family;
  }

  /** Its directory of character sets (gconv(5)), as compiled into libc, in the tree. Undefined if there is none. */
  get characterSets(): string | undefined {
    const path = this.libc.gconv;
    return path === undefined ? undefined : this.search.tree.resolve(path);
  }

  #loaderPath(): string {
    const { tree } = this.search;
    const said = this.libc.interpreter ?? LOADER_PATH;
    const path = tree.resolve(said) ?? this.#besideLibc(basename(said));
    if (path !== undefined) return path;
    const link = tree.resolveLink(said);
    const reason = link === undefined ? "there is none" : "it is a symbolic link that leads to nothing";
    throw this.#cannot(`"${this.libc.path}" needs the ld.so "${tree.root}${said}": ${reason}`, said);
  }

  /** For a tree without system directories. */
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
    // A link to libc may be in another directory than the rest of glibc.
    const modules = (unlessRefused(() => readdirSync(directory)) ?? []).filter((name) => NSS_MODULE.test(name));
    for (const soname of [...GLIBC, ...modules]) {
      const found = search.find(soname, undefined);
      if (found && (GLIBC.includes(soname) || found.library.isOfGlibc)) family.set(soname, found.path);
    }
    return family;
  }
}

const released = (library: Library): string => releaseOf(library) ?? "another version";

/** The release named in the file; before 2.33, ld.so has it only in its file name. */
const releaseOf = ({ release, path }: Library): string | undefined =>
  release ?? /^ld-(\d+\.\d+)\.so$/.exec(basename(path))?.[1];

/** The newest version that it defines or names. */
export function versionOfLibc(libc: Library): Version {
  const defined = newestOf(libc.versions, "GLIBC");
  const said = (releaseOf(libc) ?? "").split(".").filter(Boolean).map(Number);
  // A release may define no new version.
  return compareVersions(said, defined) > 0 ? said : defined;
}

/** Are both from one build, as far as can be told? */
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
    if (
      version !== undefined &&
      versions.has(version) &&
      having.findReferenced(symbols.nameOf(sym), version) === undefined
    )
      return false;
  }
  return true;
}
