// Candidates at the cursor, computed from the command-line model for all shells. What the shell itself completes best,
// such as paths, is left to it. bash.ts, zsh.ts and fish.ts have the protocol of each shell.

import type { Model, ModelCommand, ModelOption, Value } from "./model.ts";
import { sonamesOf } from "./sonames.ts";

export interface Answer {
  readonly kind: "commands" | "options" | "values";
  /** All candidates, unfiltered: each shell has its own rules for matching the word so far. */
  readonly words: readonly Candidate[];
  /** What the shell has to add. "programs" means programs in PATH, or a path. */
  readonly paths?: "files" | "directories" | "programs" | undefined;
  /** The part of the current word that precedes every candidate. */
  readonly stays: Stay;
  /** Whether more values may follow after a comma. */
  readonly isList?: boolean;
  /** The index of the word at which that program's own command line begins. */
  readonly program?: number;
  /** What is expected, if no candidates can be offered. */
  readonly message?: string;
}

interface Candidate {
  readonly word: string;
  readonly text: string;
  /** An option whose value follows "=" or is absent. */
  readonly isAssigned?: boolean;
}

interface Stay {
  /** "--profile=gl," */
  readonly text: string;
  /** Where the text was cut, first to last: after the first "=", or after the last comma. */
  readonly cuts: readonly ("=" | ",")[];
}

/** A shell's side of `capsule __complete`. */
export interface Shell {
  /** The script to source: it asks for an answer and acts on it. */
  readonly stub: string;
  /** Returns the pieces of text that the stub expects. */
  readonly answer: (asked: readonly string[], model: Model) => readonly string[];
}

const NONE: Stay = { text: "", cuts: [] };
const NOTHING: Answer = { kind: "values", words: [], stays: NONE };

/** commander's own command, which `commands` does not list. */
const HELP = "help";

/** `line` is the command's name and the words after it. The last word ends at the cursor. */
export function complete(model: Model, line: readonly string[]): Answer {
  const current = line.at(-1) ?? "";
  const given = new Set<ModelOption>();
  let command: ModelCommand | undefined;
  let option: ModelOption | undefined;
  let position = 0;
  let hasEnded = false;
  let host: string | undefined;
  for (let i = 1; i < line.length - 1; i++) {
    const word = line[i] ?? "";
    if (option) {
      if (isHost(option)) host = word;
      option = undefined;
    } else if (word === "--" && command && !hasEnded) hasEnded = true;
    else if (/^-./.test(word) && !hasEnded) {
      const found = optionOf(command ?? model, word);
      if (!found) continue;
      given.add(found);
      if (found.value && !found.isOptional && !word.includes("=")) option = found;
      else if (isHost(found)) host = word.replace(/^[^=]*=/, "");
    } else if (!command) {
      if (word === HELP) return i === line.length - 2 ? commandsOf(model) : NOTHING;
      command = model.commands.find(({ name }) => name === word);
      if (!command) return NOTHING;
    } else if (command.endsAtProgram) return { ...NOTHING, program: i };
    else position++;
  }
  if (option?.value) return valueAt(current, option.value, host, option.placeholder);
  if (current.startsWith("-") && !hasEnded) {
    if (!current.includes("=")) return optionsOf(command ?? model, given);
    const { value, placeholder } = optionOf(command ?? model, current) ?? {};
    return value ? valueAt(current, value, host, placeholder, cut(NONE, "=", current)) : NOTHING;
  }
  if (!command) return commandsOf(model, [{ word: HELP, text: "say how a command is used" }]);
  const last = command.arguments.at(-1);
  const argument = command.arguments[position] ?? (last?.isRepeatable ? last : undefined);
  return argument ? valueAt(current, argument.value, host, argument.name) : NOTHING;
}

const isHost = ({ names }: ModelOption): boolean => names.includes("--host");

const optionOf = ({ options }: Pick<Model, "options">, word: string): ModelOption | undefined =>
  options.find(({ names }) => names.includes(word.replace(/=.*/s, "")));

const commandsOf = ({ commands }: Model, more: Answer["words"] = []): Answer => ({
  kind: "commands",
  words: commands.map(({ name, summary }): Candidate => ({ word: name, text: summary })).concat(more),
  stays: NONE,
});

/** Without options that were given and have no effect a second time. */
function optionsOf({ options }: Pick<Model, "options">, given: ReadonlySet<ModelOption>): Answer {
  if ([...given].some(({ names }) => names.includes("--help"))) return NOTHING;
  const open = options.filter((option) => option.isRepeatable || !given.has(option));
  const words = open.flatMap(({ names, description, isOptional }) =>
    names.map((word) => ({ word, text: description, isAssigned: isOptional })),
  );
  return { kind: "options", words, stays: NONE };
}

/** `host` is what --host has; `name` describes the expected value. */
function valueAt(current: string, value: Value, host: string | undefined, name = "", option = NONE): Answer {
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
      if (assigned !== stays) return { ...NOTHING, paths: value.to, stays: assigned };
      return { ...sonamesAt(current.slice(stays.text.length), true, host), stays, isList: value.isList };
    }
    case "sonames":
      return { ...sonamesAt(current.slice(stays.text.length), value.isUsual, host), stays };
    case "text":
      return { ...NOTHING, stays, message: name };
    default:
      return { ...NOTHING, stays, paths: value.kind };
  }
}

/** Sonames that begin so, or files: where there are none, or where both may be meant. */
function sonamesAt(beginning: string, isUsual: boolean, host: string | undefined): Answer {
  const isAsked = beginning === "" ? isUsual : !beginning.includes("/");
  const words = (isAsked ? sonamesOf(host) : [])
    .filter((soname) => soname.startsWith(beginning))
    .map((soname) => ({ word: soname, text: "" }));
  return words.length > 0 ? { ...NOTHING, words } : { ...NOTHING, paths: "files" };
}

/** Cuts off more of the word, if it contains the character. */
function cut(stays: Stay, at: "=" | ",", current: string): Stay {
  const rest = current.slice(stays.text.length);
  const end = (at === "=" ? rest.indexOf(at) : rest.lastIndexOf(at)) + 1;
  return end === 0 ? stays : { text: stays.text + rest.slice(0, end), cuts: [...stays.cuts, at] };
}
