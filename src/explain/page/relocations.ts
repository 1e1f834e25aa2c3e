// Step 3: for each object the number of relocations and the objects that they bind to, then the relocations one by one.
// The script makes the table and the pictures. Without it, the first few hundred are shown as a plain table.

import type { ExplainedObject, ExplainedRelocation, Explanation } from "../explanation.ts";
import { html, join, type Markup } from "./markup.ts";

const WITHOUT_SCRIPT = 500;

export function relocationsPart(explanation: Explanation): Markup {
  const { objects, relocations, warnings } = explanation;
  return html`<p>A slot gets the address of the first definition that the link map has. Objects that are needed are done
    before those that need them. Relative relocations need no symbol: the load bias is added, and they are only counted.
    When all is relocated, the pages of RELRO become read-only.</p>
    ${
      warnings.length === 0
        ? ""
        : html`<div class="warnings"><h3>Warnings</h3><ul>${warnings.map((warning) => html`<li>${warning}</li>`)}</ul></div>`
    }
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
        <output id="found" aria-live="polite"></output>
        <span class="pages"><button type="button" data-page="-1">← page</button> <button type="button" data-page="1">page →</button></span>
      </form>
      <div class="scroll" tabindex="0" role="region" aria-label="Relocations"><table class="list relocations"><thead><tr>
        <th scope="col">#</th><th scope="col">object</th><th scope="col">vaddr</th><th scope="col">address</th>
        <th scope="col">type</th><th scope="col">symbol</th><th scope="col">defined by</th><th scope="col">value</th></tr></thead>
        <tbody id="rows"></tbody></table></div>
    </div>
    <noscript>${plainTable(relocations, objects)}</noscript>
    <h3>Per object: who binds to whom</h3>
    ${overview(explanation)}`;
}

function counted<Key>(keys: Iterable<Key>): [Key, number][] {
  const counts = new Map<Key, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return [...counts].toSorted(([, one], [, other]) => other - one);
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
      ([definer, count]) => html`<b class="index">${definer}</b> ${objects[definer]?.name} (${count})`,
    );
    return html`<tr><td><b class="index">${object.index}</b> ${object.name}</td><td class="number">${object.relative}</td>
      <td>${join(types, ", ")}</td><td>${join(definers, ", ")}</td>
      <td>${object.relro === undefined ? "" : html`<code>${object.relro.start}–${object.relro.end}</code>`}</td></tr>`;
  });
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Relocations per object"><table class="list overview"><thead><tr><th scope="col">object</th>
    <th scope="col">relative</th><th scope="col">with a symbol, or a call</th><th scope="col">binds to</th>
    <th scope="col">then read-only (RELRO)</th></tr></thead>
    <tbody>${rows}</tbody></table></div>`;
}

function plainTable(relocations: readonly ExplainedRelocation[], objects: readonly ExplainedObject[]): Markup {
  const name = (index: number): Markup => html`<b class="index">${index}</b> ${objects[index]?.name}`;
  const what = ({ value, copied, resolver }: ExplainedRelocation): Markup => {
    if (copied !== undefined) return html`${copied.length} bytes from <code>${copied.from}</code>`;
    if (value !== undefined) return html`<code>${value}</code>`;
    return resolver === undefined ? html`` : html`what <code>${resolver}</code> returns`;
  };
  const rows = relocations.slice(0, WITHOUT_SCRIPT).map(
    (
      relocation,
    ) => html`<tr><td>${name(relocation.object)}<br><code>${relocation.vaddr}</code>, at <code>${relocation.at}</code></td>
      <td><code>${relocation.type}</code><br>${what(relocation)}</td>
      <td>${relocation.symbol === undefined ? "" : html`<code>${relocation.symbol}</code><br>`}${join(
        relocation.searched.map(({ object, answer }) => html`${name(object)}: ${answer}`),
        "; ",
      )}</td></tr>`,
  );
  const more = relocations.length - rows.length;
  return html`<table class="list"><thead><tr><th scope="col">where</th><th scope="col">what</th><th scope="col">why</th></tr></thead>
    <tbody>${rows}</tbody></table>
    ${more > 0 ? html`<p>${more} more are shown with JavaScript, or by <code>capsule link --explain</code> as text.</p>` : ""}`;
}
