// Protections, as colours.

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

export function legend(protections: Iterable<string>): Markup {
  const used = new Set(Array.from(protections, protectionClass));
  const keys = (Object.keys(MEANINGS) as (keyof typeof MEANINGS)[]).filter((key) => used.has(key));
  return html`<ul class="legend">${keys.map(
    (key) => html`<li><svg width="16" height="12" aria-hidden="true"><rect width="16" height="12" class="${key}"/></svg>
      ${MEANINGS[key]}</li>`,
  )}<li><svg width="16" height="12" aria-hidden="true"><rect width="16" height="12" class="prot-rw zeroes"/></svg>
    paler: zeroes, of no file</li><li><svg width="16" height="12" aria-hidden="true"><rect y="8" width="16" height="4" class="relro"/></svg>
    RELRO: read-only once relocated</li></ul>`;
}
