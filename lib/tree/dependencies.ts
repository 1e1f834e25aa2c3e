// What some libraries need, with all that is needed for it, each looked for as ld.so
// looks for it when it is given them: breadth first, a name once, so that the search
// path of who comes to it first decides for all. A library that is named by a filter
// (DT_FILTER, DT_AUXILIARY) comes right before that one, wherever it would be otherwise
// (glibc, elf/dl-deps.c).

import { basename } from "node:path";
import { ElfError } from "../elf/error.ts";
import type { Filtee } from "../elf/image.ts";
import type { Library } from "../elf/library.ts";
import { LinkError } from "../link-error.ts";
import { expand, mustFind, originOf, type Requester, type Search } from "./search.ts";

/** A library that was found. */
export interface Node {
  readonly library: Library;
  /** The name by which it was asked for first. */
  readonly name: string;
  /** Which step of the search gave it. */
  readonly why: string;
  readonly requester: Requester | undefined;
  /** What $ORIGIN is for it: the directory in which it was found first. */
  readonly origin: string;
  /**
   * Names of DT_NEEDED that led to it and that it does not have itself (DT_SONAME): ld.so knows it by these, too, from
   * then on.
   */
  readonly names: readonly string[];
  /** In the order of DT_NEEDED, then what it filters. */
  readonly needs: readonly Need[];
  /** What it would filter if it were there (DT_AUXILIARY). */
  readonly lacks: readonly string[];
}

/** What becomes of a name that somebody needs. */
export type Need = { readonly name: string } & (
  | { readonly node: Node }
  /** The soname of what comes from elsewhere: the name, or what the file says that was found by it. */
  | { readonly elsewhere: string }
  /** The file of what was open before by that name: ld.so looks there first. */
  | { readonly open: string }
  /** It is missing, with where it was looked for, or unsound. */
  | { readonly fault: LinkError | ElfError }
);

export interface Dependencies {
  readonly roots: readonly Need[];
  /** In the order in which ld.so comes to them. */
  readonly nodes: readonly Node[];
}

/**
 * `roots` are sonames or paths that `requester` asks for. What `isElsewhere` says of a soname is not looked for, nor
 * what a file needs that turns out to have such a soname; nor is what is `open` already, by name.
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

/** As dependenciesOf, of a file that no search has to find. `origin` is as a requester's. */
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

/** A file that is known without a search, and why it is that one. */
export interface Given {
  readonly library: Library;
  readonly why: string;
  /** As a requester's. */
  readonly origin?: string | undefined;
}

/** A node whose needs are being found out. */
interface Growing extends Node {
  readonly needs: Need[];
  readonly names: string[];
  readonly lacks: string[];
}

/** What comes into one namespace, one opening after another: what is there already serves who comes later. */
export class Loading {
  readonly #nodes: Growing[] = [];
  readonly #byName = new Map<string, Growing>();
  readonly #byIdentity = new Map<string, Growing>();
  /** The needs of the first so many nodes are known, and those of these. */
  #followed = 0;
  readonly #known = new Set<Node>();
  #program?: Node;

  /** As for dependenciesOf. What `given` has for a soname is not searched for. */
  constructor(
    readonly search: Search,
    readonly isElsewhere: (soname: string) => boolean,
    readonly given: (soname: string) => Given | undefined = () => undefined,
    /** What is open already, by name: its file. */
    readonly openBefore: ReadonlyMap<string, string> = new Map(),
  ) {}

  /** In the order in which ld.so comes to them. */
  get nodes(): readonly Node[] {
    return this.#nodes;
  }

  /** A file that is there whatever the search would give, such as a program, with what it needs. */
  add(library: Library, name: string, why: string, origin?: string): Node {
    const node = this.#node({ library, why, origin }, name, undefined);
    this.#follow();
    return node;
  }

  /** As ld.so begins with a program: `preload` (LD_PRELOAD) comes before what the program needs. */
  start(program: Library, name: string, why: string, preload: readonly string[]): { node: Node; preloaded: Need[] } {
    const node = this.#node({ library: program, why }, name, undefined);
    this.#program = node;
    const preloaded = preload.map((one) => this.#look(one, { library: program }));
    this.#follow();
    return { node, preloaded };
  }

  /** As dlopen: what `requester` asks for, with what it needs. */
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

  /** Who has come before `node` stays there, and before a program nobody does. */
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

  /** Those that a file has besides the one that it was asked for by. */
  #namesOf(name: string, { soname }: Library): string[] {
    return [soname, basename(name)].filter((one) => one !== name);
  }

  /** As ld.so has it then: it compares that with the sonames of what is there. */
  #expanded(name: string, { library, origin }: Requester): string {
    return name.includes("/") ? (expand(name, originOf({ library, origin }), this.search) ?? name) : name;
  }

  #node(given: Given, name: string, requester: Requester | undefined): Growing {
    const { library, why } = given;
    // Two links to one file, or two paths by directories that are links, are one library, that of the first.
    const identity = this.search.store.identity(library.path);
    let node = this.#byIdentity.get(identity);
    if (!node) {
      const fresh = { library, name, why, requester, origin: originOf(given), names: [], needs: [], lacks: [] };
      this.#nodes.push(fresh);
      this.#byIdentity.set(identity, fresh);
      node = fresh;
    }
    this.#byName.set(name, node);
    // The first that says so, for all who come later. The name of its file is none of its names.
    if (library.hasSoname && !this.#byName.has(library.soname)) this.#byName.set(library.soname, node);
    return node;
  }
}

/** As ld.so refuses it, whoever needs it. */
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
