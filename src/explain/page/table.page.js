// @ts-check
// The table of relocations, a page at a time: twenty thousand rows would take a browser seconds.
"use strict";

const ROWS = 100;

/** @param {Relocations} relocations @param {number[]} indexes of those that fit @param {Place} place */
function showTable(relocations, indexes, place) {
  const position = place.item === undefined ? -1 : indexes.indexOf(place.item);
  const pages = Math.max(1, Math.ceil(indexes.length / ROWS));
  const page = Math.min(pages - 1, place.page ?? (position < 0 ? 0 : Math.floor(position / ROWS)));
  const shown = indexes.slice(page * ROWS, (page + 1) * ROWS);

  const row = (/** @type {number} */ index) => {
    const relocation = relocations.all[index];
    if (relocation === undefined) return "";
    const { object, vaddr, at, type, definer } = relocation;
    const isPicked = index === place.item;
    const href = hashOf({ ...place, item: index, page: undefined });
    const link = element("a", { href, "aria-current": isPicked ? "true" : undefined }, String(index + 1));
    const code = (/** @type {string} */ text) => element("code", {}, text);
    return element(
      "tr",
      { class: isPicked ? "here" : undefined },
      element("td", { class: "number" }, link),
      element("td", {}, relocations.named(object)),
      element("td", { class: "number" }, code(vaddr)),
      element("td", { class: "number" }, code(at)),
      element("td", {}, code(shortType(type))),
      element("td", { class: "symbol" }, code(fullSymbol(relocation))),
      element("td", {}, definer === undefined ? "" : relocations.named(definer)),
      element("td", { class: "number" }, code(writtenBy(relocation))),
    );
  };
  byId("rows").replaceChildren(...shown.map(row));

  const range = shown.length === 0 ? "none" : `${page * ROWS + 1}–${page * ROWS + shown.length}`;
  byId("found").textContent =
    pages === 1 ? `${indexes.length} of ${relocations.all.length}` : `${range} of ${indexes.length}`;
  for (const button of byId("filters").querySelectorAll("button")) {
    const to = page + Number(button.dataset.page);
    button.disabled = to < 0 || to >= pages;
    button.value = String(to);
  }
}
