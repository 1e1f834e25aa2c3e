// @ts-check
// The page's data (data.ts says what is in it), and what it says.
"use strict";

/**
 * @typedef {{ name: string, start: string, end: string, tls?: string }} PageObject
 * @typedef {object} Relocation
 * @property {number} index
 * @property {number} object
 * @property {string} table
 * @property {string} type
 * @property {string} at
 * @property {string} vaddr
 * @property {string | undefined} symbol
 * @property {string | undefined} version
 * @property {string} addend
 * @property {number | undefined} definer
 * @property {string | undefined} value
 * @property {{ from: string, length: number } | undefined} copied
 * @property {string | undefined} resolver
 * @property {{ object: number, answer: string }[]} searched
 */

const THREAD_LOCAL = new Set(["R_X86_64_DTPMOD64", "R_X86_64_DTPOFF64", "R_X86_64_TPOFF64", "R_X86_64_TLSDESC"]);

class Relocations {
  /** @param {{ objects: PageObject[], strings: string[], searches: number[][], relocations: number[][] }} data */
  constructor(data) {
    this.data = data;
    this.objects = data.objects;
  }

  get length() {
    return this.data.relocations.length;
  }

  /** @param {number} index @returns {Relocation | undefined} */
  at(index) {
    const row = this.data.relocations[index];
    if (row === undefined) return undefined;
    const number = (/** @type {number} */ column) => row[column] ?? -1;
    const text = (/** @type {number} */ column) => this.data.strings[number(column)];
    const known = (/** @type {number} */ value) => (value < 0 ? undefined : value);
    const from = text(10);
    const search = this.data.searches[number(13)] ?? [];
    return {
      index,
      object: number(0),
      table: text(1) ?? "",
      type: text(2) ?? "",
      at: text(3) ?? "",
      vaddr: text(4) ?? "",
      symbol: text(5),
      version: text(6),
      addend: text(7) ?? "",
      definer: known(number(8)),
      value: text(9),
      copied: from === undefined ? undefined : { from, length: number(11) },
      resolver: text(12),
      searched: Array.from({ length: search.length / 2 }, (_, at) => ({
        object: search[2 * at] ?? -1,
        answer: this.data.strings[search[2 * at + 1] ?? -1] ?? "",
      })),
    };
  }

  *[Symbol.iterator]() {
    for (let index = 0; index < this.length; index++) {
      const relocation = this.at(index);
      if (relocation !== undefined) yield relocation;
    }
  }

  /** The indexes of those that fit. @param {{ object: string, type: string, symbol: string }} filters */
  matching({ object, type, symbol }) {
    const { strings, relocations } = this.data;
    const part = symbol.toLowerCase();
    const fits = new Set(strings.keys().filter((at) => (strings[at] ?? "").toLowerCase().includes(part)));
    const wanted = strings.indexOf(type);
    return Array.from(relocations.keys()).filter((index) => {
      const row = relocations[index] ?? [];
      if (object !== "" && row[0] !== Number(object)) return false;
      if (type !== "" && row[2] !== wanted) return false;
      return part === "" || fits.has(row[5] ?? -1);
    });
  }

  /** @param {number} index */
  nameOf(index) {
    return this.objects[index]?.name ?? "?";
  }

  /** Who shows an address of its own. @param {string} address */
  holderOf(address) {
    const value = Number(address);
    return this.objects.findIndex(({ start, end }) => Number(start) <= value && value < Number(end));
  }

  /** Is it in an object, or its very end, which a symbol may name? @param {number} object @param {string} address */
  isIn(object, address) {
    const { start = "0", end = "0" } = this.objects[object] ?? {};
    return Number(start) <= Number(address) && Number(address) <= Number(end);
  }

  /** Whose thread-local data it is about; one without a symbol means its own. @param {Relocation} relocation */
  threadLocalOf({ object, type, symbol, definer }) {
    if (!THREAD_LOCAL.has(type)) return undefined;
    return symbol === undefined ? object : definer;
  }

  /** What a value is that is no address; undefined where it is one. @param {Relocation} relocation */
  meaningOf(relocation) {
    const { type, value, definer } = relocation;
    if (value === undefined) return undefined;
    const name = this.nameOf(this.threadLocalOf(relocation) ?? definer ?? -1);
    switch (type) {
      case "R_X86_64_DTPMOD64":
        return `the number of ${name}’s module of thread-local data`;
      case "R_X86_64_DTPOFF64":
        return `so far into a thread’s block of ${name}`;
      case "R_X86_64_TPOFF64":
      case "R_X86_64_TLSDESC":
        return `so far from the thread pointer, in a thread’s block of ${name}`;
      case "R_X86_64_SIZE32":
      case "R_X86_64_SIZE64":
        return "a size in bytes";
      case "R_X86_64_PC32":
      case "R_X86_64_PC64":
        return "the distance from the slot";
      default:
        return undefined;
    }
  }

  /** Other slots that lead to what has been copied to `copy`. @param {Relocation} copy */
  leadingTo(copy) {
    const found = [];
    for (const other of this)
      if (other.object !== copy.object && other.symbol === copy.symbol && other.value === copy.at) found.push(other);
    return found;
  }
}

/** "name@VERSION" @param {Relocation} relocation */
function fullSymbol({ symbol, version }) {
  if (symbol === undefined) return "";
  return version === undefined ? symbol : `${symbol}@${version}`;
}

/** @param {Relocation} relocation */
function writtenBy({ value, copied, resolver }) {
  if (copied !== undefined) return `${copied.length} bytes from ${copied.from}`;
  if (value !== undefined) return value;
  return resolver === undefined ? "" : `what ${resolver} returns`;
}
