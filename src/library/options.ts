// Checks what scripts pass, as JavaScript does not: a misspelled option would have no effect, and a wrong type would end in an
// error about something else.

import { suggestion } from "../settings/nearest.ts";
import { quoted } from "../settings/source.ts";

/** Whether a value is of a kind, and what to call the kind. */
type Kind = readonly [is: (value: unknown) => boolean, text: string];

const isText = (value: unknown): value is string => typeof value === "string";
const isTexts = (value: unknown): value is string[] => Array.isArray(value) && value.every(isText);
const isTable = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isTableOf = (is: (value: unknown) => boolean) => (value: unknown) =>
  isTable(value) && Object.values(value).every(is);

const isHook = (value: unknown): boolean =>
  isTable(value) && isText(value.file) && (value.function === undefined || isText(value.function));

export const KINDS = {
  text: [isText, "a text"],
  texts: [isTexts, "an array of texts"],
  settings: [(value) => isText(value) || value === false, "a text or false"],
  isSo: [(value) => typeof value === "boolean", "true or false"],
  number: [(value) => typeof value === "number", "a number"],
  numberOrText: [(value) => isText(value) || typeof value === "number", "a text or a number"],
  function: [(value) => typeof value === "function", "a function"],
  signal: [(value) => value instanceof AbortSignal, "an AbortSignal"],
  variables: [isTableOf((value) => isText(value) || value === undefined), "an object of texts"],
  hooks: [isTableOf(isTableOf(isHook)), "an object of objects of { file, function }, by soname and symbol"],
  /** Bun checks it. */
  any: [() => true, ""],
} as const satisfies Record<string, Kind>;

export type Kinds = Readonly<Record<string, keyof typeof KINDS>>;

/** `whose` is the function that takes the options. Throws TypeError for one that it does not have, or of a wrong type. */
export function checkOptions(options: unknown, kinds: Kinds, whose: string): void {
  if (!isTable(options))
    throw new TypeError(`Cannot use the options of ${whose}(): an object is needed, not ${kindOf(options)}`);
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(kinds, name))
      throw new TypeError(`${whose}() has no option ${quoted(name)}: ${suggestion(name, Object.keys(kinds))}`);
    const [is, text] = KINDS[kinds[name] ?? "any"];
    if (value !== undefined && !is(value))
      throw new TypeError(`Cannot use the option "${name}" of ${whose}(): ${text} is needed, not ${kindOf(value)}`);
  }
}

/** A program with its arguments: in an array, as for Bun.spawn, or apart. */
export interface Started<Options> {
  readonly program: string;
  readonly list: readonly string[];
  readonly options: Options;
}

/** Sorts what a function was called with. Throws TypeError. */
export function startedBy<Options>(
  whose: string,
  [command, ...rest]: readonly [command: unknown, ...rest: unknown[]],
): Started<Options> {
  const isArray = Array.isArray(command);
  const [list = [], options = {}] = isArray ? [command, rest[0]] : rest;
  const all = isArray ? list : [command, ...(Array.isArray(list) ? list : [])];
  if (!isArray && !Array.isArray(list))
    throw new TypeError(`Cannot use the arguments of ${whose}(): an array of texts is needed, not ${kindOf(list)}`);
  const wrong = (all as unknown[]).find((word) => !isText(word));
  if (wrong !== undefined || !isTexts(all))
    throw new TypeError(`Cannot run what ${whose}() was given: texts are needed, not ${kindOf(wrong)}`);
  const [program] = all;
  if (program === undefined) throw new TypeError(`Cannot run what ${whose}() was given: the array is empty`);
  return { program, list: all.slice(1), options: options as Options };
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return `${value}`;
  if (Array.isArray(value)) return isTexts(value) ? "an array" : "an array of something else";
  if (isText(value)) return `the text ${quoted(value)}`;
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
