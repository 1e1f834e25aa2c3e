// What there may be at the cursor, by the command line as data: the one place that
// decides it, for all shells. What a shell itself completes best, as paths, is left to
// it. How a shell asks and is told is in bash.ts, zsh.ts and fish.ts.

import type { Model, ModelCommand, ModelOption, Value } from "./model.ts";

export interface Answer {
  readonly kind: "commands" | "options" | "values";
  /** All that there are: shells have rules of their own for what fits the word so far. */
  readonly words: readonly Candidate[];
  /** What the shell has to add: "programs" is what PATH has, or a path. */
  readonly paths?: "files" | "directories" | "programs" | undefined;
  /** What stays in front of all these, of the word so far. */
  readonly stays: Stay;
  /** Whether more may follow behind a comma. */
  readonly isList?: boolean;
  /** From this word on it is that program's own command line. */
  readonly program?: number;
  /** What is wanted where nothing can be offered. */
  readonly message?: string;
}

interface Candidate {
  readonly word: string;
  readonly text: string;
  /** An option whose value is behind an "=" or not there. */
  readonly isAssigned?: boolean;
}

interface Stay {
  /** "--profile=gl," */
  readonly text: string;
  /** Where that was cut off, first to last: behind the first "=", or behind the last comma. */
  readonly cuts: readonly ("=" | ",")[];
}

/** A shell's side of `capsule __complete`. */
export interface Shell {
  /** What is to be sourced: it asks, and does what the answer says. */
  readonly stub: string;
  /** What it is told: pieces of text, as the stub takes them. */
  readonly answer: (asked: readonly string[], model: Model) => readonly string[];
}

const NONE: Stay = { text: "", cuts: [] };
const NOTHING: Answer = { kind: "values", words: [], stays: NONE };

/** commander's own command, which is in no list. */
const HELP = "help";

/** `line` is the command's name and what follows; the last word is the one at the cursor, up to there. */
export function complete(model: Model, line: readonly string[]): Answer {
  const current = line.at(-1) ?? "";
  const given = new Set<ModelOption>();
  let command: ModelCommand | undefined;
  let option: ModelOption | undefined;
  let position = 0;
  let hasEnded = false;
  for (let i = 1; i < line.length - 1; i++) {
    const word = line[i] ?? "";
    if (option) option = undefined;
    else if (word === "--" && command && !hasEnded) hasEnded = true;
    else if (/^-./.test(word) && !hasEnded) {
      const found = optionOf(command ?? model, word);
      if (!found) continue;
      given.add(found);
      if (found.value && !found.isOptional && !word.includes("=")) option = found;
    } else if (!command) {
      if (word === HELP) return i === line.length - 2 ? commandsOf(model) : NOTHING;
      command = model.commands.find(({ name }) => name === word);
      if (!command) return NOTHING;
    } else if (command.endsAtProgram) return { ...NOTHING, program: i };
    else position++;
  }
  if (option?.value) return valueAt(current, option.value, option.placeholder);
  if (current.startsWith("-") && !hasEnded) {
    if (!current.includes("=")) return optionsOf(command ?? model, given);
    const { value, placeholder } = optionOf(command ?? model, current) ?? {};
    return value ? valueAt(current, value, placeholder, cut(NONE, "=", current)) : NOTHING;
  }
  if (!command) return commandsOf(model, [{ word: HELP, text: "say how a command is used" }]);
  const last = command.arguments.at(-1);
  const argument = command.arguments[position] ?? (last?.isRepeatable ? last : undefined);
  return argument ? valueAt(current, argument.value, argument.name) : NOTHING;
}

const optionOf = ({ options }: Pick<Model, "options">, word: string): ModelOption | undefined =>
  options.find(({ names }) => names.includes(word.replace(/=.*/s, "")));

const commandsOf = ({ commands }: Model, more: Answer["words"] = []): Answer => ({
  kind: "commands",
  words: commands.map(({ name, summary }): Candidate => ({ word: name, text: summary })).concat(more),
  stays: NONE,
});

/** Without those that have been given, and do nothing the second time. */
function optionsOf({ options }: Pick<Model, "options">, given: ReadonlySet<ModelOption>): Answer {
  if ([...given].some(({ names }) => names.includes("--help"))) return NOTHING;
  const open = options.filter((option) => option.isRepeatable || !given.has(option));
  const words = open.flatMap(({ names, description, isOptional }) =>
    names.map((word) => ({ word, text: description, isAssigned: isOptional })),
  );
  return { kind: "options", words, stays: NONE };
}

/** `name` is what is wanted. */
function valueAt(current: string, value: Value, name = "", option = NONE): Answer {
  const stays = "isList" in value && value.isList ? cut(option, ",", current) : option;
  switch (value.kind) {
    case "words": {
      const given = stays.text.slice(option.text.length).split(",");
      const all = Object.entries(value.words()).map(([word, text]) => ({ word, text }));
      const words = all.filter(({ word }) => !given.includes(word));
      const paths = value.orDirectory ? "directories" : undefined;
      return { kind: "values", words, paths, stays, isList: value.isList };
    }
    case "assignment": {
      const assigned = cut(stays, "=", current);
      return { ...NOTHING, paths: assigned === stays ? "files" : value.to, stays: assigned };
    }
    case "text":
      return { ...NOTHING, stays, message: name };
    default:
      return { ...NOTHING, stays, paths: value.kind };
  }
}

/** More of the word, where there is such a character. */
function cut(stays: Stay, at: "=" | ",", current: string): Stay {
  const rest = current.slice(stays.text.length);
  const end = (at === "=" ? rest.indexOf(at) : rest.lastIndexOf(at)) + 1;
  return end === 0 ? stays : { text: stays.text + rest.slice(0, end), cuts: [...stays.cuts, at] };
}
