// `capsule tree` as text: a tree per namespace, in the style of libtree, and the clashes between them.

import { basename } from "node:path";
import { inLines, type Paint } from "../diagnostics/terminal.ts";
import { clashTable, type View } from "./clash-table.ts";
import { type Clash, type Copy, clashesOf } from "./clashes.ts";
import type { Item, Link, Present, Report, Side, When } from "./item.ts";
import { faultOf, missedGlibc, whyOf } from "./words.ts";

export function treeText(report: Report, view: View, paint: Paint): string {
  const clashes = clashesOf(report);
  const drawing = new Drawing(report, view, paint, new Map(clashes.map((clash) => [clash.soname, clash])));
  const rule = (text: string) => paint("dim", text);
  const trees = drawing.roots().map((root) => linesOf(root, rule));
  // With one side there is nothing that could clash.
  const table = report.chosen.hosts.length === 0 ? [] : [clashTable(clashes, report, view, paint)];
  const { version, path } = report.trees.glibc;
  const glibc = paint("dim", `All of it runs on glibc ${version}, ${path}`);
  return [...trees, ...table, [glibc]].map((lines) => `${lines.join("\n")}\n`).join("\n");
}

/** A tree of text. */
interface Branch {
  readonly text: string;
  /** Lines below the text that are not branches. */
  readonly notes?: readonly string[];
  readonly branches: readonly Branch[];
}

/** Draws it with lines. `rule` styles the lines that connect branches. */
function linesOf(root: Branch, rule: (text: string) => string): string[] {
  const lines: string[] = [];
  const draw = ({ text, notes = [], branches }: Branch, first: string, rest: string): void => {
    lines.push(rule(first) + text);
    const between = branches.length > 0 ? "│ " : "  ";
    lines.push(...notes.map((note) => rule(rest + between) + note));
    for (const [i, branch] of branches.entries()) {
      const isLast = i === branches.length - 1;
      draw(branch, `${rest}${isLast ? "└── " : "├── "}`, `${rest}${isLast ? "    " : "│   "}`);
    }
  };
  draw(root, "", "");
  return lines;
}

/** How often the needs of libraries are shown again: without a limit, layers of libraries multiply. */
const MOST_AGAIN = 10_000;

class Drawing {
  readonly #shown = new Set<Item | string>();
  #again = 0;

  constructor(
    readonly report: Report,
    readonly view: View,
    readonly paint: Paint,
    readonly clashes: ReadonlyMap<string, Clash>,
  ) {}

