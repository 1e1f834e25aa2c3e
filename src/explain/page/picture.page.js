// @ts-check
// Who binds to whom: the rows of the memory map that have a part in a relocation, and an arrow from the slot to what it
// gets. COPY has a picture of its own.
"use strict";

/** More of them that were asked are told in a line. */
const ASKED_ROWS = 5;
const FOLD_ROW = 24;

class Picture {
  /** @param {Relocations} relocations */
  constructor(relocations) {
    this.relocations = relocations;
    const map = byId("map");
    const number = (/** @type {string} */ name) => Number(map.dataset[name]);
    this.left = number("left");
    this.bar = { left: number("bar"), width: number("width"), top: number("top"), height: number("height") };
    this.row = number("row");
    this.width = Number(map.getAttribute("width"));
  }

  /** @param {Relocation} relocation */
  of(relocation) {
    const target = this.targetOf(relocation);
    const rows = this.rowsOf(
      relocation,
      target?.object ?? this.relocations.threadLocalOf(relocation) ?? relocation.definer,
    );
    const svg = drawn("svg", { class: "map", role: "group", "aria-label": this.label(relocation) }, arrowHead());
    /** @type {Map<number, number>} */
    const tops = new Map();
    let y = 0;
    for (const row of rows) {
      if (typeof row === "string") {
        svg.append(drawn("text", { x: this.bar.left, y: y + 12, class: "small" }, row));
        y += FOLD_ROW;
        continue;
      }
      tops.set(row, y);
      svg.append(this.rowAt(row, y, this.noteOn(row, relocation)));
      y += this.row;
    }
    svg.append(...this.arrow(relocation, target, tops, y));
    if (this.wordsOn(relocation, target) !== undefined) y += FOLD_ROW;
    svg.setAttribute("viewBox", `${this.left - 4} -14 ${this.width - this.left + 4} ${y + 18}`);
    svg.setAttribute("width", String(this.width - this.left + 4));
    return svg;
  }

  /** An object, and where in it something is. @param {number} object @param {string} address */
  spot(object, address) {
    const { top, height, left, width } = this.bar;
    const label = `${address} in ${this.relocations.nameOf(object)}`;
    const svg = drawn("svg", { class: "map", role: "group", "aria-label": label, width: this.width - this.left + 4 });
    svg.setAttribute("viewBox", `${this.left - 4} -4 ${this.width - this.left + 4} ${this.row + 28}`);
    const x = this.x(object, address);
    const place = Math.min(left + width - 40, Math.max(left + 40, x));
    const text = drawn("text", { x: place, y: this.row + 12, "text-anchor": "middle", class: "small" }, address);
    svg.append(this.rowAt(object, 0, ""), ringed(x, top, height + 6), text);
    return svg;
  }

  /** @param {Relocation} relocation */
  label(relocation) {
    const { object, definer, type } = relocation;
    const to = definer === undefined ? "" : `, which ${this.relocations.nameOf(definer)} defines`;
    return `${type} in ${this.relocations.nameOf(object)}: ${fullSymbol(relocation)}${to}`;
  }

  /**
   * What the slot will point at, if that is an address; of thread-local data, which has one in each thread, what it
   * begins as.
   * @param {Relocation} relocation @returns {{ object: number, address: string } | undefined}
   */
  targetOf(relocation) {
    const { definer, value, resolver } = relocation;
    const { relocations } = this;
    const threadLocal = relocations.threadLocalOf(relocation);
    const image = relocations.objects[threadLocal ?? -1]?.tls;
    if (threadLocal !== undefined && image !== undefined) return { object: threadLocal, address: image };
    const address = value ?? resolver;
    if (address === undefined || relocations.meaningOf(relocation) !== undefined) return undefined;
    if (definer !== undefined && relocations.isIn(definer, address)) return { object: definer, address };
    const holder = relocations.holderOf(address);
    return holder < 0 ? undefined : { object: holder, address };
  }

  /**
   * What is to be said of a value that is no place to which an arrow leads.
   * @param {Relocation} relocation
   * @param {unknown} target
   */
  wordsOn(relocation, target) {
    const { value } = relocation;
    const meaning = this.relocations.meaningOf(relocation);
    if (value === undefined || (meaning === undefined && target !== undefined)) return undefined;
    if (target !== undefined) return `${value} is no address: the arrow leads to what each thread’s block begins as`;
    return `${value}: ${meaning ?? "no address"}`;
  }

