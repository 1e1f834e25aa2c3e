// Options as data: what commander defines its options from, and what reads a plain command line without it, since
// loading commander takes 4 ms at every start.

/** Each word with its meaning. */
export type Words = Readonly<Record<string, string>>;

/** What an option accepts besides its words, or how many of them. */
export interface Takes {
  readonly directory?: true;
  readonly list?: true;
}

/** Options by what help shows of them: its line, and for some their words, and what else they take. */
export type Options = Readonly<
  Record<string, string | readonly [text: string, words: Words | (() => Words), takes?: Takes]>
>;

/** How an option's values are collected if it is repeatable. Otherwise the last one counts. */
export function collectorOf(text: string): ((value: string, before?: readonly string[]) => string[]) | undefined {
  if (!text.includes("(repeatable")) return undefined;
  const split = text.includes("commas too") ? (value: string) => value.split(",") : (value: string) => [value];
  return (value, before = []) => [...before, ...split(value)];
}

/** The values of options, by their names in camel case, as commander has them. */
export type Given = Record<string, string | boolean | string[]>;

export interface PlainLine {
  readonly given: Given;
  /** Never empty. */
  readonly operands: readonly string[];
}

/**
 * Reads options up to the first operand. Undefined unless the line has an operand, and before it only these options, by
 * their long names: commander is to answer any other.
 */
export function readPlainly(options: Options, words: readonly string[]): PlainLine | undefined {
  const known = new Map(
    Object.entries(options).map(([flags, described]) => [flags.split(" ")[0] ?? "", { flags, described }]),
  );
  const given: Given = {};
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? "";
    if (!word.startsWith("-") || word === "-") return { given, operands: words.slice(at) };
    if (word === "--") return at + 1 < words.length ? { given, operands: words.slice(at + 1) } : undefined;
    const [, long = word, joined] = /^(--[^=]+)=(.*)$/s.exec(word) ?? [];
    const option = known.get(long);
    if (!option) return undefined;
    const isNegative = long.startsWith("--no-");
    const key = long.slice(isNegative ? 5 : 2).replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
    if (!option.flags.includes(" ")) {
      if (joined !== undefined) return undefined;
      given[key] = !isNegative;
      continue;
    }
    const value = joined ?? words[++at];
    if (value === undefined) return undefined;
    const collect = collectorOf(typeof option.described === "string" ? option.described : option.described[0]);
    const before = given[key];
    given[key] = collect ? collect(value, Array.isArray(before) ? before : []) : value;
  }
  return undefined;
}
