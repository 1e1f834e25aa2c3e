// `capsule tree` as text: a tree per namespace, in the style of libtree, and the clashes between them.

import { basename } from "node:path";
import type { Paint } from "../diagnostics/terminal.ts";
import { type Branch, linesOf } from "./branches.ts";
import { clashTable, type View } from "./clash-table.ts";
import { type Clash, type Copy, clashesOf } from "./clashes.ts";
import { type Item, isMissing, type Link, type Missing, type Present, type Report, type Side } from "./item.ts";
import { faultOf, missedGlibc, whyOf } from "./words.ts";

export function treeText(report: Report, view: View, paint: Paint): string {
  const clashes = clashesOf(report);
  const drawing = new Drawing(report, view, paint, new Map(clashes.map((clash) => [clash.soname, clash])));
  const rule = (text: string) => paint("dim", text);
  const trees = drawing.roots().map((root) => linesOf(root, rule));
  const table = clashTable(clashes, report, view, paint);
  return [...trees, table, [drawing.glibc()]].map((lines) => `${lines.join("\n")}\n`).join("\n");
}

class Drawing {
  readonly #shown = new Set<Item | string>();

  constructor(
    readonly report: Report,
    readonly view: View,
    readonly paint: Paint,
    readonly clashes: ReadonlyMap<string, Clash>,
  ) {}

  roots(): Branch[] {
    const { program, capsules } = this.report;
    return [...this.#programs(program), ...capsules.map((capsule) => this.#capsule(capsule))];
  }

  glibc(): string {
    const { version, path } = this.report.trees.glibc;
    return this.paint("dim", `All of it runs on glibc ${version}, ${path}`);
  }

  /** Empty if the subject is in a capsule and there is nothing to show on the program's side. */
  #programs({ roots }: Side): Branch[] {
    const { asked } = this.report;
    const scripts = asked.kind === "soname" ? [] : asked.scripts;
    const inner = this.#program(roots.map(({ link }) => link));
    const outer = scripts.reduceRight<Branch | undefined>((branch, script) => {
      const text = `${this.paint("bold", script)} ${this.paint("cyan", "[a script; what it starts is not in here]")}`;
      return { text, branches: branch ? [branch] : [] };
    }, inner[0]);
    return outer ? [outer, ...inner.slice(1)] : inner;
  }

  #program(links: readonly Link[]): Branch[] {
    const { asked, program } = this.report;
    const { paint } = this;
    if (asked.kind === "static")
      return [
        {
          text: `${paint("bold", asked.path)} ${paint("cyan", "[statically linked: it loads nothing]")}`,
          branches: [],
        },
      ];
    const isAsked = (link: Link) =>
      isMissing(link) || link.item.role === "asked" || (asked.kind === "soname" && link.name === asked.soname);
    const branches = links.filter(isAsked).map((link) => this.#branch(link, program, [], true));
    const others = this.#visible(links.filter((link) => !isAsked(link))).filter(
      (link) => isMissing(link) || link.item.when !== "later" || this.view.verbosity > 0,
    );
    if (others.length === 0) return branches;
    const text = paint(
      "bold",
      `of ${program.tree}, for the ${this.report.capsules.length > 1 ? "capsules" : "capsule"}`,
    );
    return [...branches, { text, branches: others.map((link) => this.#branch(link, program, [])) }];
  }

  #capsule(side: Side): Branch {
    const { paint, view } = this;
    const at = (when: string) =>
      side.roots
        .filter((root) => root.when === when && (isMissing(root.link) || root.link.item.when === when))
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
    const names = links.filter((link) => isMissing(link) || link.item.role === "isolated").map(({ name }) => name);
    const lines: string[] = [];
    for (const name of names) {
      const last = lines.at(-1);
      if (last !== undefined && last.length + name.length < 72) lines[lines.length - 1] = `${last} ${name}`;
      else lines.push(name);
    }
    return lines.map((line) => this.paint("plain", line));
  }

  /** Hides the shared set by default. */
  #visible(links: readonly Link[]): Link[] {
    return links.filter((link) => isMissing(link) || link.item.role !== "shared" || this.view.verbosity > 0);
  }

  #branch(link: Link, side: Side, above: readonly Item[], isRoot = false): Branch {
    if (isMissing(link)) return this.#missing(link);
    const { item } = link;
    const { verbosity } = this.view;
    const isForeign = item.side !== side;
    const isKnown = !isForeign && this.#shown.has(item);
    this.#shown.add(keyOf(link, side));
    const isFolded =
      isForeign || above.includes(item) || (isKnown && verbosity < 3) || (item.role === "shared" && verbosity < 2);
    const path = [...above, item];
    const branches = isFolded ? [] : this.#below(item.needs, side, path, isRoot);
    return { text: this.#text(link, isKnown, isRoot), branches };
  }

  /** Branches for what the last item of `path` needs. `isAll` also keeps libraries shown before. */
  #below(needs: readonly Link[], side: Side, path: readonly Item[], isAll: boolean): Branch[] {
    return this.#visible(needs).flatMap((need) => {
      const isOld = !isMissing(need) && this.#shown.has(keyOf(need, side)) && this.view.verbosity === 0;
      return isOld && !isAll ? [] : [this.#branch(need, side, path)];
    });
  }

  #missing({ name, fault }: Missing): Branch {
    const { text, notes } = faultOf(fault);
    const { paint } = this;
    return {
      text: `${paint(["red", "bold"], name)} ${paint("red", `[${text}]`)}`,
      notes: notes.map((note) => `${paint("dim", "┊ ")}${paint("red", note)}`),
      branches: [],
    };
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
