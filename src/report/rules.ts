// Which rule or setting determines the copy of a library that each side gets.

import type { Trees } from "../plan/trees.ts";
import { isShared, UNWINDER } from "../profiles/shared-set.ts";
import { GLIBC_CHOICES } from "../settings/choices.ts";
import { asSays, nameOf } from "../settings/source.ts";
import type { Link, Report, Side } from "./item.ts";

/** A phrase that follows "it is". `link` is what the name resolves to on that side, if anything. */
export function ruleOf(soname: string, side: Side, link: Link | undefined, report: Report): string {
  if (isShared(soname)) return sharedRule(soname, side, report);
  const { chosen, trees } = report;
  const host = chosen.hosts.find(({ choices }) => choices.has(soname));
  if (!host) {
    const why = "no profile that is chosen and no --isolate names it";
    if (side.host) return link ? "a private dependency: only this capsule sees it" : "nothing that this capsule needs";
    return link?.item ? `the runtime's own: ${why}` : `nothing that the program's side has; ${why}`;
  }
  const { name } = host.search.tree;
  const [setting, more] = settingOf(soname, trees);
  if (chosen.isIsolated(soname)) {
    const how = `isolated, as ${setting} says`;
    if (!side.host) return `${how}: the program sees the one of ${name} by a shim${more}`;
    return `${side.host.search === host.search ? "" : `a mirror of the one of ${name}, which is `}${how}${more}`;
  }
  if (host.search.find(soname, undefined)) {
    const newer = `the runtime's, which serves both sides: ${setting} says the newer one, and it defines more than the one of ${name}`;
    return `${side.host ? "a mirror of " : ""}${newer}${more}`;
  }
  if (side.host) return `nothing that ${side.tree} has`;
  return `left to the runtime: ${setting} names it, but ${name} does not have it${more}`;
}

function sharedRule(soname: string, side: Side, { trees, options }: Report): string {
  const { value, source } = options.glibc;
  const choice = typeof value === "string" ? `${value}, ${GLIBC_CHOICES[value]}` : value.tree;
  const which =
    soname === UNWINDER
      ? "the newest of all trees'"
      : `glibc ${trees.glibc.version}'s (--glibc ${choice}${asSays(source)})`;
  const rule = `the shared set's, of which the process has one copy: ${which}`;
  return side.host ? `a mirror of ${rule}` : rule;
}

/** The setting that names a soname, and a remark: which setting enables that, and which gives its tree. */
function settingOf(soname: string, { libraries }: Pick<Trees, "libraries">): [setting: string, more: string] {
  const choice = libraries.find((one) => one.soname === soname);
  if (!choice) return ["nothing", ""];
  const { isExplicit, profiles, source, host, follows } = choice;
  if (follows) return [`the family of ${follows.soname}`, ` (they come from one tree together${asSays(host.source)})`];
  const tree = asSays(host.source).replace(/^, /, "its tree, ");
  const chosen = source.kind === "default" ? "without --profile all are chosen" : asSays(source).replace(/^, /, "");
  const more = [isExplicit ? "" : chosen, tree].filter(Boolean).join("; ");
  const who = isExplicit
    ? nameOf(source)
    : `${profiles.length > 1 ? "each of the profiles" : "the profile"} ${profiles.join(", ")}`;
  return [who, more && ` (${more})`];
}
