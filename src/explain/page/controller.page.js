// @ts-check
// Shows the place that the hash names, and goes from one to the next. Browsers refuse to be told of a new place too often
// (Chromium 156: 200 times in ten seconds), so that while a key is held down only the last one is written there.
"use strict";

class Controller {
  constructor() {
    this.relocations = new Relocations(JSON.parse(byId("explanation").textContent ?? ""));
    this.picture = new Picture(this.relocations);
    this.filters = /** @type {HTMLFormElement} */ (byId("filters"));
    this.sections = [...document.querySelectorAll("section")];
    this.steps = this.sections.map(({ id }) => id);
    /** How much there is to step through, in each step. */
    this.counts = new Map(this.sections.map(({ id, dataset }) => [id, Number(dataset.items)]));
    /** @type {Place} */
    this.place = placeOf("");
    /** By their places. @type {Map<string, HTMLElement>} */
    this.items = new Map();
    /** @type {{ of: string, indexes: number[] }} */
    this.found = { of: "", indexes: [] };
  }

  start() {
    document.documentElement.classList.add("stepped");
    this.takePlaces();
    this.fillFilters();
    byId("stepper").hidden = false;
    byId("browser").hidden = false;
    addEventListener("hashchange", () => this.show(placeOf(location.hash)));
    addEventListener("keydown", (event) => this.key(event));
    addEventListener("keyup", () => this.keep());
    byId("stepper").addEventListener("click", ({ target }) => {
      if (target instanceof HTMLButtonElement) this.go(target.dataset.by === "step", Number(target.dataset.to));
    });
    byId("rows").addEventListener("click", ({ target }) => {
      const link = target instanceof Element ? target.closest("tr")?.querySelector("a") : undefined;
      if (target instanceof Element && target.closest("a") === null && getSelection()?.isCollapsed) link?.click();
    });
    this.filters.addEventListener("input", () => {
      this.to({ ...this.place, filters: filtersOf(new FormData(this.filters)), page: undefined });
    });
    this.filters.addEventListener("submit", (event) => event.preventDefault());
    this.filters.addEventListener("click", ({ target }) => {
      if (target instanceof HTMLButtonElement && target.dataset.page !== undefined)
        this.to({ ...this.place, page: Number(target.value) });
    });
    this.show(placeOf(location.hash));
  }

  /** From here on show() scrolls to what the hash names, and the browser, which does not know what stays above, must not. */
  takePlaces() {
    for (const item of document.querySelectorAll('[id*="/"]')) {
      if (item instanceof HTMLElement) this.items.set(item.id, item);
      item.removeAttribute("id");
    }
  }

  /** What there is of a place. @param {Place} place @returns {Place} */
  existing(place) {
    const step = this.steps.includes(place.step) ? place.step : (this.steps[0] ?? "");
    const isThere = place.item !== undefined && place.item < (this.counts.get(step) ?? 0);
    return { ...place, step, item: isThere ? place.item : undefined };
  }

  /** The items that stepping goes through. @param {Place} place */
  ways({ step, filters }) {
    return step === "relocations" ? this.matching(filters) : [...Array(this.counts.get(step) ?? 0).keys()];
  }

  /** Kept until the filters change. @param {Filters} filters */
  matching(filters) {
    const of = JSON.stringify(filters);
    if (this.found.of !== of) this.found = { of, indexes: this.relocations.matching(filters) };
    return this.found.indexes;
  }

  /** @param {Place} wanted */
  show(wanted) {
    const place = this.existing(wanted);
    this.place = place;
    for (const section of this.sections) section.hidden = section.id !== place.step;
    for (const link of document.querySelectorAll("nav a")) {
      if (link.getAttribute("href") === `#${place.step}`) link.setAttribute("aria-current", "step");
      else link.removeAttribute("aria-current");
    }
    if (place.step === "relocations") this.showRelocations(place);
    else this.showItem(place);
    this.showWhere(place);
  }

  /** @param {Place} place */
  showItem({ step, item }) {
    for (const shown of document.querySelectorAll("main .here")) shown.classList.remove("here");
    const shown = this.items.get(`${step}/${item}`);
    shown?.classList.add("here");
    if (step === "objects") this.showObject(item, shown);
    else {
      const spot = document.querySelector(`#${step} .spot`);
      const { object, address } = (shown ?? (spot instanceof HTMLElement ? spot : document.body)).dataset;
      spot?.replaceChildren();
      if (object !== undefined && address !== undefined) spot?.append(this.picture.spot(Number(object), address));
      shown?.scrollIntoView({ block: "nearest" });
    }
    if (shown === undefined) scrollTo(0, 0);
  }

  /** Beside the map, if there is room; else in the list. @param {number | undefined} index @param {HTMLElement | undefined} entry */
  showObject(index, entry) {
    const panel = byId("object");
    panel.hidden = entry === undefined;
    if (entry === undefined) return;
    const row = document.querySelector(`#map .object[data-object="${index}"]`);
    row?.classList.add("here");
    const { name = "" } = this.relocations.objects[index ?? -1] ?? {};
    const copies = [...entry.querySelectorAll("summary .quiet, dl, table")].map((part) => part.cloneNode(true));
    panel.replaceChildren(element("h4", {}, `${index} ${name}`), ...copies);
    if (panel.checkVisibility()) return row?.scrollIntoView({ block: "nearest" });
    entry.querySelector("details")?.setAttribute("open", "");
    entry.scrollIntoView({ block: "nearest" });
  }

