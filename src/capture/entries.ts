// The folder that a plan makes: links to the provider's files, or copies of them.

import type { Entry } from "../../lib/own-files.ts";
import type { Tree } from "../../lib/tree/tree.ts";
import { UsageError } from "../diagnostics/errors.ts";
import { quoted } from "../settings/source.ts";
import type { Captured } from "./plan.ts";

export interface LinkOptions {
  /** Where the provider's tree will be when the folder is used; by default, where it is now. */
  readonly target: string | undefined;
  /** Applied to the text of each link; the first that fits. */
  readonly remapped: readonly Remapping[];
  /** Copies in place of links. */
  readonly isCopied: boolean;
}

export interface Remapping {
  readonly from: string;
  readonly to: string;
}

/** FROM=TO; throws UsageError for anything else. */
export function remappingOf(text: string): Remapping {
  const at = text.indexOf("=");
  if (at <= 0 || at === text.length - 1)
    throw new UsageError(
      `Cannot use ${quoted(text)}: the value of --remap-link-prefix must follow the FROM=TO pattern`,
    );
  return { from: text.slice(0, at), to: text.slice(at + 1) };
}

export function entryOf({ name, path, foundAs }: Captured, tree: Tree, options: LinkOptions): Entry {
  return options.isCopied ? { name, copyOf: path } : { name, link: linkTo(path, foundAs, tree, options) };
}

/** The text of a link to a file of the provider. */
export function linkTo(path: string, foundAs: string, tree: Tree, { target, remapped }: LinkOptions): string {
  const real = tree.inside(path);
  // On this machine itself a link need not be resolved here: what it leads to may be updated.
  const text = target !== undefined ? target.replace(/\/+$/, "") + real : tree.root === "" ? foundAs : path;
  const mapping = remapped.find(({ from }) => text.startsWith(from));
  return mapping ? mapping.to + text.slice(mapping.from.length) : text;
}
