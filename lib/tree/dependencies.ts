// Everything that some libraries need, directly or not, searched for as ld.so would: breadth first, each name once, so
// that the first requester's search path decides for all. A filtee (DT_FILTER, DT_AUXILIARY) is moved to right before
// its filter (glibc, elf/dl-deps.c).

import { basename } from "node:path";
import { ElfError } from "../elf/error.ts";
import type { Filtee } from "../elf/image.ts";
import type { Library } from "../elf/library.ts";
import { LinkError } from "../link-error.ts";
import { expand, mustFind, originOf, type Requester, type Search } from "./search.ts";

/** A library that was found. */
export interface Node {
  readonly library: Library;
  /** The name by which it was first requested. */
  readonly name: string;
  /** The search step that found it. */
  readonly why: string;
  readonly requester: Requester | undefined;
  /** Its $ORIGIN: the directory in which it was first found. */
  readonly origin: string;
  /** DT_NEEDED names that resolved to it and differ from its DT_SONAME: from then on, ld.so knows it by these, too. */
  readonly names: readonly string[];
  /** In DT_NEEDED order, then its filtees. */
  readonly needs: readonly Need[];
  /** Its missing optional filtees (DT_AUXILIARY). */
  readonly lacks: readonly string[];
}

/** The result for a needed name. */
export type Need = { readonly name: string } & (
  | { readonly node: Node }
  /** The soname of a library from elsewhere: the name, or the soname of the file found by it. */
  | { readonly elsewhere: string }
  /** The file already open by that name: ld.so looks there first. */
  | { readonly open: string }
  /** It is missing, with the searched places, or malformed. */
  | { readonly fault: LinkError | ElfError }
);

export interface Dependencies {
  readonly roots: readonly Need[];
  /** In ld.so's load order. */
  readonly nodes: readonly Node[];
}

/**
 * `roots` are sonames or paths that `requester` asks for. A name is not followed if `isElsewhere` accepts it or the
 * soname of the file found by it, or if it is already in `open`.
 */
export function dependenciesOf(
  search: Search,
  roots: readonly string[],
  isElsewhere: (soname: string) => boolean,
  requester?: Requester,
  open?: ReadonlyMap<string, string>,
): Dependencies {
  const loading = new Loading(search, isElsewhere, undefined, open);
  return { roots: loading.open(roots, requester), nodes: loading.nodes };
}

const isThere = (need: Need): boolean => !("fault" in need);

/**
 * What `find` finds with that search, which may remember what has been replaced or removed since: `isOpen` says which
 * files have been opened, and need not be looked at. Throws what `find` throws.
 */
export function upToDate(
  search: Search,
  find: () => Dependencies,
  isOpen: (path: string) => boolean = () => false,
): Dependencies {
  const found = find();
  const isCurrent = ({ library: { path }, needs }: Node) =>
    (isOpen(path) || search.store.isCurrent(path)) && needs.every(isThere);
  if (found.roots.every(isThere) && found.nodes.every(isCurrent)) return found;
  search.refresh();
  return find();
}

/** Like dependenciesOf, for a file that needs no search. `origin` is as in Requester. */
export function dependenciesOfFile(
  search: Search,
  { library, origin }: Omit<Given, "why">,
  isElsewhere: (soname: string) => boolean,
  open?: ReadonlyMap<string, string>,
): Dependencies {
  const loading = new Loading(search, isElsewhere, undefined, open);
  const node = loading.add(library, library.path, "its path", origin);
  return { roots: [{ name: library.path, node }], nodes: loading.nodes };
}

/** A file that is known without a search, and why this one. */
export interface Given {
  readonly library: Library;
  readonly why: string;
  /** As in Requester. */
  readonly origin?: string | undefined;
}

/** A node whose needs are not complete yet. */
interface Growing extends Node {
  readonly needs: Need[];
  readonly names: string[];
  readonly lacks: string[];
}

/** The contents of one namespace over successive openings: libraries already there serve later requests. */
export class Loading {
  readonly #nodes: Growing[] = [];
  readonly #byName = new Map<string, Growing>();
  readonly #byIdentity = new Map<string, Growing>();
  /** The needs of the first `#followed` nodes are known, and those of the nodes in `#known`. */
  #followed = 0;
  readonly #known = new Set<Node>();
  #program?: Node;

  /** As for dependenciesOf. Sonames that `given` has are not searched for. */
  constructor(
    readonly search: Search,
    readonly isElsewhere: (soname: string) => boolean,
    readonly given: (soname: string) => Given | undefined = () => undefined,
    /** The files already open, by name. */
    readonly openBefore: ReadonlyMap<string, string> = new Map(),
  ) {}

  /** In ld.so's load order. */
  get nodes(): readonly Node[] {
    return this.#nodes;
  }

