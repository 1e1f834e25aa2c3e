// Protections as colors.

import type { ExplainedObject } from "../explanation.ts";
import { html, type Markup } from "./markup.ts";

const MEANINGS = {
  "prot-r": "r-- constants, tables",
  "prot-rx": "r-x code",
  "prot-rw": "rw- data",
  "prot-rwx": "rwx data and code",
  "prot-none": "--- out of reach",
} as const;

export function protectionClass(protection: string): keyof typeof MEANINGS {
  const can = (letter: string): boolean => protection.includes(letter);
  if (can("w")) return can("x") ? "prot-rwx" : "prot-rw";
  if (can("x")) return "prot-rx";
  return can("r") ? "prot-r" : "prot-none";
}

/** A legend for the protections that occur. */
export function legend(objects: readonly ExplainedObject[]): Markup {
  const segments = objects.flatMap((object) => object.segments);
  const used = new Set(segments.map(({ protection }) => protectionClass(protection)));
  const keys = (Object.keys(MEANINGS) as (keyof typeof MEANINGS)[]).filter((key) => used.has(key));
  const items = keys.map((key) => item(html`<rect width="16" height="12" class="${key}"/>`, MEANINGS[key]));
  if (segments.some(({ offset }) => offset === undefined))
    items.push(item(html`<rect width="16" height="12" class="prot-rw zeroes"/>`, "paler: zeroes, of no file"));
  if (objects.some(({ relro }) => relro !== undefined))
    items.push(
      item(html`<rect y="8" width="16" height="4" class="relro"/>`, "underlined: RELRO, read-only once relocated"),
    );
  return html`<ul class="legend">${items}</ul>`;
}

const item = (sign: Markup, meaning: string): Markup =>
  html`<li><svg width="16" height="12" aria-hidden="true">${sign}</svg> ${meaning}</li>`;
