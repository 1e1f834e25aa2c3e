// Step 1: the stack as the kernel leaves it, from rsp upwards, and how the program finds its own load bias from it.

import type { ContextStep } from "../explanation.ts";
import { headings, html, type Markup } from "./markup.ts";

interface Word {
  readonly part: "argc" | "argv" | "envp" | "auxv";
  readonly name: string;
  /** Undefined if it differs in each process. */
  readonly value: string | undefined;
  readonly meaning?: string | undefined;
  /** The number of stack words, if not one. */
  readonly words?: number;
}

export function contextPart(context: ContextStep, program: string): Markup {
  return html`<p>The kernel has mapped the program and the linker, and enters the linker. All that this is told is on the
    stack, where <code>rsp</code> points.</p>
    <div class="columns">
      <div><h3>The stack</h3>${stack(context)}</div>
      <div><h3>The load bias</h3>${loadBias(context, program)}</div>
    </div>`;
}

function stack(context: ContextStep): Markup {
  const { auxiliary, environment: count } = context;
  const [names, variables] =
    count === 1 ? ["envp[0]", "→ a variable"] : [`envp[0…${count - 1}]`, `→ ${count} variables`];
  const words: Word[] = [
    { part: "argc", name: "argc", value: String(context.arguments.length) },
    ...context.arguments.map((value, at): Word => ({ part: "argv", name: `argv[${at}]`, value: `→ "${value}"` })),
    { part: "argv", name: `argv[${context.arguments.length}]`, value: "NULL" },
    ...(count === 0 ? [] : [{ part: "envp", name: names, value: variables, words: count } as const]),
    { part: "envp", name: `envp[${count}]`, value: "NULL" },
    ...auxiliary.map(({ name, value, meaning }): Word => ({ part: "auxv", name, value, meaning, words: 2 })),
  ];
  if (auxiliary.at(-1)?.name !== "AT_NULL")
    words.push({ part: "auxv", name: "AT_NULL", value: "0", meaning: "the end", words: 2 });
  let at = 0;
  const rows = words.map((word) => {
    const unknown = html`<span class="quiet">given by the kernel at start</span>`;
    const value = word.value === undefined ? unknown : html`<code>${word.value}</code>`;
    const meaning = word.meaning === undefined ? "" : html`<br><small>${word.meaning}</small>`;
    const row = html`<tr class="${word.part}"><td class="number">${at === 0 ? "rsp →" : `+0x${at.toString(16)}`}</td>
      <th scope="row"><code>${word.name}</code></th><td>${value}${meaning}</td></tr>`;
    at += 8 * (word.words ?? 1);
    return row;
  });
  return html`<table class="stack"><caption>argc, argv, envp and the auxiliary vector; addresses grow downwards</caption>
    ${headings("at", "what", "value")}<tbody>${rows}</tbody></table>`;
}

function loadBias({ loadBias }: ContextStep, program: string): Markup {
  if (loadBias === undefined)
    return html`<p><code>${program}</code> has no PT_PHDR: it is where its program headers say, and the load bias is 0.</p>`;
  const { headersAt, vaddr, bias } = loadBias;
  return html`<p>Addresses in a file count from the load bias, and the program must find its own. PT_PHDR tells where the
    program headers are, counted so; AT_PHDR tells where they really are.</p>
    <svg class="bias" viewBox="0 0 460 190" role="img" aria-label="AT_PHDR is PT_PHDR's vaddr above the load bias">
      <text x="300" y="14" class="small">memory</text>
      <rect x="230" y="20" width="200" height="160" class="memory"/>
      <rect x="230" y="100" width="200" height="34" class="prot-r"/>
      <text x="330" y="121" text-anchor="middle" class="small">program headers</text>
      <path d="M226 40H434" class="line"/><path d="M226 100H434" class="line"/>
      <text x="214" y="44" text-anchor="end">${bias}</text><text x="214" y="28" text-anchor="end" class="small">load bias</text>
      <text x="214" y="112" text-anchor="end">${headersAt}</text><text x="214" y="96" text-anchor="end" class="small">AT_PHDR</text>
      <path d="M244 44V96M240 50l4-8l4 8M240 90l4 8l4-8" class="line"/>
      <text x="256" y="75">${vaddr}</text><text x="256" y="60" class="small">PT_PHDR’s p_vaddr</text>
    </svg>
    <table class="sum"><caption>load bias = AT_PHDR − PT_PHDR.p_vaddr</caption><tbody>
      <tr><th scope="row">AT_PHDR</th><td class="number"><code>${headersAt}</code></td></tr>
      <tr><th scope="row">− PT_PHDR.p_vaddr</th><td class="number"><code>${vaddr}</code></td></tr>
      <tr class="total"><th scope="row">= load bias</th><td class="number"><code>${bias}</code></td></tr>
    </tbody></table>
    ${Number(bias) === 0 ? html`<p>It is 0: the program is linked for fixed addresses.</p>` : ""}`;
}
