// HTML that is escaped by construction: a value put into a template is text, unless it is Markup already. Names come
// from untrusted files.

import { printable } from "../../diagnostics/output.ts";

export class Markup {
  constructor(readonly text: string) {}
}

type Value = Markup | readonly Markup[] | string | number | undefined;

/** Also for SVG. Undefined becomes nothing. */
export function html(parts: TemplateStringsArray, ...values: readonly Value[]): Markup {
  return new Markup(parts.reduce((text, part, at) => text + markupOf(values[at - 1]) + part));
}

/** An object by its number and name. */
export const numbered = (index: number, objects: readonly { readonly name: string }[]): Markup =>
  html`<b class="index">${index}</b> ${objects[index]?.name}`;

/** The first row of a table. */
export const headings = (...names: readonly string[]): Markup =>
  html`<thead><tr>${names.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>`;

/** What may be wider than the page. */
export const scrollable = (label: string, content: Markup): Markup =>
  html`<div class="scroll" tabindex="0" role="region" aria-label="${label}">${content}</div>`;

export const join = (parts: readonly Markup[], between: string): Markup =>
  new Markup(parts.map(({ text }) => text).join(escaped(between)));

function markupOf(value: Value): string {
  if (value === undefined) return "";
  if (value instanceof Markup) return value.text;
  if (typeof value === "object") return value.map(({ text }) => text).join("");
  return escaped(String(value));
}

const escaped = (text: string): string => Bun.escapeHTML(printable(text));

/** For a script element with data: nothing in it can close the element. */
export const jsonMarkup = (data: unknown): Markup => new Markup(JSON.stringify(data).replaceAll("<", "\\u003c"));
