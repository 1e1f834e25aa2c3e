// @ts-check
// A COPY relocation: the library's initial value goes to the program's copy, and whoever else wants the variable is led
// there by a slot of its own. Each object is a column of segments, not to scale.
"use strict";

const COLUMN = { width: 250, cell: 30, title: 34, space: 26 };
/** More that lead to the copy are told in a line. */
const LEADING = 4;

class CopyPicture {
  /** @param {Relocations} relocations */
  constructor(relocations) {
    this.relocations = relocations;
  }

  /** @param {Relocation} copy */
  of(copy) {
    const { copied, definer } = copy;
    if (copied === undefined || definer === undefined) return drawn("svg");
    const name = copy.symbol ?? "";
    const leading = this.relocations.leadingTo(copy);
    const shown = leading.slice(0, LEADING);
    const others = [...new Set([definer, ...shown.map(({ object }) => object)])];
    const right = 520;

    const program = this.column(copy.object, 10, 0, [{ address: copy.at, text: `${name}: the copy` }]);
    /** @type {{ object: number, group: Element, middles: Map<string, number>, bottom: number }[]} */
    const columns = [];
    let y = 0;
    for (const object of others) {
      const cells = shown
        .filter((slot) => slot.object === object)
        .map((slot) => ({ address: slot.at, text: `slot: → ${name}` }));
      if (object === definer) cells.push({ address: copied.from, text: `${name}: initial value` });
      const column = this.column(object, right, y, cells);
      columns.push({ object, ...column });
      y = column.bottom + COLUMN.space;
    }

    const svg = drawn(
      "svg",
      { class: "map copy", role: "img", "aria-label": this.label(copy, leading.length) },
      arrowHead(),
      program.group,
      ...columns.map(({ group }) => group),
    );
    const to = program.middles.get(copy.at) ?? 0;
    const edge = 10 + COLUMN.width;
    const middleOf = (/** @type {number} */ object, /** @type {string} */ address) =>
      columns.find((column) => column.object === object)?.middles.get(address) ?? 0;
    for (const slot of shown) {
      const from = middleOf(slot.object, slot.at);
      svg.append(...labelled(right, from, edge, to - 5, "arrow", slot.type));
    }
    const from = middleOf(definer, copied.from);
    svg.append(
      ...labelled(right, from, edge, to + 6, "arrow copies", copy.type, `${copied.length} bytes, the initial value`),
    );
    // From the program's own code, which was linked to the copy.
    const code = program.code;
    if (code !== undefined)
      svg.append(
        drawn("path", { d: `M10 ${code}C-30 ${code} -30 ${to} 9 ${to}`, class: "arrow", "marker-end": "url(#head)" }),
        drawn("text", { x: -24, y: (code + to) / 2, "text-anchor": "end", class: "small" }, "ref"),
      );
    let height = Math.max(program.bottom, y);
    if (leading.length > shown.length) {
      svg.append(
        drawn(
          "text",
          { x: right, y: height + 4, class: "small" },
          `and ${leading.length - shown.length} more slots that lead to the copy`,
        ),
      );
      height += 12;
    }
    svg.setAttribute("viewBox", `-52 -4 ${right + COLUMN.width + 62} ${height + 10}`);
    svg.setAttribute("width", String(right + COLUMN.width + 62));
    return svg;
  }

  /** @param {Relocation} copy @param {number} leading */
  label({ symbol, object, definer = -1, copied }, leading) {
    const { relocations } = this;
    return `COPY: ${copied?.length} bytes of ${symbol}, from ${relocations.nameOf(definer)} to ${relocations.nameOf(object)}; ${leading} slots of other objects lead to the copy`;
  }

  /**
   * An object: its segments from the top, each with those cells that are in it.
   * @param {number} object
   * @param {number} x
   * @param {number} y
   * @param {{ address: string, text: string }[]} cells
   */
  column(object, x, y, cells) {
    const group = drawn(
      "g",
      {},
      drawn("text", { x, y: y + 14, class: "name" }, `${object} ${this.relocations.nameOf(object)}`),
    );
    /** @type {Map<string, number>} */
    const middles = new Map();
    let code;
    let bottom = y + COLUMN.title - 10;
    for (const segment of document.querySelectorAll(`#map [data-object="${object}"] .segment`)) {
      if (!(segment instanceof SVGElement)) continue;
      const { start = "0", end = "0" } = segment.dataset;
      const within = cells
        .filter(({ address }) => Number(start) <= Number(address) && Number(address) < Number(end))
        .sort((one, other) => Number(one.address) - Number(other.address));
      const protection = [...segment.classList].find((name) => name.startsWith("prot-")) ?? "";
      const isZeroes = segment.classList.contains("zeroes");
      const height = COLUMN.cell * (within.length === 0 ? 0.7 : within.length + 0.6);
      if (protection === "prot-rx") code ??= bottom + height / 2;
      group.append(
        drawn("rect", {
          x,
          y: bottom,
          width: COLUMN.width,
          height,
          class: isZeroes ? `${protection} zeroes` : protection,
        }),
      );
      group.append(
        drawn(
          "text",
          { x: x + 8, y: bottom + 14, class: "inside" },
          `${segment.parentElement?.querySelector("text")?.textContent || protectionOf(protection)} ${start}`,
        ),
      );
      for (const [at, { address, text }] of within.entries()) {
        const top = bottom + COLUMN.cell * (at + 0.6);
        group.append(
          drawn("rect", { x: x + 6, y: top, width: COLUMN.width - 12, height: COLUMN.cell - 6, class: "cell" }),
          drawn("text", { x: x + 14, y: top + 16 }, text, drawn("title", {}, address)),
        );
        middles.set(address, top + COLUMN.cell / 2 - 3);
      }
      bottom += height;
    }
    return { group, middles, code, bottom };
  }
}

/** @param {string} protection a class of protection.ts */
function protectionOf(protection) {
  const letters = protection.replace("prot-", "");
  return ["r", "w", "x"].map((letter) => (letters.includes(letter) ? letter : "-")).join("");
}

/** @param {number} x @param {number} y @param {number} toX @param {number} toY @param {string} kind @param {...string} lines */
function labelled(x, y, toX, toY, kind, ...lines) {
  const middle = (x + toX) / 2;
  const path = drawn("path", {
    d: `M${x} ${y}C${middle} ${y} ${middle} ${toY} ${toX + 1} ${toY}`,
    class: kind,
    "marker-end": "url(#head)",
  });
  const height = (y + toY) / 2;
  const texts = lines.map((line, at) =>
    drawn("text", { x: middle, y: height + (at === 0 ? -9 : 18), "text-anchor": "middle", class: "small label" }, line),
  );
  return [path, ...texts];
}
