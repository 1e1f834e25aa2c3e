// @ts-check
// Where the reader is: the URL's hash says all of it, so that a place can be kept, sent, and gone back to.
// #relocations/17?object=1&type=R_X86_64_COPY&symbol=foo&page=2
"use strict";

/**
 * @typedef {{ object: string, type: string, symbol: string }} Filters
 * @typedef {{ step: string, item: number | undefined, filters: Filters, page: number | undefined }} Place
 */

/** @param {string} hash @returns {Place} */
function placeOf(hash) {
  const [path = "", query = ""] = hash.replace(/^#/, "").split("?", 2);
  const [step = "", item] = path.split("/");
  const parameters = new URLSearchParams(query);
  const number = (/** @type {string | null | undefined} */ text) =>
    /^\d+$/.test(text ?? "") ? Number(text) : undefined;
  return { step, item: number(item), filters: filtersOf(parameters), page: number(parameters.get("page")) };
}

/** @param {URLSearchParams | FormData} fields @returns {Filters} */
function filtersOf(fields) {
  const get = (/** @type {string} */ name) => String(fields.get(name) ?? "");
  return { object: get("object"), type: get("type"), symbol: get("symbol") };
}

/** @param {Place} place */
function hashOf({ step, item, filters, page }) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(filters)) if (value !== "") parameters.set(name, value);
  if (page !== undefined) parameters.set("page", String(page));
  const query = parameters.size === 0 ? "" : `?${parameters}`;
  return `#${step}${item === undefined ? "" : `/${item}`}${query}`;
}
