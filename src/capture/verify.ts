// What programs of a container get with a folder of captured libraries in front of their own (LD_LIBRARY_PATH), by what
// the files say. Nothing is run or loaded.

import { lstatSync, readdirSync, readlinkSync, realpathSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { ElfError } from "../../lib/elf/error.ts";
import { openImage } from "../../lib/elf/file.ts";
import type { Library } from "../../lib/elf/library.ts";
import { LinkError } from "../../lib/link-error.ts";
import { dependenciesOf, dependenciesOfFile, Loading, type Need, type Node } from "../../lib/tree/dependencies.ts";
import { Glibc } from "../../lib/tree/glibc.ts";
import { LIBC, LOADER, LOADER_PATH } from "../../lib/tree/glibc-names.ts";
import { LibraryStore } from "../../lib/tree/library-store.ts";
import { Found, type Requester, Search, type Tried } from "../../lib/tree/search.ts";
import type { Tree } from "../../lib/tree/tree.ts";
import { SystemFault, unless } from "../../lib/unless.ts";
import { storeFile } from "../directories/own-cache.ts";
import { fileAt } from "../plan/file-at.ts";
import { openTree } from "../plan/trees.ts";

export interface VerifyWishes {
  readonly folder: string;
  readonly container: string;
  /** Where links lead that begin with `linkTarget`. */
  readonly provider: string;
  readonly linkTarget: string | undefined;
  /** The ld.so that the container will have in the place of its own. */
  readonly loader: string | undefined;
  /** Paths in the container. */
  readonly programs: readonly string[];
}

/** What programs of a container get of a folder. Paths are on this machine and without symbolic links. */
export interface VerifyReport {
  /** Changes whenever something changes its meaning or is removed, but not when something is added. */
  readonly format: 1;
  /** The folder. */
  readonly folder: string;
  /** The tree that the programs are of. */
  readonly container: string;
  /** What was looked at. */
  readonly checked: readonly {
    /** A name in the folder, or the path of a program in the container. */
    readonly name: string;
    /** Its file; null if it leads to none. */
    readonly path: string | null;
  }[];
  /** What is not as promised, each once. */
  readonly faults: readonly VerifyFault[];
}

/** Something that programs do not get as promised. */
export interface VerifyFault {
  /** The first of those looked at that meets it. */
  readonly name: string;
  /**
   * `dangling`: it leads to no file. `unreadable`: it is no library, or damaged. `missing`: something that is needed is
   * nowhere. `other`: another copy than the folder's is found. `version`: a symbol version is needed that the copy does
   * not have. `loader`: the ld.so is of another glibc than the libc.
   */
  readonly kind: "dangling" | "unreadable" | "missing" | "other" | "version" | "loader";
  /** A paragraph. */
  readonly message: string;
}

/** Throws UsageError and LinkError for trees and files that are not there. */
export function verifyFolder(wishes: VerifyWishes, reading?: (path: string) => void): VerifyReport {
  const store = new LibraryStore(storeFile("captured"), reading);
  const treeAt = (value: string, what: "provider" | "container") =>
    openTree({ value, source: { kind: "flag", name: `--${what}` } }, what);
  const container = treeAt(wishes.container, "container");
  const provider = treeAt(wishes.provider, "provider");
  const folder = openTree({ value: wishes.folder, source: { kind: "flag", name: "" } }, "folder").name;
  const verification = new Verification(folder, container, (text) => leadsTo(text, wishes, container, provider), store);
  verification.checkLoader(wishes.loader);
  verification.checkFolder();
  verification.checkDrivers();
  for (const program of wishes.programs) verification.checkProgram(program);
  store.save();
  const { checked, faults } = verification;
  return { format: 1, folder, container: container.name, checked, faults };
}

/** The file that a link is to, seen from the container; undefined if there is none. */
function leadsTo(text: string, { linkTarget }: VerifyWishes, container: Tree, provider: Tree): string | undefined {
  const target = linkTarget?.replace(/\/+$/, "");
  if (target !== undefined && text.startsWith(`${target}/`)) return provider.resolve(text.slice(target.length));
  // The container may be what is to be seen in a tree that is somewhere else on this machine.
  return container.resolve(text) ?? unless([SystemFault], () => realpathSync(text));
}

/** The container's ld.so with LD_LIBRARY_PATH. */
class FolderSearch extends Search {
  constructor(
    tree: Tree,
    store: LibraryStore,
    readonly folder: string,
    readonly files: ReadonlyMap<string, string>,
  ) {
    super(tree, [], store);
    this.cwd = () => tree.root || "/";
  }

  override find(name: string, requester: Requester | undefined, tried: Tried = []): Found | undefined {
    const path = this.files.get(name);
    if (path === undefined) return super.find(name, requester, tried);
    // Only DT_RPATH comes before.
    if (hasRpath(requester)) {
      const found = super.find(name, requester);
      if (found?.why.startsWith("rpath of ")) return found;
    }
    return new Found(this, path, "the folder", `${this.folder}/${name}`);
  }
}

function hasRpath(requester: Requester | undefined): boolean {
  if (requester?.library.runpath !== undefined) return false;
  for (let link = requester; link; link = link.loader)
    if (link.library.rpath !== undefined && link.library.runpath === undefined) return true;
  return false;
}

const isLoader = (soname: string): boolean => soname === LOADER;

class Verification {
  readonly checked: { name: string; path: string | null }[] = [];
  readonly #faults = new Map<string, VerifyFault>();
  /** The files by name that ld.so finds in the folder. */
  readonly #files = new Map<string, string>();
  /** Those in folders in it, which are opened by their paths. */
  readonly #drivers = new Map<string, string>();
  readonly #search: FolderSearch;
  #loader?: Library;

  constructor(
    readonly folder: string,
    container: Tree,
    leadsTo: (text: string) => string | undefined,
    store: LibraryStore,
  ) {
    for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" }).sort()) {
      const path = `${folder}/${name}`;
      const stat = lstatSync(path);
      // Names without .so nobody needs: manifests, and what is somebody else's.
      if (stat.isDirectory() || !basename(name).includes(".so")) continue;
      const file = stat.isSymbolicLink() ? leadsTo(resolveLink(path)) : path;
      this.checked.push({ name, path: file ?? null });
      if (file === undefined)
        this.#add(name, "dangling", `"${path}" leads to "${readlinkSync(path)}", which is not there`);
      else if (name.includes("/")) this.#drivers.set(name, file);
      else this.#files.set(name, file);
    }
    this.#search = new FolderSearch(container, store, folder, this.#files);
  }

  get faults(): VerifyFault[] {
    return [...this.#faults.values()];
  }

  /** `given` is the ld.so that will be in the place of the container's. */
  checkLoader(given: string | undefined): void {
    const found = unless([ElfError], () => Glibc.of(this.#search));
    if (given !== undefined) {
      this.#loader = this.#search.libraryAt(fileAt(given));
      const { release } = this.#loader;
      const wanted = found?.libc.release;
      if (release !== undefined && wanted !== undefined && release !== wanted)
        this.#add(LIBC, "loader", `"${found?.libc.path}" is of glibc ${wanted}, and "${given}" of ${release}`);
      return;
    }
    const what = (error: Error) =>
      this.#add(
        LIBC,
        "loader",
        `${error.message}; a folder with another glibc needs its ld.so in the place of the container's "${LOADER_PATH}"`,
      );
    const path = unless([LinkError, ElfError], () => found?.loader, what);
    if (path !== undefined) this.#loader = this.#search.libraryAt(path);
  }

  checkFolder(): void {
    for (const [name, path] of this.#files) {
      const readable = this.#unlessBad(name, () => this.#search.libraryAt(path));
      if (readable) this.#check(name, dependenciesOf(this.#search, [name], isLoader));
    }
  }

  checkDrivers(): void {
    for (const [name, path] of this.#drivers) {
      const library = this.#unlessBad(name, () => this.#search.libraryAt(path));
      const origin = dirname(`${this.folder}/${name}`);
      if (library) this.#check(name, dependenciesOfFile(this.#search, { library, origin }, isLoader));
    }
  }

  checkProgram(program: string): void {
    const path = this.#search.tree.resolve(program);
    this.checked.push({ name: program, path: path ?? null });
    if (path === undefined) this.#add(program, "dangling", `the container has no "${program}"`);
    const library = path && this.#unlessBad(program, () => this.#search.libraryAt(path));
    if (!library) return;
    const loading = new Loading(this.#search, isLoader);
    loading.start(library, library.path, "its path", []);
    this.#check(program, { roots: [], nodes: loading.nodes });
  }

  #unlessBad(name: string, read: () => Library): Library | undefined {
    return unless([ElfError, SystemFault], read, ({ message }) => this.#add(name, "unreadable", message));
  }

  #check(name: string, { roots, nodes }: { readonly roots: readonly Need[]; readonly nodes: readonly Node[] }): void {
    const all = [...roots.map((need) => ({ need, needer: undefined })), ...needsIn(nodes)];
    const found = new Map<string, Library>();
    for (const { need, needer } of all) {
      if ("fault" in need)
        this.#add(name, need.fault instanceof ElfError ? "unreadable" : "missing", need.fault.message);
      if (!("node" in need)) continue;
      const { library, why } = need.node;
      found.set(need.name, library);
      const promised = this.#files.get(need.name);
      if (promised === undefined || this.#search.store.identity(promised) === this.#search.store.identity(library.path))
        continue;
      const by = needer === undefined ? "programs" : `"${needer.path}"`;
      this.#add(
        name,
        "other",
        `${by} would get "${library.path}" for "${need.name}", by ${why}, and not the folder's "${promised}"`,
      );
    }
    if (this.#loader) found.set(LOADER, this.#loader);
    for (const { library } of nodes) this.#checkVersions(name, library, found);
  }

  /** As ld.so does: what defines no versions at all may have them. */
  #checkVersions(name: string, library: Library, found: ReadonlyMap<string, Library>): void {
    const wanted = this.#search.store.ofAll([library.path], "needed versions", () => neededVersions(library.path));
    for (const want of wanted) {
      const [file = "", version = ""] = want.split("\0");
      const other = found.get(file);
      if (other && other.versions.length > 0 && !other.versions.includes(version))
        this.#add(
          name,
          "version",
          `"${library.path}" needs version "${version}" of "${file}", which "${other.path}" does not define`,
        );
    }
  }

  #add(name: string, kind: VerifyFault["kind"], message: string): void {
    if (!this.#faults.has(message)) this.#faults.set(message, { name, kind, message });
  }
}

const needsIn = (nodes: readonly Node[]): { need: Need; needer: Library | undefined }[] =>
  nodes.flatMap(({ library, needs }) => needs.map((need) => ({ need, needer: library })));

function neededVersions(path: string): string[] {
  using image = openImage(path);
  return image.verneeds.filter(({ isWeak }) => !isWeak).map(({ file, name }) => `${file}\0${name}`);
}

/** A relative link is so to its folder. */
function resolveLink(path: string): string {
  const text = readlinkSync(path);
  return text.startsWith("/") ? text : resolve(path, "..", text);
}
