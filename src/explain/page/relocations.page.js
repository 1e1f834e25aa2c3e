// @ts-check
// The page's data (data.ts says what is in it), and what it says.
"use strict";

/**
 * @typedef {{ name: string, start: string, end: string, tls?: string }} PageObject
 * @typedef {import("../explanation.ts").ExplainedRelocation & { index: number }} Relocation
 */

const THREAD_LOCAL = new Set(["R_X86_64_DTPMOD64", "R_X86_64_DTPOFF64", "R_X86_64_TPOFF64", "R_X86_64_TLSDESC"]);

/** What a value is that is no address, by type. `name` is the object that it is about. */
const MEANINGS = new Map([
  ["R_X86_64_DTPMOD64", (/** @type {string} */ name) => `the number of ${name}’s module of thread-local data`],
  ["R_X86_64_DTPOFF64", (name) => `so far into a thread’s block of ${name}`],
  ["R_X86_64_TPOFF64", (name) => `so far from the thread pointer, in a thread’s block of ${name}`],
  ["R_X86_64_TLSDESC", (name) => `so far from the thread pointer, in a thread’s block of ${name}`],
  ["R_X86_64_SIZE32", () => "a size in bytes"],
  ["R_X86_64_SIZE64", () => "a size in bytes"],
  ["R_X86_64_PC32", () => "the distance from the slot"],
  ["R_X86_64_PC64", () => "the distance from the slot"],
]);

class Relocations {
  /** @param {{ objects: PageObject[], strings: string[], searches: [number, number][][], relocations: number[][] }} data */
  constructor({ objects, strings, searches, relocations }) {
    this.objects = objects;
    const asked = searches.map((search) => search.map(([object, answer]) => ({ object, answer: strings[answer] })));
    this.all = relocations.map(([object, definer = -1, length, search = -1, ...texts], index) => {
      const [table, type, at, vaddr, symbol, version, addend, value, resolver, from] = texts.map(
        (text) => strings[text],
      );
      return /** @type {Relocation} */ ({
        ...{ index, object, table, type, at, vaddr, symbol, version, addend, value, resolver },
        definer: definer < 0 ? undefined : definer,
        copied: from === undefined ? undefined : { from, length },
        searched: asked[search],
      });
    });
  }

  /** The indexes of those that fit. @param {Filters} filters */
  matching({ object, type, symbol }) {
    const part = symbol.toLowerCase();
    const found = this.all.filter(
      (one) =>
        (object === "" || one.object === Number(object)) &&
        (type === "" || one.type === type) &&
        (part === "" || one.symbol?.toLowerCase().includes(part)),
    );
    return found.map(({ index }) => index);
  }

  /** @param {number} index */
  nameOf(index) {
    return this.objects[index]?.name ?? "?";
  }

  /** An object's number and name. @param {number} index */
  named(index) {
    return element("span", {}, element("b", { class: "index" }, String(index)), ` ${this.nameOf(index)}`);
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
    return MEANINGS.get(type)?.(this.nameOf(this.threadLocalOf(relocation) ?? definer ?? -1));
  }

  /** Other slots that lead to what has been copied to `copy`. @param {Relocation} copy */
  leadingTo({ object, symbol, at }) {
    return this.all.filter((one) => one.object !== object && one.symbol === symbol && one.value === at);
  }
}

/** @param {string} type */
const shortType = (type) => type.replace(/^R_X86_64_/, "");

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
