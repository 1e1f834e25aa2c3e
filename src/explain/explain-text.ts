// Formats an Explanation for a terminal: the six steps, one after another.

import type { Paint } from "../diagnostics/terminal.ts";
import {
  ADDRESSES,
  type ContextStep,
  type ExplainedFunction,
  type ExplainedObject,
  type ExplainedRelocation,
  type Explanation,
} from "./explanation.ts";

/** The maximum width of the memory map, in characters. */
const MAP_WIDTH = 48;
/** Objects further apart than this, in bytes, are drawn with a gap between them. */
const FAR = 1 << 24;

export function explanationText(explanation: Explanation, paint: Paint): string {
  const { context, objects, relocations, warnings, isOnlyShown } = explanation;
  const nameOf = (index: number): string => shortName(objects[index]);
  const heading = (text: string): string[] => ["", paint("bold", text), ""];
  const functions = (list: readonly ExplainedFunction[], count: number): string[] => {
    if (count === 0) return [paint("dim", "  none")];
    const lines = list.map(({ object, from, address, symbol }, i) => {
      const name = symbol === undefined ? "" : paint("cyan", `  ${symbol}`);
      return `  ${`${i + 1}`.padStart(3)}  ${paint("plain", nameOf(object))}  ${from}  ${address}${name}`;
    });
    return count > list.length ? [...lines, paint("dim", `       and ${count - list.length} more`)] : lines;
  };
  // In the order in which they are relocated. Those without symbolic relocations come last.
  const order = new Set([...relocations.map(({ object }) => object), ...objects.keys()]);
  const inOrder = [...order].flatMap((index) => objects[index] ?? []);
  return [
    ...heading("(1) The process context"),
    ...contextText(context, paint),
    ...heading("(2) Mapping the program and what it needs"),
    ...linkMap(objects, paint),
    ...memoryMap(objects, paint),
    ...heading("(3) Relocations"),
    ...inOrder.flatMap((object) => {
      const own = relocations.filter((one) => one.object === object.index);
      return relocationsOf(object, own, nameOf, paint);
    }),
    ...warnings.map((text) => paint("yellow", `  ! ${text}`)),
    ...relroOf(inOrder, paint),
    ...heading("(4) Constructors"),
    ...functions(explanation.initializers, explanation.initializerCount),
    ...heading("(5) The program"),
    ...functions([explanation.entry], 1),
    ...heading("(6) Destructors, when it returns"),
    ...functions(explanation.finalizers, explanation.finalizerCount),
    "",
    ...(isOnlyShown === undefined ? [] : [paint("plain", `Only shown: ${isOnlyShown}`)]),
    paint("dim", `A simulation over the files: nothing has been run. ${ADDRESSES}`),
    "",
  ].join("\n");
}

function contextText(context: ContextStep, paint: Paint): string[] {
  const { arguments: list, environment, auxiliary, loadBias } = context;
  const width = Math.max(...auxiliary.map(({ name }) => name.length));
  const lines = [
    "   rsp →  argc",
    `          ${paint("cyan", `${list.length}`)}`,
    ...list.map((text, i) => `          argv[${i}]  ${paint("plain", text)}`),
    `          NULL`,
    ...(environment > 0 ? [`          envp[0] … envp[${environment - 1}]`] : []),
    `          NULL`,
    ...auxiliary.map(({ name, value, meaning }) => {
      const told = value === undefined ? paint("dim", "(given by the kernel at start)") : paint("plain", value);
      return `          ${name.padEnd(width)}  ${told}${meaning ? paint("dim", `  ${meaning}`) : ""}`;
    }),
    `          AT_NULL`,
  ];
  if (!loadBias) return lines;
  const { headersAt, vaddr, bias } = loadBias;
  const sum = `  load bias = AT_PHDR − PT_PHDR's vaddr = ${headersAt} − ${vaddr} = ${paint("cyan", bias)}`;
  return [...lines, "", sum];
}

