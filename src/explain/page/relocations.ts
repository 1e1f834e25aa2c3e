// Step 3: for each object the number of relocations and the objects that they bind to, then the relocations one by one.
// The script makes the table and the pictures. Without it, the first few hundred are shown as a plain table.

import type { ExplainedObject, ExplainedRelocation, Explanation } from "../explanation.ts";
import { headings, html, join, type Markup, numbered, scrollable } from "./markup.ts";

const WITHOUT_SCRIPT = 500;

export function relocationsPart(explanation: Explanation): Markup {
  const { objects, relocations, warnings } = explanation;
  const items = warnings.map((warning) => html`<li>${warning}</li>`);
  return html`<p>A slot gets the address of the first definition that the link map has. Objects that are needed are done
    before those that need them. Relative relocations need no symbol: the load bias is added, and they are only counted.
    When all is relocated, the pages of RELRO become read-only.</p>
    ${warnings.length === 0 ? "" : html`<div class="warnings"><h3>Warnings</h3><ul>${items}</ul></div>`}
    <div id="browser" hidden>
      <h3 id="picked-title">One relocation</h3>
      <div class="columns picked" role="group" aria-labelledby="picked-title">
        <div id="picture" class="scroll" tabindex="0" role="region" aria-label="Picture of this relocation"></div>
        <div id="picked"></div>
      </div>
      <h3>All that have a symbol, or are done by a call</h3>
      <form id="filters" role="search" aria-label="Relocations">
        <label>Object <select name="object"></select></label>
        <label>Type <select name="type"></select></label>
        <label>Symbol <input type="search" name="symbol" autocomplete="off" spellcheck="false" placeholder="part of its name"></label>
        <output id="found" class="quiet" aria-live="polite"></output>
        <span class="pages"><button type="button" data-page="-1">← page</button> <button type="button" data-page="1">page →</button></span>
      </form>
      ${scrollable(
        "Relocations",
        html`<table class="list relocations">
          ${headings("#", "object", "vaddr", "address", "type", "symbol", "defined by", "value")}
          <tbody id="rows"></tbody></table>`,
      )}
      <svg width="0" height="0" aria-hidden="true"><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8"
        markerHeight="8" orient="auto" markerUnits="userSpaceOnUse"><path d="M0 0L8 4L0 8z" class="head"/></marker></svg>
    </div>
    <noscript>${plainTable(relocations, objects)}</noscript>
    <h3>Per object: who binds to whom</h3>
    ${overview(explanation)}`;
}

function counted<Key>(keys: Iterable<Key>): [Key, number][] {
  const groups = [...Map.groupBy(keys, (key) => key)];
  return groups.map(([key, { length }]): [Key, number] => [key, length]).sort(([, one], [, other]) => other - one);
}

const shortType = (type: string): string => type.replace(/^R_X86_64_/, "");

function overview({ objects, relocations }: Explanation): Markup {
  const byObject = Map.groupBy(relocations, ({ object }) => object);
  const rows = objects.map((object) => {
    const own = byObject.get(object.index) ?? [];
    const types = counted(own.map(({ type }) => type)).map(
      ([type, count]) =>
        html`<a href="#relocations?object=${object.index}&amp;type=${type}">${count} ${shortType(type)}</a>`,
    );
    const definers = counted(own.flatMap(({ definer }) => definer ?? [])).map(
      ([definer, count]) => html`${numbered(definer, objects)} (${count})`,
    );
    return html`<tr><td>${numbered(object.index, objects)}</td><td class="number">${object.relative}</td>
      <td>${join(types, ", ")}</td><td>${join(definers, ", ")}</td>
      <td>${object.relro === undefined ? "" : html`<code>${object.relro.start}–${object.relro.end}</code>`}</td></tr>`;
  });
  const names = headings("object", "relative", "with a symbol, or a call", "binds to", "then read-only (RELRO)");
  return scrollable(
    "Relocations per object",
    html`<table class="list overview">${names}<tbody>${rows}</tbody></table>`,
  );
}

function plainTable(relocations: readonly ExplainedRelocation[], objects: readonly ExplainedObject[]): Markup {
  const name = (index: number): Markup => numbered(index, objects);
  const what = ({ value, copied, resolver }: ExplainedRelocation): Markup => {
    if (copied !== undefined) return html`${copied.length} bytes from <code>${copied.from}</code>`;
    if (value !== undefined) return html`<code>${value}</code>`;
    return resolver === undefined ? html`` : html`what <code>${resolver}</code> returns`;
  };
  const row = (relocation: ExplainedRelocation): Markup => {
    const { object, vaddr, at, type, symbol, searched } = relocation;
    const answers = searched.map((asked) => html`${name(asked.object)}: ${asked.answer}`);
    return html`<tr><td>${name(object)}<br><code>${vaddr}</code>, at <code>${at}</code></td>
      <td><code>${type}</code><br>${what(relocation)}</td>
      <td>${symbol === undefined ? "" : html`<code>${symbol}</code><br>`}${join(answers, "; ")}</td></tr>`;
  };
  const rows = relocations.slice(0, WITHOUT_SCRIPT).map(row);
  const more = relocations.length - rows.length;
  return html`<table class="list">${headings("where", "what", "why")}<tbody>${rows}</tbody></table>
    ${more > 0 ? html`<p>${more} more are shown with JavaScript, or by <code>capsule link --explain</code> as text.</p>` : ""}`;
}
