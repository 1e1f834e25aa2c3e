// Step 2: what is mapped, as a picture and as a list.

import { inUnits } from "../../diagnostics/units.ts";
import type { ExplainedObject } from "../explanation.ts";
import { memoryMap } from "./map.ts";
import { headings, html, join, type Markup, numbered } from "./markup.ts";
import { legend } from "./protection.ts";

/** With at most this many objects, all details are open. */
const FEW = 8;

export function objectsPart(objects: readonly ExplainedObject[]): Markup {
  return html`<p>DT_NEEDED names the libraries; each is looked for, and its PT_LOAD segments are mapped over one reserved
    region. The order in which they are found, breadth first, is the link map: in that order symbols are looked up.</p>
    <h3>Memory map</h3>
    <p class="quiet">On the left, all to one scale; beside it, each object to a scale of its own. Point at a segment for its
    file, offset, load bias, RELRO and TLS.</p>
    ${legend(objects)}
    <div class="mapped">${memoryMap(objects)}<aside id="object" aria-live="polite" aria-label="Object" hidden></aside></div>
    <h3>Link map</h3>
    <ol class="link-map" start="0">${objects.map((object) => linkMapEntry(object, objects))}</ol>
    <h3>Who needs whom</h3>
    <details${objects.length <= FEW ? html` open` : ""}><summary>As a tree; what has been shown above is not unfolded again</summary>
    ${needsTree(objects)}</details>`;
}

function linkMapEntry(object: ExplainedObject, all: readonly ExplainedObject[]): Markup {
  const { path, loadBias, relro, tls } = object;
  const links = (indexes: readonly number[]): Markup | undefined => {
    const each = indexes.map((index) => link(index, all));
    return each.length === 0 ? undefined : join(each, ", ");
  };
  const neededBy = all.filter(({ needs }) => needs.includes(object.index)).map(({ index }) => index);
  const facts = {
    file: html`<code>${path}</code>`,
    "load bias": html`<code>${loadBias}</code>`,
    needs: links(object.needs),
    "needed by": links(neededBy),
    RELRO: relro && html`<code>${relro.start}–${relro.end}</code>`,
    TLS: tls && html`module ${tls.module}: ${tls.size} bytes, ${tls.offset} below the thread pointer`,
  };
  const rows = Object.entries(facts).filter(([, value]) => value !== undefined);
  return html`<li value="${object.index}" id="objects/${object.index}"><details${all.length <= FEW ? html` open` : ""}>
    <summary><b>${object.name}</b> <span class="quiet">${object.why ?? "the program"}</span></summary>
    <dl>${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    <table><caption>Segments</caption>${headings("from", "to", "size", "protection", "offset")}<tbody>${object.segments.map(
      ({ start, end, protection, offset }) => html`<tr><td><code>${start}</code></td><td><code>${end}</code></td>
          <td>${inUnits(Number(end) - Number(start))}</td><td><code>${protection}</code></td>
          <td>${offset === undefined ? "none: zeroes" : html`<code>${offset}</code>`}</td></tr>`,
    )}</tbody></table></details></li>`;
}

function needsTree(objects: readonly ExplainedObject[]): Markup {
  const shown = new Set<number>();
  const below = (index: number): Markup => {
    const needs = objects[index]?.needs ?? [];
    if (needs.length === 0) return html``;
    if (shown.has(index)) return html` <span class="quiet">above</span>`;
    shown.add(index);
    return html`<ul>${needs.map(item)}</ul>`;
  };
  const item = (index: number): Markup => html`<li>${link(index, objects)}${below(index)}</li>`;
  // The program, and what is needed by nobody: it has been preloaded.
  const roots = objects.filter(({ index }) => index === 0 || !objects.some(({ needs }) => needs.includes(index)));
  return html`<ul class="tree">${roots.map(({ index }) => item(index))}</ul>`;
}

const link = (index: number, objects: readonly ExplainedObject[]): Markup =>
  html`<a href="#objects/${index}">${numbered(index, objects)}</a>`;
