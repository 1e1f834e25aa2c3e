// Which file provides a soname on each side: how it was found, for which library, and by which rule.

import type { Requester, Step } from "../../lib/tree/search.ts";
import type { Item, Link, Report, Side } from "./item.ts";
import { ruleOf } from "./rules.ts";

export interface Answer {
  readonly side: Side;
  /** What the name resolves to on this side. Undefined if nothing needs it. */
  readonly link: Link | undefined;
  /** The libraries of this side through which it is needed, from a root to its first direct dependent. */
  readonly chain: readonly Item[];
  /** Other libraries on this side that need it. */
  readonly others: readonly Item[];
  /** A phrase that follows "it is". */
  readonly rule: string;
  /** The search that found it, or would. Undefined if there is none: it is on another side, or chosen by a rule. */
  readonly search: { readonly steps: readonly Step[]; readonly found: Step | undefined } | undefined;
}

/** The program's side comes first. */
export function answersOf(soname: string, report: Report): Answer[] {
  return [report.program, ...report.capsules].map((side) => {
    const needers = side.items.filter(({ needs }) => needs.some((need) => names(need, soname)));
    const links = [...side.roots.map(({ link }) => link), ...needers.flatMap(({ needs }) => needs)];
    const item = side.items.find((one) => one.soname === soname || one.name === soname);
    const link =
      links.find((one) => names(one, soname)) ??
      (item ? { name: item.name, item, door: undefined } : doorTo(soname, side, report));
    const first = item?.requester ?? needers[0];
    return {
      side,
      link,
      chain: chainTo(first),
      others: needers.filter((one) => one !== first),
      rule: ruleOf(soname, side, link, report),
      search: searchFor(soname, side, link, report),
    };
  });
}

/** What a side would get from another side, though it does not need it. */
function doorTo(soname: string, side: Side, { capsules, chosen }: Report): Link | undefined {
  if (!chosen.isIsolated(soname)) return undefined;
  const others = capsules.filter((one) => one !== side).flatMap(({ items }) => items);
  const item = others.find((one) => one.role === "isolated" && one.name === soname);
  return item && { name: soname, item, door: side.host ? "mirror" : "shim" };
}

const names = (link: Link, soname: string): boolean => link.name === soname || link.item?.soname === soname;

function chainTo(item: Item | undefined): Item[] {
  return item ? [...chainTo(item.requester), item] : [];
}

function searchFor(soname: string, side: Side, link: Link | undefined, report: Report): Answer["search"] {
  const item = link?.item;
  if (item && item.side !== side) return undefined;
  const search = side.host?.search ?? report.trees.runtime;
  const needer = item ? item.requester : side.items.find(({ needs }) => link && needs.includes(link));
  const requester = requesterOf(needer ?? (item ? undefined : side.items[0]));
  const steps: Step[] = [];
  const found = search.find(item?.name ?? soname, requester, steps);
  if (item && found?.path !== item.path) return undefined;
  return { steps, found: found && { by: found.why, path: found.path, fault: "" } };
}

function requesterOf(item: Item | undefined): Requester | undefined {
  return item && { library: item.library, loader: requesterOf(item.requester), origin: item.origin };
}
