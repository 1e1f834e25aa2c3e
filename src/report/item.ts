// The model of a report: namespaces, their libraries, and the dependencies of each.

import type { ElfError } from "../../lib/elf/error.ts";
import type { Library } from "../../lib/elf/library.ts";
import type { LinkError } from "../../lib/link-error.ts";
import type { Chosen, OwnedHost, Trees } from "../plan/trees.ts";
import type { TreeOptions } from "../settings/tree-options.ts";
import type { Asked } from "./asked.ts";

/** Loaded at the start; when an isolated library is used (a guess); if the program opens it. */
export const WHENS = ["start", "use", "later"] as const;
export type When = (typeof WHENS)[number];

/**
 * On the program's side: `asked` (the subject of the report), `runtime` (its own), `left` (the runtime's, since the
 * host tree lacks it), `both` (the runtime's, which is newer than the host's and serves the capsule too) and `shared`
 * (in the shared set). In a capsule: `isolated` and `private`.
 */
export type Role = "asked" | "runtime" | "left" | "both" | "shared" | "isolated" | "private";

/** A library in a namespace. */
export interface Item {
  readonly side: Side;
  /** The name by which it was first needed. */
  readonly name: string;
  readonly soname: string;
  /** A path on this machine, without symbolic links. */
  readonly path: string;
  /** The step of the search that found it. */
  readonly why: string;
  readonly role: Role;
  readonly when: When;
  readonly library: Library;
  /** The value of $ORIGIN for it. */
  readonly origin: string;
  /** The first library that needed it. Undefined if none on its side did. */
  readonly requester: Item | undefined;
  /** In the order of DT_NEEDED. */
  readonly needs: readonly Link[];
}

/** What a name resolves to. A missing one has no `item`, a present one no `fault`. */
export type Link = Present | Missing;

export interface Present {
  readonly name: string;
  readonly item: Item;
  /** The kind of mirror through which a library of another side is visible. */
  readonly door: "shim" | "mirror" | undefined;
  readonly fault?: undefined;
}

export interface Missing {
  readonly name: string;
  /** It is missing or damaged. */
  readonly fault: LinkError | ElfError;
  readonly item?: undefined;
  readonly door?: undefined;
}

export interface Root {
  readonly link: Link;
  readonly when: When;
  /** Isolated libraries that will probably open it. */
  readonly openers: readonly Item[];
}

/** A namespace. */
export interface Side {
  /** Undefined for the program's side. */
  readonly host: OwnedHost | undefined;
  readonly tree: string;
  /** What no library on this side needs. */
  readonly roots: readonly Root[];
  /** In the order of loading. */
  readonly items: readonly Item[];
}

export interface Report {
  readonly asked: Asked;
  readonly program: Side;
  readonly capsules: readonly Side[];
  /** What the program's side would be without capsules: path by soname. */
  readonly native: ReadonlyMap<string, string>;
  /** The options that determined the rest. */
  readonly options: TreeOptions;
  readonly trees: Trees;
  readonly chosen: Chosen;
}
