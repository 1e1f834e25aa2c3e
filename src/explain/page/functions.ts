// Steps 4, 5 and 6: functions that are called, in order.

import type { ExplainedFunction, Explanation } from "../explanation.ts";
import { headings, html, type Markup, numbered, scrollable } from "./markup.ts";

/** `count` is the number of all functions. */
export function functionsTable(
  id: string,
  functions: readonly ExplainedFunction[],
  count: number,
  { objects }: Explanation,
): Markup {
  if (functions.length === 0) return html`<p>There are none.</p>`;
  const row = ({ object, from, address, symbol }: ExplainedFunction, at: number): Markup =>
    html`<tr id="${id}/${at}" data-object="${object}" data-address="${address}"><td class="number">${at + 1}</td>
      <td>${numbered(object, objects)}</td><td><code>${from}</code></td><td class="number"><code>${address}</code></td>
      <td>${symbolMarkup(symbol)}</td></tr>`;
  const table = html`<table class="list">${headings("#", "object", "from", "address", "function")}
    <tbody>${functions.map(row)}</tbody></table>`;
  const more = count > functions.length ? html`<p>and ${count - functions.length} more</p>` : "";
  return html`<div class="spot scroll"></div>${scrollable("Functions", html`${table}${more}`)}`;
}

export function entryPart({ entry, objects, initializerCount }: Explanation): Markup {
  const { object, from, address, symbol } = entry;
  const called = initializerCount === 0 ? "" : ` (${initializerCount} constructors have been called)`;
  return html`<p>All is mapped, bound and initialized${called}. The linker jumps to the program’s first instruction, with the stack as in step 1 and in <code>rdx</code> what is to
    be called at the end.</p>
    <p class="jump"><code>jmp ${address}</code></p>
    <table class="sum"><tbody>
      <tr><th scope="row">of</th><td>${numbered(object, objects)}</td></tr>
      <tr><th scope="row">from</th><td><code>${from}</code></td></tr>
      <tr><th scope="row">function</th><td>${symbolMarkup(symbol)}</td></tr>
    </tbody></table>
    <div class="spot scroll" data-object="${object}" data-address="${address}"></div>`;
}

const symbolMarkup = (symbol: string | undefined): Markup =>
  symbol === undefined ? html`<span class="quiet">no symbol</span>` : html`<code>${symbol}</code>`;