  /** Adds a file that is present regardless of the search, such as a program, with its dependencies. */
  add(library: Library, name: string, why: string, origin?: string): Node {
    const node = this.#node({ library, why, origin }, name, undefined);
    this.#follow();
    return node;
  }

  /** Like ld.so with a program: `preload` (LD_PRELOAD) comes before the program's dependencies. */
  start(program: Library, name: string, why: string, preload: readonly string[]): { node: Node; preloaded: Need[] } {
    const node = this.#node({ library: program, why }, name, undefined);
    this.#program = node;
    const preloaded = preload.map((one) => this.#look(one, { library: program }));
    this.#follow();
    return { node, preloaded };
  }

  /** Like dlopen: the names that `requester` asks for, with their dependencies. */
  open(names: readonly string[], requester?: Requester): Need[] {
    const needs = names.map((name) => this.#look(name, requester));
    this.#follow();
    return needs;
  }

  #follow(): void {
    for (let node = this.#nodes[this.#followed]; node; node = this.#nodes[this.#followed]) {
      if (this.#known.has(node)) {
        this.#followed++;
        continue;
      }
      this.#known.add(node);
      const { library, requester: loader, origin, needs } = node;
      const from = { library, loader, origin };
      for (const name of library.needed) needs.push(this.#need(name, from));
      for (const filtee of library.filtees) this.#filter(node, filtee, from);
    }
  }

  #need(name: string, from: Requester): Need {
    if (this.isElsewhere(name)) return { name, elsewhere: name };
    const need = this.#look(name, from);
    if ("node" in need) this.#remember(name);
    return need;
  }

  /** Moves a filtee to right before `node`, unless it is before it already or `node` is the program. */
  #filter(node: Growing, { name, isOptional }: Filtee, from: Requester): void {
    const need = this.#need(name, from);
    if ("fault" in need && isOptional) node.lacks.push(name);
    else node.needs.push(need);
    const nodes: readonly Node[] = this.#nodes;
    const other = "node" in need ? nodes.indexOf(need.node) : -1;
    const own = nodes.indexOf(node);
    if (other > own && node !== this.#program) this.#nodes.splice(own, 0, ...this.#nodes.splice(other, 1));
  }

  #remember(name: string): void {
    const node = this.#byName.get(name);
    if (!node || name.includes("/")) return;
    const { library, names } = node;
    if ((!library.hasSoname || library.soname !== name) && !names.includes(name)) names.push(name);
  }

  #look(name: string, from: Requester | undefined): Need {
    const known = this.#byName.get(name);
    if (known) return { name, node: known };
    const open = this.openBefore.get(name);
    if (open !== undefined) return { name, open };
    const found = this.given(name) ?? find(this.search, name, from);
    if (found instanceof Error) return { name, fault: found };
    const { library } = found;
    if (library.isFixed || library.isPie) return { name, fault: refusal(library, from) };
    const elsewhere = this.#namesOf(name, library).find((soname) => this.isElsewhere(soname));
    if (from && elsewhere !== undefined) return { name: this.#expanded(name, from), elsewhere };
    return { name, node: this.#node(found, name, from) };
  }

  /** The file's other names. */
  #namesOf(name: string, { soname }: Library): string[] {
    return [soname, basename(name)].filter((one) => one !== name);
  }

  /** The name with its variables expanded, which ld.so compares with the sonames of loaded libraries. */
  #expanded(name: string, { library, origin }: Requester): string {
    return name.includes("/") ? (expand(name, originOf({ library, origin }), this.search) ?? name) : name;
  }

  #node(given: Given, name: string, requester: Requester | undefined): Growing {
    const { library, why } = given;
    // Two links to one file, or two paths through linked directories, are one library: the first.
    const identity = this.search.store.identity(library.path);
    const node = this.#byIdentity.getOrInsertComputed(identity, () => {
      const fresh = { library, name, why, requester, origin: originOf(given), names: [], needs: [], lacks: [] };
      this.#nodes.push(fresh);
      return fresh;
    });
    this.#byName.set(name, node);
    // The first library with a soname serves all later requests for it. Its file name is not one of its names.
    if (library.hasSoname && !this.#byName.has(library.soname)) this.#byName.set(library.soname, node);
    return node;
  }
}

/** ld.so refuses it for every requester. */
function refusal({ path, isFixed }: Library, from: Requester | undefined): LinkError {
  const needer = from ? `, which "${from.library.path}" needs` : "";
  const by = isFixed ? "ET_EXEC" : "DF_1_PIE";
  return new LinkError(
    `Cannot load "${path}"${needer}: it is a program (${by}), which ld.so loads for nobody; a library is linked with -shared`,
    { object: path },
  );
}

function find(search: Search, name: string, from: Requester | undefined): Given | LinkError | ElfError {
  try {
    const { library, why, origin } = mustFind(search, name, from);
    return { library, why, origin };
  } catch (error) {
    if (error instanceof LinkError || error instanceof ElfError) return error;
    throw error;
  }
}
