// The command line as data, read from commander's definitions, for --help, the man page and completions.

import { type Argument, type Command, Option } from "commander";
import type { Takes, Words } from "./options.ts";

/**
 * An option that takes one of a few words, or several separated by commas. The words are for completions. The code that
 * uses the option validates its value, which may also come from a variable.
 */
export class ChoiceOption extends Option {
  constructor(
    flags: string,
    description: string,
    /** A function if finding them takes time. */
    readonly words: Words | (() => Words),
    /** What the option accepts instead of a word, or besides. */
    readonly takes: Takes = {},
  ) {
    super(flags, description);
  }
}

/** The value of an option or argument. */
export type Value =
  | { readonly kind: "words"; readonly words: () => Words; readonly isList: boolean; readonly orDirectory: boolean }
  /** NAME=PATH, or NAME alone: a soname, if it is so. */
  | { readonly kind: "assignment"; readonly to: "directories" | "files"; readonly isList: boolean }
  /** A soname that the host tree has, or a library's file; `isUsual` if it is usually a soname. */
  | { readonly kind: "sonames"; readonly isUsual: boolean }
  | { readonly kind: "directories" | "files" | "programs" | "text" };

export type Model = ReturnType<typeof modelOf>;
export type ModelCommand = ReturnType<typeof commandOf>;
export type ModelOption = ReturnType<typeof optionOf>;

/** Which commander adds by itself. */
const HELP = optionOf(new Option("-h, --help", "say how it is used"));

export const modelOf = (root: Command) => ({
  name: root.name(),
  description: root.description(),
  options: optionsOf(root),
  commands: root.commands.map(commandOf),
});

function commandOf(command: Command) {
  const list = command.registeredArguments;
  return {
    name: command.name(),
    summary: command.summary(),
    description: command.description(),
    options: optionsOf(command),
    arguments: list.map(argumentOf),
    /** Options end at the first argument: the rest belongs to another program. */
    endsAtProgram: list.some((argument) => argument.name() === "arguments"),
  };
}

const optionsOf = ({ options }: Command) => [...options.filter(({ hidden }) => !hidden).map(optionOf), HELP];

function optionOf(option: Option) {
  const { short, long, description, flags } = option;
  const placeholder = /[<[]\S+[>\]]$/.exec(flags)?.[0];
  return {
    /** "-v", "--verbose" */
    names: [short, long].filter((name) => name !== undefined),
    description,
    /** As help shows it: "<dir>". Undefined if the option takes no value. */
    placeholder,
    value: placeholder === undefined ? undefined : takenBy(option, placeholder),
    /** The value may be omitted. If present, it follows "=". */
    isOptional: option.optional,
    isRepeatable: description.includes("repeatable"),
  };
}

function takenBy(option: Option, placeholder: string): Value {
  if (option instanceof ChoiceOption) {
    const { words, takes } = option;
    return {
      kind: "words",
      words: typeof words === "function" ? words : () => words,
      isList: takes.list ?? false,
      orDirectory: takes.directory ?? false,
    };
  }
  if (placeholder === "<soname>") return { kind: "assignment", to: "directories", isList: true };
  if (placeholder.endsWith("=file>")) return { kind: "assignment", to: "files", isList: false };
  return kindOf(placeholder.replace(/\W/g, ""));
}

const argumentOf = (argument: Argument) => ({
  name: argument.name(),
  description: argument.description,
  isRequired: argument.required,
  isRepeatable: argument.variadic,
  value: argument.argChoices ? wordsOf(argument.argChoices) : kindOf(argument.name()),
});

const wordsOf = (words: readonly string[]): Value => ({
  kind: "words",
  words: () => Object.fromEntries(words.map((word) => [word, ""])),
  isList: false,
  orDirectory: false,
});

/** Derives the kind of value from the name that help shows. */
function kindOf(name: string): Value {
  if (name === "dir") return { kind: "directories" };
  if (name === "program") return { kind: "programs" };
  if (name === "soname" || name === "library") return { kind: "sonames", isUsual: name === "soname" };
  return { kind: /file|path/.test(name) ? "files" : "text" };
}
