// What belongs to a profile's libraries and is opened by them: drivers in directories of their own, those that manifests
// name, Vulkan's layers, configuration. All of it gets a place in the folder, and variables lead the libraries there.
//
//   FOLDER/lib….so.N            libraries, and drivers that a manifest names by a path
//   FOLDER/dri, gbm, vdpau      as below the tree's library directories
//   FOLDER/share/vulkan/icd.d   as below /etc and /usr/share

import { readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { LinkError } from "../../lib/link-error.ts";
import { readWhole } from "../../lib/regular-file.ts";
import { inShares } from "../../lib/tree/layout.ts";
import type { Search, Tried } from "../../lib/tree/search.ts";
import { SystemFault, unless, unlessRefused } from "../../lib/unless.ts";
import { printable } from "../diagnostics/output.ts";
import { FAMILIES, LIBDIR, type Profile, type Variable } from "../profiles/profiles.ts";
import type { Request } from "./pattern.ts";

/** A file that libraries read: it is written, or stands for the provider's. */
export type DataFile = { readonly name: string; readonly path: string; readonly foundAs: string } & {
  /** What is written, as it names other paths than the provider's file. */
  readonly text?: string;
};

export interface Drivers {
  readonly requests: readonly Request[];
  readonly files: readonly DataFile[];
  readonly environment: readonly { readonly name: string; readonly value: string }[];
}

/** `place` is where the folder will be for the libraries. */
export function driversOf(profiles: Readonly<Record<string, Profile>>, search: Search, place: string): Drivers {
  const content = new Content(search, place);
  for (const [name, { isolate, newest, environment }] of Object.entries(profiles)) {
    for (const soname of [...isolate, ...newest]) content.addLibrary(soname, name);
    for (const variable of environment) content.addVariable(variable, name);
    // glvnd opens its drivers by names that begin like its own.
    const vendors = isolate.flatMap((soname) => VENDORS[soname] ?? []);
    for (const glob of vendors) content.add({ kind: "soname-match", name: glob }, name);
    if (isolate.includes("libvulkan.so.1")) content.addLayers(name);
  }
  return content;
}

const VENDORS: Readonly<Record<string, string>> = {
  "libGLX.so.0": "libGLX_*.so.0",
  "libEGL.so.1": "libEGL_*.so.0",
};
const LAYERS = ["implicit_layer.d", "explicit_layer.d"].flatMap((name) => [
  ...[`/etc/vulkan/${name}`, `/usr/share/vulkan/${name}`],
]);
/** The default of XDG_DATA_DIRS. */
const DATA_DIRECTORIES = "/usr/local/share:/usr/share";
const MANIFEST = { name: "a manifest", most: 1 << 20 };

class Content implements Drivers {
  readonly requests: Request[] = [];
  readonly #files = new Map<string, DataFile>();
  readonly #variables = new Map<string, string>();
  /** By their names in the folder: the paths of drivers that manifests name. */
  readonly #drivers = new Map<string, string>();

  constructor(
    readonly search: Search,
    readonly place: string,
  ) {}

  get files(): DataFile[] {
    return [...this.#files.values()];
  }

  get environment(): { name: string; value: string }[] {
    return [...this.#variables].map(([name, value]) => ({ name, value }));
  }

  add(request: Pick<Request, "kind" | "name"> & Partial<Request>, profile: string): void {
    const isThere = ({ kind, name, into }: Request) =>
      kind === request.kind && name === request.name && into === request.into;
    // Profiles have much in common.
    if (this.requests.some(isThere)) return;
    const text = `--profile ${profile}`;
    this.requests.push({ text, part: "both", ifExists: true, ifSameAbi: true, evenIfOlder: true, ...request });
  }

  /** Of a family whose members call each other's private functions, all are the provider's. */
  addLibrary(soname: string, profile: string): void {
    const family = Object.values(FAMILIES).find(({ libraries }) => libraries.includes(soname));
    const isDriver = family?.isPrivate === true || family === undefined;
    for (const name of family?.isPrivate ? family.libraries : [soname])
      this.add({ kind: "soname", name, evenIfOlder: isDriver }, profile);
  }

  addVariable(variable: Variable, profile: string): void {
    const { name, kind } = variable;
    if (kind === "value") this.#variables.set(name, variable.value);
    // Those of the container may be used.
    if (kind === "value" || kind === "cache") return;
    const added = this.#addAll(variable.paths, kind === "first", profile);
    const [first] = added;
    if (first === undefined) return;
    const value = kind === "manifests" ? added.join(":") : dirname(first);
    this.#variables.set(name, value);
  }

  addLayers(profile: string): void {
    if (this.#addAll(LAYERS, false, profile).length > 0)
      this.#variables.set("XDG_DATA_DIRS", `${this.place}/share:${DATA_DIRECTORIES}`);
  }

  /** Returns where their files will be. */
  #addAll(paths: readonly string[], isFirstOnly: boolean, profile: string): string[] {
    const added: string[] = [];
    for (const path of paths) {
      for (const directory of this.#expanded(path)) {
        const names = this.#addDirectory(directory, folderFor(path), profile);
        added.push(...names.map((name) => `${this.place}/${name}`));
        if (isFirstOnly && added.length > 0) return added;
      }
    }
    return [...new Set(added)];
  }

  #expanded(path: string): string[] {
    const { places, layout } = this.search;
    if (path.startsWith(LIBDIR)) return places.map((directory) => path.replace(LIBDIR, directory));
    return inShares(path, layout);
  }

  #addDirectory(directory: string, folder: string, profile: string): string[] {
    const real = this.#real(directory);
    const names = (real !== undefined && unlessRefused(() => readdirSync(real))) || [];
    // Variables that are lists have no place for others.
    const usual = names.filter((file) => printable(file) === file && !file.includes(":"));
    return usual.sort().flatMap((file) => {
      const name = `${folder}/${file}`;
      return this.#addFile(`${directory}/${file}`, name, profile) ? [name] : [];
    });
  }

  #addFile(foundAs: string, name: string, profile: string): boolean {
    if (this.#files.has(name)) return true;
    const path = this.#real(foundAs);
    if (path === undefined) return false;
    if (name.endsWith(".so")) {
      this.add({ kind: "path", name: foundAs, into: dirname(name) }, profile);
      return true;
    }
    if (name.endsWith(".conf")) this.#files.set(name, { name, path, foundAs });
    if (!/\.(json|icd)$/.test(name)) return name.endsWith(".conf");
    // What cannot be read names no driver.
    const before = unless([LinkError, SystemFault], () => readWhole(path, MANIFEST).toString());
    const text = before === undefined ? undefined : this.#withDrivers(before, path, name, profile);
    if (text === undefined) return false;
    this.#files.set(name, text === before ? { name, path, foundAs } : { name, path, foundAs, text });
    return true;
  }

  /** A manifest with the places of drivers in the folder. Undefined if it names none that can be used. */
  #withDrivers(text: string, path: string, manifest: string, profile: string): string | undefined {
    const placed = (name: string) => this.#placed(name, path, manifest, profile);
    if (manifest.endsWith(".icd")) {
      const [first = "", ...rest] = text.split("\n");
      const other = first.trim() && placed(first.trim());
      return other ? (other === first.trim() ? text : [other, ...rest].join("\n")) : undefined;
    }
    const data = unless([SyntaxError], () => JSON.parse(text) as ManifestData | null);
    const parts = [data?.ICD, data?.layer, ...(Array.isArray(data?.layers) ? data.layers : [])];
    let isChanged = false;
    for (const part of parts) {
      const name = part?.library_path;
      // A layer that only stands for others has none.
      if (typeof name !== "string" || name === "" || !part) continue;
      const other = placed(name);
      if (other === undefined) return undefined;
      isChanged ||= other !== name;
      part.library_path = other;
    }
    if (!parts.some(Boolean)) return undefined;
    return isChanged ? `${JSON.stringify(data, null, 4)}\n` : text;
  }

  /** Asks for a driver. Returns the name by which the container will find it; undefined for one that is not there. */
  #placed(name: string, manifest: string, file: string, profile: string): string | undefined {
    const { tree } = this.search;
    const isPath = name.includes("/");
    const wanted = !isPath || name.startsWith("/") ? name : join(dirname(tree.inside(manifest)), name);
    const tried: Tried = [];
    if (!this.search.find(wanted, undefined, tried)) return undefined;
    if (!isPath) {
      this.add({ kind: "soname", name }, profile);
      return name;
    }
    // Two of one name get folders of their own.
    const isOther = (this.#drivers.getOrInsert(basename(wanted), wanted) ?? wanted) !== wanted;
    const into = isOther ? `drivers/${basename(file)}` : undefined;
    this.add({ kind: "path", name: wanted, into }, profile);
    return `${this.place}/${into === undefined ? "" : `${into}/`}${basename(wanted)}`;
  }

  #real(path: string): string | undefined {
    return unless([LinkError, SystemFault], () => this.search.tree.resolve(path));
  }
}

interface ManifestData {
  readonly ICD?: { library_path?: unknown };
  readonly layer?: { library_path?: unknown };
  readonly layers?: readonly ({ library_path?: unknown } | null)[];
}

/** $LIBDIR/dri: dri; /usr/share/vulkan/icd.d, /etc/vulkan/icd.d: share/vulkan/icd.d. */
const folderFor = (path: string): string =>
  path.startsWith(LIBDIR)
    ? path.slice(LIBDIR.length + 1)
    : `share/${path.replace(/^.*?\/(etc|usr\/share|share)\//, "")}`;
