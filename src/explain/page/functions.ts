// Steps 4, 5 and 6: functions that are called, in order.

import type { ExplainedFunction, Explanation } from "../explanation.ts";
import { html, type Markup } from "./markup.ts";

/** `count` is the number of all functions. */
export function functionsTable(
  id: string,
  functions: readonly ExplainedFunction[],
  count: number,
  { objects }: Explanation,
): Markup {
  if (functions.length === 0) return html`<p>There are none.</p>`;
  const rows = functions.map(
    (
      { object, from, address, symbol },
      at,
    ) => html`<tr id="${id}/${at}" data-object="${object}" data-address="${address}">
      <td class="number">${at + 1}</td><td><b class="index">${object}</b> ${objects[object]?.name}</td>
      <td><code>${from}</code></td><td class="number"><code>${address}</code></td>
      <td>${symbol === undefined ? html`<span class="quiet">no symbol</span>` : html`<code>${symbol}</code>`}</td></tr>`,
  );
  return html`<div class="spot scroll"></div>
    <div class="scroll" tabindex="0" role="region" aria-label="Functions"><table class="list"><thead><tr>
      <th scope="col">#</th><th scope="col">object</th><th scope="col">from</th><th scope="col">address</th>
      <th scope="col">function</th></tr></thead>
    <tbody>${rows}</tbody></table>${
      count > functions.length ? html`<p>and ${count - functions.length} more</p>` : ""
    }</div>`;
}

export function entryPart({ entry, objects, initializerCount }: Explanation): Markup {
  const { object, from, address, symbol } = entry;
  return html`<p>All is mapped, bound and initialized${
    initializerCount === 0 ? "" : html` (${initializerCount} constructors have been called)`
  }. The linker jumps to the program’s first instruction, with the stack as in step 1 and in <code>rdx</code> what is to
    be called at the end.</p>
    <p class="jump"><code>jmp ${address}</code></p>
    <table class="sum"><tbody>
      <tr><th scope="row">of</th><td><b class="index">${object}</b> ${objects[object]?.name}</td></tr>
      <tr><th scope="row">from</th><td><code>${from}</code></td></tr>
      <tr><th scope="row">function</th><td>${
        symbol === undefined ? html`<span class="quiet">no symbol</span>` : html`<code>${symbol}</code>`
      }</td></tr>
    </tbody></table>
    <div class="spot scroll" data-object="${object}" data-address="${address}"></div>`;
}