  /** In the order of the link map. @param {Relocation} relocation @param {number | undefined} target */
  rowsOf({ object, searched }, target) {
    const isEnd = (/** @type {number} */ index) => index === object || index === target;
    const others = searched.map((asked) => asked.object).filter((asked) => !isEnd(asked));
    const shown = new Set([
      object,
      ...(target === undefined ? [] : [target]),
      ...others.slice(0, others.length > ASKED_ROWS ? ASKED_ROWS - 1 : ASKED_ROWS),
    ]);
    const folded = others.filter((asked) => !shown.has(asked)).length;
    /** @type {(number | string)[]} */
    const rows = [...shown].sort((one, other) => one - other);
    const last = others.findLast((asked) => shown.has(asked));
    if (folded > 0)
      rows.splice(last === undefined ? rows.length : rows.indexOf(last) + 1, 0, `⋮ ${folded} more were asked, in vain`);
    return rows;
  }

  /** @param {number} index @param {Relocation} relocation */
  noteOn(index, { object, searched, definer }) {
    const order = searched.findIndex((asked) => asked.object === index);
    if (order >= 0) return `${index === definer ? "✔" : "·"} asked ${ordinal(order + 1)}`;
    return index === object && searched.length > 0 ? "not asked" : "";
  }

  /** A row of the memory map, elsewhere. @param {number} index @param {number} y @param {string} note */
  rowAt(index, y, note) {
    const row = document.querySelector(`#map [data-object="${index}"]`)?.cloneNode(true);
    if (!(row instanceof SVGElement)) return drawn("g");
    row.setAttribute("transform", `translate(0 ${y})`);
    const told = row.querySelector(".note");
    if (told !== null) told.textContent = note;
    return row;
  }

  /** @param {number} object @param {string | undefined} address */
  x(object, address) {
    const { start = "0", end = "0" } = this.relocations.objects[object] ?? {};
    const part =
      address === undefined ? 0 : (Number(address) - Number(start)) / Math.max(1, Number(end) - Number(start));
    return this.bar.left + Math.min(1, Math.max(0, part)) * this.bar.width;
  }

  /**
   * @param {Relocation} relocation
   * @param {{ object: number, address: string } | undefined} target
   * @param {Map<number, number>} tops
   * @param {number} bottom
   */
  arrow(relocation, target, tops, bottom) {
    const { object, at, value, resolver } = relocation;
    const slot = { x: this.x(object, at), y: tops.get(object) ?? 0 };
    const { top, height } = this.bar;
    const dot = drawn(
      "circle",
      { cx: slot.x, cy: slot.y + top + height / 2, r: 5, class: "slot" },
      drawn("title", {}, `slot at ${at}`),
    );
    const words = this.wordsOn(relocation, target);
    const text = words === undefined ? [] : [drawn("text", { x: this.left, y: bottom + 14 }, words)];
    if (target === undefined) return [...text, dot];
    const end = { x: this.x(target.object, target.address), y: tops.get(target.object) ?? 0 };
    const kind = value === undefined && resolver !== undefined ? "arrow call" : "arrow";
    const marks = [...text, ringed(end.x, end.y + top, height), dot];
    if (target.object === object) {
      const lift = slot.y + top;
      const path = `M${slot.x} ${lift + height / 2 - 5}C${slot.x} ${lift - 18} ${end.x} ${lift - 18} ${end.x} ${lift - 1}`;
      return [drawn("path", { d: path, class: kind, "marker-end": "url(#head)" }), ...marks];
    }
    const isDown = end.y > slot.y;
    const from = slot.y + top + height / 2 + (isDown ? 5 : -5);
    const to = isDown ? end.y + top - 1 : end.y + top + height + 1;
    return [curve(slot.x, from, end.x, to, kind), ...marks];
  }
}

function arrowHead() {
  const head = drawn(
    "marker",
    {
      id: "head",
      viewBox: "0 0 8 8",
      refX: 7,
      refY: 4,
      markerWidth: 8,
      markerHeight: 8,
      orient: "auto",
      markerUnits: "userSpaceOnUse",
    },
    drawn("path", { d: "M0 0L8 4L0 8z", class: "head" }),
  );
  return drawn("defs", {}, head);
}

/** @param {number} x @param {number} y @param {number} toX @param {number} toY @param {string} kind */
function curve(x, y, toX, toY, kind) {
  const middle = (y + toY) / 2;
  return drawn("path", {
    d: `M${x} ${y}C${x} ${middle} ${toX} ${middle} ${toX} ${toY}`,
    class: kind,
    "marker-end": "url(#head)",
  });
}

/** @param {number} x @param {number} y @param {number} height */
function ringed(x, y, height) {
  return drawn("path", { d: `M${x} ${y}v${height}`, class: "target" });
}

/** @param {number} number */
function ordinal(number) {
  const rest = number % 100;
  const ending = rest > 10 && rest < 14 ? "th" : (["th", "st", "nd", "rd"][number % 10] ?? "th");
  return `${number}${ending}`;
}
