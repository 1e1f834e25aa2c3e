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
    const { row, left, right, width } = BINDINGS;
    const counts = this.counts(indexes);
    if (counts.length === 0) return undefined;
    const wanting = this.column(counts.map(({ object }) => object));
    const defining = this.column(counts.map(({ definer }) => definer));
    const height = Math.max(wanting.size, defining.size) * row;
    const label = `Who binds to whom: ${wanting.size} objects want what ${defining.size} define. The table per object says the same.`;
    return pictured(
      { "aria-label": label },
      [0, 0, width, height + 26],
      drawn("text", { x: left - 8, y: 14, "text-anchor": "end", class: "small" }, "who wants"),
      drawn("text", { x: right + 8, y: 14, class: "small" }, "who defines"),
      ...counts.map(({ object, definer, count }) => {
        const told = `${this.relocations.nameOf(object)} binds ${count} to ${this.relocations.nameOf(definer)}`;
        return this.line(wanting.get(object) ?? 0, defining.get(definer) ?? 0, count, told);
      }),
      ...[...wanting].map(([object, y]) => {
        const name = this.name(object, left - 8, y, "end");
        return drawn("a", { href: `#relocations?object=${object}` }, name);
      }),
      ...[...defining].map(([object, y]) => this.name(object, right + 8, y, "start")),
    );
  }

  /** Of each object, how many of its relocations each definer gives. @param {number[]} indexes */
  counts(indexes) {
    /** @type {Map<string, { object: number, definer: number, count: number }>} */
    const counts = new Map();
    for (const index of indexes) {
      const { object = 0, definer } = this.relocations.all[index] ?? {};
      if (definer === undefined) continue;
      const before = counts.get(`${object} ${definer}`)?.count ?? 0;
      counts.set(`${object} ${definer}`, { object, definer, count: before + 1 });
    }
    return [...counts.values()];
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
    return drawn("text", { x, y: y + 4, "text-anchor": anchor }, `${object} ${shown}`);
  }

  /** @param {number} from @param {number} to @param {number} count @param {string} told */
  line(from, to, count, told) {
    const { left, right } = BINDINGS;
    const middle = (left + right) / 2;
    const d = `M${left} ${from}C${middle} ${from} ${middle} ${to} ${right} ${to}`;
    const width = 1.2 + 0.7 * Math.log2(count);
    return drawn("path", { d, class: "binding", "stroke-width": width }, drawn("title", {}, told));
  }
}
