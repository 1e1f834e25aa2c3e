// What a report is made of: namespaces, the libraries in them, and what each needs.

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
 * On the program's side `asked` (what the report is about), `runtime` (its own), `left` (the runtime's, since the host
 * tree lacks it), `both` (the runtime's, which serves the capsule, too, as it is newer than the host's) and `shared`
 * (of the shared set); in a capsule `isolated` and `private`.
 */
export type Role = "asked" | "runtime" | "left" | "both" | "shared" | "isolated" | "private";

/** A library in a namespace. */
export interface Item {
  readonly side: Side;
  /** By which it was asked for first. */
  readonly name: string;
  readonly soname: string;
  /** Of this machine, without symbolic links. */
  readonly path: string;
  /** Which step of the search gave it. */
  readonly why: string;
  readonly role: Role;
  readonly when: When;
  readonly library: Library;
  /** What $ORIGIN is for it. */
  readonly origin: string;
  /** Who needed it first; undefined where nobody on its side did. */
  readonly requester: Item | undefined;
  /** In the order of DT_NEEDED. */
  readonly needs: readonly Link[];
}

/** What becomes of a name. */
export type Link = Present | Missing;

export interface Present {
  readonly name: string;
  readonly item: Item;
  /** By what it is seen where it is not on the same side. */
  readonly door: "shim" | "mirror" | undefined;
}

export interface Missing {
  readonly name: string;
  /** It is not there, or unsound. */
  readonly fault: LinkError | ElfError;
}

export const isMissing = (link: Link): link is Missing => "fault" in link;

export interface Root {
  readonly link: Link;
  readonly when: When;
  /** Isolated libraries that will probably open it. */
  readonly openers: readonly Item[];
}

/** A namespace. */
export interface Side {
  /** Undefined for the program's. */
  readonly host: OwnedHost | undefined;
  /** The name of its tree. */
  readonly tree: string;
  /** What nobody on this side has asked for. */
  readonly roots: readonly Root[];
  /** In the order of loading. */
  readonly items: readonly Item[];
}

export interface Report {
  readonly asked: Asked;
  readonly program: Side;
  readonly capsules: readonly Side[];
  /** What the program's side would be without any capsule: sonames, and where each is. */
  readonly native: ReadonlyMap<string, string>;
  /** By which the rest was chosen. */
  readonly options: TreeOptions;
  readonly trees: Trees;
  readonly chosen: Chosen;
}
