// A report as JSON. Libraries refer to each other by path.

import type { Step } from "../../lib/tree/search.ts";
import type { Answer } from "./answers.ts";
import { pathOf } from "./asked.ts";
import { type Clash, clashesOf } from "./clashes.ts";
import type { Item, Link, Report, Side } from "./item.ts";
import { versionIn } from "./version-in.ts";
import { faultOf, missedGlibc } from "./words.ts";

export const jsonOf = (report: Report): object => ({
  asked: askedOf(report),
  glibc: { version: report.trees.glibc.version, path: report.trees.glibc.path },
  program: sideOf(report.program, report),
  capsules: report.capsules.map((side) => sideOf(side, report)),
  clashes: clashesOf(report).map(clashOf),
});

function askedOf({ asked }: Report): object {
  if (asked.kind === "soname") return asked;
  return { kind: asked.kind, path: pathOf(asked), scripts: asked.scripts };
}

const sideOf = ({ tree, roots, items }: Side, report: Report): object => ({
  tree,
  opened: roots.map(({ link, when }) => ({ ...linkOf(link), when })),
  libraries: items.map((item) => ({ ...itemOf(item), missedGlibc: missedGlibc(item, report) ?? null })),
});

const itemOf = ({ name, soname, path, role, when, why, requester, needs }: Item): object => ({
  name,
  soname,
  path,
  version: versionIn(path) || null,
  role,
  when,
  why,
  neededBy: requester?.path ?? null,
  needs: needs.map(linkOf),
});

function linkOf(link: Link): object {
  const { name } = link;
  if (link.item) return { name, path: link.item.path, tree: link.item.side.tree, door: link.door ?? null };
  const { text, notes } = faultOf(link.fault);
  return { name, path: null, fault: text, tried: notes };
}

const clashOf = ({ soname, copies, isApart, when }: Clash): object => ({
  soname,
  keptApart: isApart,
  when,
  files: copies.map(({ side, path, version, isLoaded }) => ({
    tree: side.tree,
    isCapsules: side.host !== undefined,
    path,
    version: version || null,
    isLoaded,
  })),
});

/** For `capsule why`. */
export const answerJson = ({ side, link, chain, others, rule, search }: Answer): object => ({
  tree: side.tree,
  isCapsules: side.host !== undefined,
  rule,
  is: link ? linkOf(link) : null,
  neededBy: chain.map(({ path }) => path),
  alsoNeededBy: others.map(({ path }) => path),
  search: search ? { tried: search.steps.map(stepOf), found: search.found ? stepOf(search.found) : null } : null,
});

const stepOf = ({ by, path, fault }: Step): object => ({ by, path: path ?? null, ...(fault ? { fault } : {}) });
