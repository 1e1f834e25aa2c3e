// `capsule link --explain=html`: the six steps as one page to step through, without a network or other files. Without
// JavaScript, everything is shown except the relocations after the first few hundred.

import { createHash } from "node:crypto";
import { ADDRESSES, type Explanation } from "./explanation.ts";
import bindings from "./page/bindings.page.js" with { type: "text" };
import { contextPart } from "./page/context.ts";
import controller from "./page/controller.page.js" with { type: "text" };
import copyPicture from "./page/copy-picture.page.js" with { type: "text" };
import { pageData } from "./page/data.ts";
import elements from "./page/elements.page.js" with { type: "text" };
import { entryPart, functionsTable } from "./page/functions.ts";
import { html, jsonMarkup, Markup } from "./page/markup.ts";
import { objectsPart } from "./page/objects.ts";
import picked from "./page/picked.page.js" with { type: "text" };
import picture from "./page/picture.page.js" with { type: "text" };
import place from "./page/place.page.js" with { type: "text" };
import relocations from "./page/relocations.page.js" with { type: "text" };
import { relocationsPart } from "./page/relocations.ts";
import style from "./page/style.css" with { type: "text" };
import table from "./page/table.page.js" with { type: "text" };

/** Each script sees the declarations of those before it. */
const SCRIPTS = [elements, relocations, place, table, picture, copyPicture, bindings, picked, controller];

export function pageOf(explanation: Explanation): string {
  const { program, isOnlyShown } = explanation;
  const steps = stepsOf(explanation);
  const sections = steps.map(
    ({ id, title: name, items, content }, at) =>
      html`<section id="${id}" data-items="${items}" aria-labelledby="${id}-title">
<h2 id="${id}-title"><span class="quiet">${at + 1} / ${steps.length}</span> ${name}</h2>
${content}
</section>
`,
  );
  const title = `${program}: what a dynamic linker does with it`;
  return html`${new Markup("<!doctype html>")}
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${contentSecurityPolicy()}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="capsule link --explain=html">
<title>${title}</title>
<style>${new Markup(style)}</style>
</head>
<body>
<header>
<h1>What a dynamic linker does with <code>${program}</code></h1>
<nav aria-label="Steps"><ol>${steps.map(
    ({ id, title: name }, at) => html`<li><a href="#${id}"><span class="quiet">${at + 1}. </span>${name}</a></li>`,
  )}</ol></nav>
<div id="stepper" role="group" aria-label="Stepping" hidden>
<button type="button" data-by="step" data-to="-1" title="Shift+←">⏮ step</button>
<button type="button" data-by="place" data-to="-1" title="←">← back</button>
<button type="button" data-by="place" data-to="1" title="→" class="main">next →</button>
<button type="button" data-by="step" data-to="1" title="Shift+→">step ⏭</button>
<span id="where" class="quiet" aria-live="polite"></span></div>
</header>
<main>
${isOnlyShown === undefined ? "" : html`<p class="notice">Only shown: ${isOnlyShown}</p>`}
${sections}</main>
<footer>A simulation over the files, by <code>capsule link --explain=html</code>: nothing has been run. ${ADDRESSES}</footer>
<script type="application/json" id="explanation">${jsonMarkup(pageData(explanation))}</script>
${SCRIPTS.map(
  (script) => html`<script>${new Markup(script)}</script>
`,
)}</body>
</html>
`.text;
}

/** `id` is the section's, which also appears in the URL; `items` is the number of places to step through. */
function stepsOf(explanation: Explanation) {
  const { program, context, objects, relocations, initializers, finalizers } = explanation;
  return [
    { id: "context", title: "Process context", items: 0, content: contextPart(context, program) },
    { id: "objects", title: "Map the libraries", items: objects.length, content: objectsPart(objects) },
    {
      id: "relocations",
      title: "Resolve relocations",
      items: relocations.length,
      content: relocationsPart(explanation),
    },
    {
      id: "constructors",
      title: "Run constructors",
      items: initializers.length,
      content: html`<p>Who is needed is initialized before who needs it.</p>
        ${functionsTable("constructors", initializers, explanation.initializerCount, explanation)}`,
    },
    { id: "entry", title: "Run the program", items: 0, content: entryPart(explanation) },
    {
      id: "destructors",
      title: "Run destructors",
      items: finalizers.length,
      content: html`<p>When the program ends, backwards: first its own, then those of what it needs.</p>
        ${functionsTable("destructors", finalizers, explanation.finalizerCount, explanation)}`,
    },
  ];
}

/** Even if a name smuggled in markup, the browser would run and load nothing of it. */
function contentSecurityPolicy(): string {
  const hashes = (texts: readonly string[]): string =>
    texts.map((text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`).join(" ");
  return `default-src 'none'; script-src ${hashes(SCRIPTS)}; style-src ${hashes([style])}; base-uri 'none'; form-action 'none'`;
}
