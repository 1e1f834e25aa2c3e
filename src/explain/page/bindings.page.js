// @ts-check
// Who binds to whom, of many relocations at once: on the left who wants, on the right who defines, in the order of the
// link map, and the more there are the thicker the line.
"use strict";

const BINDINGS = { row: 24, left: 250, right: 450, width: 700 };

class BindingsPicture {
  /** @param {Relocations} relocations */
  constructor(relocations) {
    this.relocations = relocations;
  }

  /** Undefined where there is nothing to draw. @param {number[]} indexes of relocations */
  of(indexes) {
    const counts = this.counts(indexes);
    if (counts.size === 0) return undefined;
    const wanting = this.column([...counts.keys()]);
    const defining = this.column([...counts.values()].flatMap((definers) => [...definers.keys()]));
    const height = Math.max(wanting.size, defining.size) * BINDINGS.row;
    const lines = [...counts].flatMap(([object, definers]) =>
      [...definers].map(([definer, count]) => this.line(object, definer, count, wanting, defining)),
    );
    const names = [
      ...[...wanting].map(([object, y]) => this.name(object, BINDINGS.left - 8, y, "end")),
      ...[...defining].map(([object, y]) => this.name(object, BINDINGS.right + 8, y, "start")),
    ];
    const label = `Who binds to whom: ${wanting.size} objects want what ${defining.size} define. The table per object says the same.`;
    const attributes = { class: "map bindings", role: "group", "aria-label": label, width: BINDINGS.width };
    const svg = drawn("svg", { ...attributes, viewBox: `0 0 ${BINDINGS.width} ${height + 26}` });
    const heads = [
      drawn("text", { x: BINDINGS.left - 8, y: 14, "text-anchor": "end", class: "small" }, "who wants"),
      drawn("text", { x: BINDINGS.right + 8, y: 14, class: "small" }, "who defines"),
    ];
    svg.append(...heads, ...lines, ...names);
    return svg;
  }

  /** Of each object, how many of its relocations each definer gives. @param {number[]} indexes */
  counts(indexes) {
    /** @type {Map<number, Map<number, number>>} */
    const counts = new Map();
    for (const index of indexes) {
      const relocation = this.relocations.at(index);
      if (relocation?.definer === undefined) continue;
      const { object, definer } = relocation;
      const definers = counts.get(object) ?? new Map();
      counts.set(object, definers.set(definer, (definers.get(definer) ?? 0) + 1));
    }
    return counts;
  }

  /** Objects from top to bottom, each with the middle of its row. @param {number[]} objects */
  column(objects) {
    const sorted = [...new Set(objects)].sort((one, other) => one - other);
    return new Map(sorted.map((object, at) => [object, 22 + BINDINGS.row * (at + 0.5)]));
  }

  /** @param {number} object @param {number} x @param {number} y @param {string} anchor */
  name(object, x, y, anchor) {
    const name = [...this.relocations.nameOf(object)];
    const shown = name.length > 30 ? `${name.slice(0, 29).join("")}…` : name.join("");
    const text = drawn("text", { x, y: y + 4, "text-anchor": anchor }, `${object} ${shown}`);
    return anchor === "end" ? drawn("a", { href: `#relocations?object=${object}` }, text) : text;
  }

  /**
   * @param {number} object
   * @param {number} definer
   * @param {number} count
   * @param {Map<number, number>} wanting
   * @param {Map<number, number>} defining
   */
  line(object, definer, count, wanting, defining) {
    const { left, right } = BINDINGS;
    const from = wanting.get(object) ?? 0;
    const to = defining.get(definer) ?? 0;
    const middle = (left + right) / 2;
    const told = `${this.relocations.nameOf(object)} binds ${count} to ${this.relocations.nameOf(definer)}`;
    return drawn(
      "path",
      {
        d: `M${left} ${from}C${middle} ${from} ${middle} ${to} ${right} ${to}`,
        class: "binding",
        "stroke-width": 1.2 + 0.7 * Math.log2(count),
      },
      drawn("title", {}, told),
    );
  }
}