  roots(): Branch[] {
    const { asked, capsules } = this.report;
    const scripts = asked.kind === "soname" ? [] : asked.scripts;
    const inner = this.#program();
    const outer = scripts.reduceRight<Branch | undefined>((branch, script) => {
      const text = `${this.paint("bold", script)} ${this.paint("cyan", "[a script; what it starts is not in here]")}`;
      return { text, branches: branch ? [branch] : [] };
    }, inner[0]);
    return [...(outer ? [outer] : []), ...inner.slice(1), ...capsules.map((capsule) => this.#capsule(capsule))];
  }

  /** Empty if the subject is in a capsule and there is nothing to show on the program's side. */
  #program(): Branch[] {
    const { asked, program } = this.report;
    const links = program.roots.map(({ link }) => link);
    const { paint } = this;
    if (asked.kind === "static") {
      const text = `${paint("bold", asked.path)} ${paint("cyan", "[statically linked: it loads nothing]")}`;
      return [{ text, branches: [] }];
    }
    const isAsked = ({ fault, item, name }: Link) =>
      fault || item.role === "asked" || (asked.kind === "soname" && name === asked.soname);
    const branches = links.filter(isAsked).map((link) => this.#branch(link, program, [], 0));
    const others = this.#visible(links.filter((link) => !isAsked(link))).filter(
      ({ item }) => item?.when !== "later" || this.view.verbosity > 0,
    );
    if (others.length === 0) return branches;
    const whose = this.report.capsules.length > 1 ? "capsules" : "capsule";
    const text = paint("bold", `of ${program.tree}, for the ${whose}`);
    return [...branches, { text, branches: others.map((link) => this.#branch(link, program, [])) }];
  }

  #capsule(side: Side): Branch {
    const { paint, view } = this;
    const at = (time: When) =>
      side.roots
        .filter(({ link: { item }, when }) => when === time && (!item || item.when === time))
        .map(({ link }) => link);
    const branchesOf = (links: readonly Link[]) => this.#visible(links).map((link) => this.#branch(link, side, []));
    const branches = branchesOf(at("start"));
    const used = at("use");
    if (used.length > 0)
      branches.push({ text: paint("italic", "when they are used, probably"), branches: branchesOf(used) });
    const later = at("later");
    if (later.length > 0) {
      const text = paint("italic", "if the program opens it");
      if (view.verbosity > 0) branches.push({ text, branches: branchesOf(later) });
      else branches.push({ text, notes: this.#names(later), branches: [] });
    }
    const nothing =
      side.items.length === 0 ? ` ${paint("cyan", "[nothing is isolated: it has none of the libraries]")}` : "";
    return { text: `${paint("bold", `capsule of ${side.tree}`)}${nothing}`, branches };
  }

  /** Names of isolated libraries, in lines of 72 columns. */
  #names(links: readonly Link[]): string[] {
    const names = links.filter(({ item }) => !item || item.role === "isolated").map(({ name }) => name);
    return inLines(names, 72).map((line) => this.paint("plain", line.join(" ")));
  }

  /** Hides the shared set by default. */
  #visible(links: readonly Link[]): Link[] {
    return links.filter(({ item }) => item?.role !== "shared" || this.view.verbosity > 0);
  }

  #branch(link: Link, side: Side, above: readonly Item[], depth = 1): Branch {
    const { paint } = this;
    if (link.fault) {
      const { text, notes } = faultOf(link.fault);
      return {
        text: `${paint(["red", "bold"], link.name)} ${paint("red", `[${text}]`)}`,
        notes: notes.map((note) => `${paint("dim", "┊ ")}${paint("red", note)}`),
        branches: [],
      };
    }
    const { item } = link;
    const { verbosity } = this.view;
    const isForeign = item.side !== side;
    const isRoot = depth === 0;
    const isKnown = !isForeign && this.#shown.has(item);
    this.#shown.add(keyOf(link, side));
    const isFolded =
      depth >= this.view.depth ||
      isForeign ||
      above.includes(item) ||
      (isKnown && (verbosity < 3 || this.#again++ >= MOST_AGAIN)) ||
      (item.role === "shared" && verbosity < 2);
    // A root also shows libraries that were shown before.
    const isOld = (need: Link) => !need.fault && this.#shown.has(keyOf(need, side)) && verbosity === 0 && !isRoot;
    const branches = this.#visible(isFolded ? [] : item.needs).flatMap((need) =>
      isOld(need) ? [] : this.#branch(need, side, [...above, item], depth + 1),
    );
    return { text: this.#text(link, isKnown, isRoot), branches };
  }

  #text(link: Present, isKnown: boolean, isRoot: boolean): string {
    const { item } = link;
    const { paint } = this;
    const name = this.view.showsPaths || (isRoot && item.role === "asked") ? item.path : basename(link.name);
    const why = item.role === "asked" ? "" : ` ${paint("cyan", `[${isKnown ? "above" : whyOf(link)}]`)}`;
    return `${paint(this.#style(link, isKnown), name)}${why}${isKnown || link.door ? "" : this.#glibc(item) + this.#clash(link)}`;
  }

  #glibc(item: Item): string {
    const version = missedGlibc(item, this.report);
    return version === undefined ? "" : ` ${this.paint(["red", "bold"], `needs glibc ${version}`)}`;
  }

  #style({ item, door }: Present, isKnown: boolean): Parameters<Paint>[0] {
    if (isKnown || item.role === "shared") return "dim";
    if (item.role === "asked") return "bold";
    return door !== undefined || item.role === "isolated" ? "magenta" : "plain";
  }

  #clash({ item }: Present): string {
    const clash = this.clashes.get(item.soname);
    if (!clash) return "";
    const others = clash.copies.filter(({ path }) => path !== item.path);
    const words = others.map((copy) => `${this.#whose(copy)} ${copy.version}`.trim());
    return ` ${this.paint(clash.isApart ? ["yellow", "bold"] : "yellow", `≠ ${words.join(", ")}`)}`;
  }

  #whose({ side, isLoaded }: Copy): string {
    if (!side.host) return isLoaded ? "the program's" : "the runtime's";
    return this.report.capsules.length > 1 ? `${side.tree}'s` : "the capsule's";
  }
}

/** Identifies what was shown: a shim on the program's side differs from its library in the capsule. */
const keyOf = ({ item, door }: Present, side: Side): Item | string =>
  door ? `${item.soname}\0${side.host?.search.tree.root}` : item;