  /** @param {Place} place */
  showRelocations(place) {
    for (const [name, value] of Object.entries(place.filters)) {
      const field = this.field(name);
      if (field !== document.activeElement) field.value = value;
    }
    const isInTable = byId("rows").contains(document.activeElement);
    showTable(this.relocations, this.matching(place.filters), place);
    const link = document.querySelector("#rows [aria-current]");
    if (isInTable && link instanceof HTMLElement) link.focus();
    const { title, words, picture } = this.pickedIn(place);
    byId("picked-title").textContent = title;
    byId("picked").replaceChildren(words);
    byId("relocations").classList.toggle("picking", place.item !== undefined);
    byId("picture").replaceChildren(picture ?? "");
    byId("picture").hidden = picture === undefined;
    const hit = document.querySelector(".asked .hit");
    // Who has it is often the last of many.
    if (hit instanceof HTMLElement && hit.parentElement !== null) hit.parentElement.scrollTop = hit.offsetTop - 100;
  }

  /** What is said of one relocation, or of all that fit. @param {Place} place */
  pickedIn({ item = -1, filters }) {
    const { relocations } = this;
    const one = relocations.all[item];
    if (one === undefined) {
      const picture = bindingsPicture(relocations, this.matching(filters));
      return { title: "Who binds to whom", words: nothingPicked(relocations), picture };
    }
    const title = `Relocation ${one.index + 1}: ${one.type} ${fullSymbol(one)}`;
    const picture = one.copied === undefined ? this.picture.of(one) : copyPicture(relocations, one);
    return { title, words: told(relocations, one), picture };
  }

  /** @param {Place} place */
  showWhere(place) {
    const ways = this.ways(place);
    const at = place.item === undefined ? -1 : ways.indexOf(place.item);
    const step = this.steps.indexOf(place.step);
    let item = "";
    if (at >= 0) item = `, ${at + 1} of ${ways.length}`;
    else if (place.item === undefined && ways.length > 0) item = `, ${ways.length} to step through`;
    byId("where").textContent = `step ${step + 1} of ${this.steps.length}${item}`;
    for (const button of byId("stepper").querySelectorAll("button"))
      button.disabled = this.next(place, button.dataset.by === "step", Number(button.dataset.to)) === undefined;
  }

  /** @param {Place} place @param {boolean} isStep @param {number} to 1 or -1 @returns {Place | undefined} */
  next(place, isStep, to) {
    if (!isStep) {
      const ways = this.ways(place);
      const at = place.item === undefined ? -1 : ways.indexOf(place.item);
      const isOutside = place.item !== undefined && at < 0;
      const beside = isOutside ? nearest(ways, place.item ?? 0, to) : at + to;
      if (beside >= 0 && beside < ways.length) return { ...place, item: ways[beside], page: undefined };
      if (beside === -1 && place.item !== undefined) return { ...place, item: undefined, page: undefined };
    }
    const step = this.steps[this.steps.indexOf(place.step) + to];
    if (step === undefined) return undefined;
    const other = { ...placeOf(""), step };
    const last = to < 0 && !isStep ? this.ways(other).at(-1) : undefined;
    return { ...other, item: last };
  }

  /** @param {boolean} isStep @param {number} to */
  go(isStep, to, isHeld = false) {
    const next = this.next(this.place, isStep, to);
    if (next !== undefined) this.to(next, isHeld);
  }

  /** A step is a new entry in the browser's history; what is in it replaces the last one. @param {Place} place */
  to(place, isHeld = false) {
    const isNew = place.step !== this.place.step;
    this.show(place);
    if (isNew) history.pushState(null, "", hashOf(this.place));
    else if (!isHeld) this.keep();
  }

  keep() {
    const hash = hashOf(this.place);
    if (placeOf(location.hash).step === this.place.step && hash !== location.hash) history.replaceState(null, "", hash);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target instanceof Element && hasOwnArrows(event.target)) return;
    if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
    event.preventDefault();
    this.go(event.shiftKey, event.key === "ArrowRight" ? 1 : -1, event.repeat);
  }

  fillFilters() {
    const { all } = this.relocations;
    const fill = (/** @type {string} */ name, /** @type {[string, string][]} */ options) => {
      const choices = [["", "all"], ...options].map(([value, text]) => element("option", { value }, text ?? ""));
      this.field(name).replaceChildren(...choices);
    };
    const objects = [...new Set(all.map(({ object }) => object))].sort((one, other) => one - other);
    fill(
      "object",
      objects.map((index) => [String(index), `${index} ${this.relocations.nameOf(index)}`]),
    );
    const types = [...new Set(all.map(({ type }) => type))];
    fill(
      "type",
      types.map((type) => [type, shortType(type)]),
    );
  }

  /** Of the filters. @param {string} name */
  field(name) {
    return /** @type {HTMLInputElement | HTMLSelectElement} */ (this.filters.elements.namedItem(name));
  }
}

/** Where stepping goes from something that is not in the list. @param {number[]} sorted @param {number} item @param {number} to */
function nearest(sorted, item, to) {
  return to > 0 ? sorted.findIndex((other) => other > item) : sorted.findLastIndex((other) => other < item);
}

/** Fields, and what can be scrolled sideways. @param {Element} target */
function hasOwnArrows(target) {
  const region = target.closest("[role=region]");
  return target.closest("input, select") !== null || (region !== null && region.scrollWidth > region.clientWidth);
}

new Controller().start();
