// @ts-check
// Who binds to whom, of many relocations at once: on the left who wants, on the right who defines, in the order of the
// link map, and the more there are the thicker the line.
"use strict";

const BINDINGS = { row: 24, left: 250, right: 450, width: 700 };

/** Undefined where there is nothing to draw. @param {Relocations} relocations @param {number[]} indexes */
function bindingsPicture(relocations, indexes) {
  const { row, left, right, width } = BINDINGS;
  const counts = bindingsOf(relocations, indexes);
  if (counts.length === 0) return undefined;
  /** Objects from top to bottom, each with the middle of its row. @param {number[]} objects */
  const column = (objects) => {
    const sorted = [...new Set(objects)].sort((one, other) => one - other);
    return new Map(sorted.map((object, at) => [object, 22 + row * (at + 0.5)]));
  };
  const wanting = column(counts.map(({ object }) => object));
  const defining = column(counts.map(({ definer }) => definer));

  const lines = counts.map(({ object, definer, count }) => {
    const [from, to] = [wanting.get(object) ?? 0, defining.get(definer) ?? 0];
    const middle = (left + right) / 2;
    const d = `M${left} ${from}C${middle} ${from} ${middle} ${to} ${right} ${to}`;
    const told = `${relocations.nameOf(object)} binds ${count} to ${relocations.nameOf(definer)}`;
    const thickness = 1.2 + 0.7 * Math.log2(count);
    return drawn("path", { d, class: "binding", "stroke-width": thickness }, drawn("title", {}, told));
  });
  const nameAt = (/** @type {number} */ object, /** @type {Attributes} */ attributes) => {
    const name = [...relocations.nameOf(object)];
    const shown = name.length > 30 ? `${name.slice(0, 29).join("")}…` : name.join("");
    return drawn("text", attributes, `${object} ${shown}`);
  };
  const label = `Who binds to whom: ${wanting.size} objects want what ${defining.size} define. The table per object says the same.`;
  return pictured(
    { "aria-label": label },
    [0, 0, width, Math.max(wanting.size, defining.size) * row + 26],
    drawn("text", { x: left - 8, y: 14, "text-anchor": "end", class: "small" }, "who wants"),
    drawn("text", { x: right + 8, y: 14, class: "small" }, "who defines"),
    ...lines,
    ...[...wanting].map(([object, y]) => {
      const name = nameAt(object, { x: left - 8, y: y + 4, "text-anchor": "end" });
      return drawn("a", { href: `#relocations?object=${object}` }, name);
    }),
    ...[...defining].map(([object, y]) => nameAt(object, { x: right + 8, y: y + 4 })),
  );
}

/** Of each object, how many of its relocations each definer gives. @param {Relocations} relocations @param {number[]} indexes */
function bindingsOf(relocations, indexes) {
  const bound = indexes.flatMap((index) => {
    const { object = 0, definer } = relocations.all[index] ?? {};
    return definer === undefined ? [] : { object, definer };
  });
  const groups = Map.groupBy(bound, ({ object, definer }) => `${object} ${definer}`);
  return [...groups.values()].flatMap(([first, ...others]) =>
    first === undefined ? [] : { ...first, count: others.length + 1 },
  );
}
