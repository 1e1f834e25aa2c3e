// Host libraries older than what the program's side was linked against: it wants a version or symbol of an isolated
// library that the host's copy does not define. ld.so reports a missing version at the start, and a missing symbol when
// the function is called (at the start with BIND_NOW). The files show both beforehand. A symbol without a version names
// no library: we assume the one whose runtime copy defines it.

import { STB_WEAK } from "../../lib/elf/constants.ts";
import { ElfError } from "../../lib/elf/error.ts";
import { type FileImage, openImage } from "../../lib/elf/file.ts";
import type { Library } from "../../lib/elf/library.ts";
import { bindingOf } from "../../lib/elf/sym.ts";
import { LinkError } from "../../lib/link-error.ts";
import type { Search } from "../../lib/tree/search.ts";
import { SystemFault, unless } from "../../lib/unless.ts";
import { needsOf } from "./needs.ts";
import type { Chosen } from "./trees.ts";

interface Lack {
  /** What the host's library does not define: all of one kind. */
  readonly what: "version" | "symbol";
  readonly names: readonly string[];
  /** Paths: of the host's library, and of the object that wants it. */
  readonly library: string;
  readonly wanter: string;
}

/** `path` is the program's file. Empty if this cannot be determined, as for a script. */
export function lacksOf({ runtime, chosen }: { runtime: Search; chosen: Chosen }, path: string): Lack[] {
  const look = () => {
    const program = runtime.libraryAt(path);
    const { closure, isolated } = needsOf(program, runtime, chosen.isIsolated);
    const own = [program, ...closure.libraries];
    using sides = new Sides(own, hostsOf(isolated, chosen), runtime);
    return own.filter(({ needed }) => needed.some((name) => isolated.has(name))).flatMap((one) => sides.lacksOf(one));
  };
  // Missing and damaged files are reported elsewhere.
  return unless([LinkError, ElfError, SystemFault], look) ?? [];
}

/** One paragraph for the user. */
export function tellLack({ what, names, library, wanter }: Lack): string {
  const [first = "", ...others] = names;
  const more = others.length > 0 ? ` and ${others.length} more` : "";
  return `"${wanter}" wants the ${what} ${first}${more} of "${library}", which does not define ${others.length > 0 ? "them" : "it"}: is it older?`;
}

function hostsOf(isolated: ReadonlySet<string>, { hosts }: Chosen): Map<string, Library> {
  const libraries = new Map<string, Library>();
  for (const soname of isolated) {
    const found = hosts.find(({ choices }) => choices.has(soname))?.search.find(soname, undefined);
    if (found) libraries.set(soname, found.library);
  }
  return libraries;
}

class Sides implements Disposable {
  readonly #images = new Map<string, FileImage>();

  constructor(
    readonly own: readonly Library[],
    /** By soname. */
    readonly hosts: ReadonlyMap<string, Library>,
    readonly runtime: Search,
  ) {}

  [Symbol.dispose](): void {
    for (const image of this.#images.values()) image[Symbol.dispose]();
  }

  lacksOf(library: Library): Lack[] {
    const wanter = library.path;
    const image = this.#image(wanter);
    const versions = new Map<string, string[]>();
    for (const { file, name, isWeak } of image.verneeds) {
      const host = this.hosts.get(file);
      // ld.so takes a library without versions to have all of them.
      if (!host || isWeak || host.versions.length === 0 || host.versions.includes(name)) continue;
      versions.set(host.path, [...(versions.get(host.path) ?? []), name]);
    }
    const symbols = new Map<string, string[]>();
    const replaced = this.#replaced(library);
    for (let i = 1; replaced.length > 0 && i < image.symbols.length; i++) {
      const sym = image.symbols.at(i);
      if (sym.st_shndx !== 0 || bindingOf(sym) === STB_WEAK) continue;
      const name = image.strings.bytesAt(sym.st_name);
      const version = image.versionOf(i);
      const meant = replaced.find(({ before }) => before.findReferenced(name, version) !== undefined);
      if (!meant || meant.after.findReferenced(name, version) !== undefined) continue;
      const isKnown = version !== undefined && versions.get(meant.after.path)?.includes(version);
      if (isKnown || this.#isDefined(name, version)) continue;
      symbols.set(meant.after.path, [...(symbols.get(meant.after.path) ?? []), image.symbols.nameOf(sym)]);
    }
    const lacks = (what: Lack["what"], found: ReadonlyMap<string, readonly string[]>): Lack[] =>
      [...found].map(([library, names]) => ({ what, names: names.toSorted(), library, wanter }));
    return [...lacks("version", versions), ...lacks("symbol", symbols)];
  }

  /** The runtime's copies of a library's dependencies, with the host libraries that replace them. */
  #replaced(library: Library): { before: FileImage; after: FileImage }[] {
    const requester = { library, loader: this.own[0] && { library: this.own[0] } };
    return library.needed.flatMap((soname) => {
      const host = this.hosts.get(soname);
      const before = host && this.runtime.find(soname, requester);
      if (!host || !before || before.path === host.path) return [];
      return [{ before: this.#image(before.path), after: this.#image(host.path) }];
    });
  }

  #isDefined(name: Uint8Array, version: string | undefined): boolean {
    const paths = [...this.own, ...this.hosts.values()].map(({ path }) => path);
    return paths.some((path) => this.#image(path).findReferenced(name, version) !== undefined);
  }

  #image(path: string): FileImage {
    let image = this.#images.get(path);
    if (!image) {
      image = openImage(path);
      this.#images.set(path, image);
    }
    return image;
  }
}
