// @ts-check
// A COPY relocation: the library's initial value goes to the program's copy, and whoever else wants the variable is led
// there by a slot of its own. Each object is a column of segments, not to scale.
"use strict";

const COLUMN = { left: 10, right: 520, width: 250, cell: 30, title: 34, space: 26 };
/** More that lead to the copy are told in a line. */
const LEADING = 4;

/** @param {Relocations} relocations @param {Relocation} copy */
function copyPicture(relocations, copy) {
  const { copied, definer, symbol: name = "" } = copy;
  if (copied === undefined || definer === undefined) return drawn("svg", {});
  const leading = relocations.leadingTo(copy);
  const shown = leading.slice(0, LEADING);
  const { left, right, width, space } = COLUMN;

  const program = columnOf(relocations, copy.object, [left, 0], [{ address: copy.at, text: `${name}: the copy` }]);
  const parts = [program.group];
  const middles = new Map(program.middles);
  let y = 0;
  for (const object of new Set([definer, ...shown.map((slot) => slot.object)])) {
    const slots = shown.filter((slot) => slot.object === object);
    const cells = slots.map((slot) => ({ address: slot.at, text: `slot: → ${name}` }));
    if (object === definer) cells.push({ address: copied.from, text: `${name}: initial value` });
    const column = columnOf(relocations, object, [right, y], cells);
    parts.push(column.group);
    for (const [address, middle] of column.middles) middles.set(address, middle);
    y = column.bottom + space;
  }

  const to = middles.get(copy.at) ?? 0;
  for (const { at, type } of shown) parts.push(...labelled(middles.get(at) ?? 0, to - 5, "arrow", type));
  const from = middles.get(copied.from) ?? 0;
  const words = `${copied.length} bytes, the initial value`;
  parts.push(...labelled(from, to + 6, "arrow copies", copy.type, words));
  // From the program's own code, which was linked to the copy.
  const { code } = program;
  if (code !== undefined)
    parts.push(
      drawn("path", { d: `M10 ${code}C-30 ${code} -30 ${to} 9 ${to}`, class: "arrow" }),
      drawn("text", { x: -24, y: (code + to) / 2, "text-anchor": "end", class: "small" }, "ref"),
    );
  let height = Math.max(program.bottom, y);
  const more = leading.length - shown.length;
  if (more > 0) {
    const text = `and ${more} more slots that lead to the copy`;
    parts.push(drawn("text", { x: right, y: height + 4, class: "small" }, text));
    height += 12;
  }
  const label = `COPY: ${copied.length} bytes of ${copy.symbol}, from ${relocations.nameOf(definer)} to ${relocations.nameOf(copy.object)}; ${leading.length} slots of other objects lead to the copy`;
  return pictured({ role: "img", "aria-label": label }, [-52, -4, right + width + 62, height + 10], ...parts);
}

/**
 * An object: its segments from the top, each with those cells that are in it.
 * @param {Relocations} relocations
 * @param {number} object
 * @param {[x: number, y: number]} corner
 * @param {{ address: string, text: string }[]} cells
 */
function columnOf(relocations, object, [x, y], cells) {
  const { width, cell, title } = COLUMN;
  const name = `${object} ${relocations.nameOf(object)}`;
  const group = drawn("g", {}, drawn("text", { x, y: y + 14, class: "name" }, name));
  /** The middles of cells, by their addresses. @type {Map<string, number>} */
  const middles = new Map();
  let code;
  let bottom = y + title - 10;
  for (const segment of document.querySelectorAll(`#map [data-object="${object}"] .segment`)) {
    if (!(segment instanceof SVGElement)) continue;
    const { start = "0", end = "0", protection } = segment.dataset;
    const within = cells
      .filter(({ address }) => Number(start) <= Number(address) && Number(address) < Number(end))
      .sort((one, other) => Number(one.address) - Number(other.address));
    const kind = [...segment.classList].filter((name) => name !== "segment").join(" ");
    const height = cell * (within.length === 0 ? 0.7 : within.length + 0.6);
    if (segment.classList.contains("prot-rx")) code ??= bottom + height / 2;
    group.append(
      drawn("rect", { x, y: bottom, width, height, class: kind }),
      drawn("text", { x: x + 8, y: bottom + 14, class: "inside" }, `${protection} ${start}`),
    );
    for (const [at, { address, text }] of within.entries()) {
      const top = bottom + cell * (at + 0.6);
      group.append(
        drawn("rect", { x: x + 6, y: top, width: width - 12, height: cell - 6, class: "cell" }),
        drawn("text", { x: x + 14, y: top + 16 }, text, drawn("title", {}, address)),
      );
      middles.set(address, top + cell / 2 - 3);
    }
    bottom += height;
  }
  return { group, middles, code, bottom };
}
/** From the right column to the left one. @param {number} y @param {number} toY @param {string} kind @param {...string} lines */
function labelled(y, toY, kind, ...lines) {
  const { left, right: x, width } = COLUMN;
  const toX = left + width;
  const middle = (x + toX) / 2;
  const path = drawn("path", { d: `M${x} ${y}C${middle} ${y} ${middle} ${toY} ${toX + 1} ${toY}`, class: kind });
  const height = (y + toY) / 2;
  const texts = lines.map((line, at) =>
    drawn("text", { x: middle, y: height + (at === 0 ? -9 : 18), "text-anchor": "middle", class: "small label" }, line),
  );
  return [path, ...texts];
}
