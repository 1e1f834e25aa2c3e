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
    const other = target?.object ?? this.relocations.threadLocalOf(relocation) ?? relocation.definer;
    const parts = [];
    /** @type {Map<number, number>} */
    const tops = new Map();
    let y = 0;
    for (const row of this.rowsOf(relocation, other)) {
      if (typeof row === "string") {
        parts.push(drawn("text", { x: this.bar.left, y: y + 12, class: "small" }, row));
        y += FOLD_ROW;
        continue;
      }
      tops.set(row, y);
      parts.push(this.rowAt(row, y, this.noteOn(row, relocation)));
      y += this.row;
    }
    const words = this.wordsOn(relocation, target);
    if (words !== undefined) {
      parts.push(drawn("text", { x: this.left, y: y + 14 }, words));
      y += FOLD_ROW;
    }
    parts.push(...this.arrow(relocation, target, tops));
    return this.pictured(this.label(relocation), -14, y + 18, ...parts);
  }

  /** An object, and where in it something is. @param {number} object @param {string} address */
  spot(object, address) {
    const { top, height, left, width } = this.bar;
    const x = this.x(object, address);
    const place = Math.min(left + width - 40, Math.max(left + 40, x));
    return this.pictured(
      `${address} in ${this.relocations.nameOf(object)}`,
      -4,
      this.row + 28,
      this.rowAt(object, 0, ""),
      ringed(x, top, height + 6),
      drawn("text", { x: place, y: this.row + 12, "text-anchor": "middle", class: "small" }, address),
    );
  }

  /** As wide as the rows of the map. @param {string} label @param {number} top @param {number} height @param {...Element} parts */
  pictured(label, top, height, ...parts) {
    return pictured({ "aria-label": label }, [this.left - 4, top, this.width - this.left + 4, height], ...parts);
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
    const ends = target === undefined ? [object] : [object, target];
    const others = searched.map((asked) => asked.object).filter((asked) => !ends.includes(asked));
    const shown = others.slice(0, others.length > ASKED_ROWS ? ASKED_ROWS - 1 : ASKED_ROWS);
    /** @type {(number | string)[]} */
    const rows = [...new Set([...ends, ...shown])].sort((one, other) => one - other);
    const folded = others.length - shown.length;
    if (folded > 0) rows.splice(rows.indexOf(shown.at(-1) ?? 0) + 1, 0, `⋮ ${folded} more were asked, in vain`);
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
    if (!(row instanceof SVGElement)) return drawn("g", {});
    row.setAttribute("transform", `translate(0 ${y})`);
    const told = row.querySelector(".note");
    if (told !== null) told.textContent = note;
    return row;
  }

  /** @param {number} object @param {string} address */
  x(object, address) {
    const { start = "0", end = "0" } = this.relocations.objects[object] ?? {};
    const part = (Number(address) - Number(start)) / Math.max(1, Number(end) - Number(start));
    return this.bar.left + Math.min(1, Math.max(0, part)) * this.bar.width;
  }

  /**
   * @param {Relocation} relocation
   * @param {{ object: number, address: string } | undefined} target
   * @param {Map<number, number>} tops
   */
  arrow({ object, at, value, resolver }, target, tops) {
    const { top, height } = this.bar;
    const x = this.x(object, at);
    const slotTop = (tops.get(object) ?? 0) + top;
    const middle = slotTop + height / 2;
    const dot = drawn("circle", { cx: x, cy: middle, r: 5, class: "slot" }, drawn("title", {}, `slot at ${at}`));
    if (target === undefined) return [dot];
    const toX = this.x(target.object, target.address);
    const endTop = (tops.get(target.object) ?? 0) + top;
    const kind = value === undefined && resolver !== undefined ? "arrow call" : "arrow";
    const isDown = endTop > slotTop;
    const from = middle + (isDown ? 5 : -5);
    const to = isDown || target.object === object ? endTop - 1 : endTop + height + 1;
    const bend = target.object === object ? slotTop - 18 : (from + to) / 2;
    const d = `M${x} ${from}C${x} ${bend} ${toX} ${bend} ${toX} ${to}`;
    return [drawn("path", { d, class: kind }), ringed(toX, endTop, height), dot];
  }
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