function linkMap(objects: readonly ExplainedObject[], paint: Paint): string[] {
  const lines = objects.flatMap(({ index, path, why, needs, loadBias, relative, tls }) => {
    const facts = [
      `load bias ${loadBias}`,
      ...(needs.length > 0 ? [`needs ${needs.join(" ")}`] : []),
      `${relative} relative relocations`,
      ...(tls ? [`${tls.size} bytes thread-local`, `${tls.offset} below the thread pointer`] : []),
    ];
    return [
      `  ${`${index}`.padStart(3)}  ${paint("plain", path)}${why === undefined ? "" : paint("dim", `  [${why}]`)}`,
      paint("dim", `       ${facts.join(", ")}`),
    ];
  });
  return ["  The link map, in which symbols are looked up:", ...lines];
}

/** Each object's pages to scale, from low to high addresses. */
function memoryMap(objects: readonly ExplainedObject[], paint: Paint): string[] {
  const sorted = objects.toSorted((one, other) => Number(one.start) - Number(other.start));
  const longest = Math.max(...sorted.map(({ start, end }) => Number(end) - Number(start)));
  const lines = ["", "  The memory map, to scale, as it is before anything is relocated:"];
  let before = 0;
  for (const object of sorted) {
    const [start, end] = [Number(object.start), Number(object.end)];
    if (before > 0 && start - before > FAR) lines.push("          ⋮");
    const bar = object.segments.map(({ start: from, end: to, protection }) => {
      const length = Math.max(1, Math.round(((Number(to) - Number(from)) / longest) * MAP_WIDTH));
      const { style, fill } = LOOKS[protection] ?? ({ style: "plain", fill: "░" } as const);
      return paint(style, fill.repeat(length));
    });
    lines.push(
      `  ${object.start.padStart(14)}  ${bar.join("")}  ${paint("plain", shortName(object))}  ${(end - start) / 1024} KiB`,
    );
    before = end;
  }
  return [...lines, paint("dim", "                  █ code   ▓ data that is written   ▒ read-only")];
}

const LOOKS: Readonly<Record<string, { style: "red" | "green" | "blue"; fill: string }>> = {
  "r-x": { style: "red", fill: "█" },
  "rw-": { style: "green", fill: "▓" },
  "r--": { style: "blue", fill: "▒" },
};

function relocationsOf(
  object: ExplainedObject,
  relocations: readonly ExplainedRelocation[],
  nameOf: (index: number) => string,
  paint: Paint,
): string[] {
  const { relative, loadBias } = object;
  if (relative + relocations.length === 0) return [];
  const lines = [`  ${paint("bold", shortName(object))}`];
  if (relative > 0)
    lines.push(paint("dim", `    ${relative} × R_X86_64_RELATIVE: the load bias, ${loadBias}, and what the file says`));
  for (const one of relocations) {
    const { at, type, symbol, version, definer, searched } = one;
    const name = symbol === undefined ? "" : ` ${symbol}${version === undefined ? "" : `@${version}`}`;
    lines.push(`    ${at}  ${type.padEnd(18)}${paint("cyan", name)}${paint("plain", whatOf(one))}`);
    const answers = searched.map(({ object: index, answer }) => `${nameOf(index)} ${answer}`);
    if (answers.length > 0) lines.push(paint("dim", `      ${answers.join(" → ")}`));
    else if (symbol !== undefined && definer !== undefined)
      lines.push(paint("dim", `      ${nameOf(definer)} has it for itself: nobody is asked`));
  }
  return lines;
}

function whatOf({ value, copied, resolver }: ExplainedRelocation): string {
  if (copied) return `  ← ${copied.length} bytes at ${copied.from}`;
  if (resolver !== undefined) return `  ← what ${resolver} returns`;
  return value === undefined ? "" : `  = ${value}`;
}

function relroOf(objects: readonly ExplainedObject[], paint: Paint): string[] {
  const lines = objects.flatMap((object) => {
    const { relro } = object;
    return relro ? [`    pages ${relro.start} to ${relro.end} of ${paint("plain", shortName(object))}`] : [];
  });
  return lines.length === 0 ? [] : ["  RELRO: these become read-only now", ...lines];
}

const shortName = (object: ExplainedObject | undefined): string => object?.path.replace(/^.*\//, "") ?? "";
