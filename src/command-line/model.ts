// The command line as data, read from commander's definitions, for --help, the man page and completions.

import type { Argument, Command, Option } from "commander";
import { ChoiceOption, type Words } from "./choice-option.ts";

/** The value of an option or argument. */
export type Value =
  | { readonly kind: "words"; readonly words: () => Words; readonly isList: boolean; readonly orDirectory: boolean }
  /** NAME=PATH, or NAME alone. */
  | { readonly kind: "assignment"; readonly to: "directories" | "files"; readonly isList: boolean }
  | { readonly kind: "directories" | "files" | "programs" | "text" };

export interface ModelOption {
  /** "-v", "--verbose" */
  readonly names: readonly string[];
  readonly description: string;
  /** As help shows it: "<dir>". Undefined if the option takes no value. */
  readonly placeholder: string | undefined;
  readonly value: Value | undefined;
  /** The value may be omitted. If present, it follows "=". */
  readonly isOptional: boolean;
  readonly isRepeatable: boolean;
}

interface ModelArgument {
  readonly name: string;
  readonly description: string;
  readonly isRequired: boolean;
  readonly isRepeatable: boolean;
  readonly value: Value;
}

export interface ModelCommand {
  readonly name: string;
  readonly summary: string;
  readonly description: string;
  readonly options: readonly ModelOption[];
  readonly arguments: readonly ModelArgument[];
  /** Options end at the first argument: the rest belongs to another program. */
  readonly endsAtProgram: boolean;
}

export interface Model {
  readonly name: string;
  readonly description: string;
  readonly options: readonly ModelOption[];
  readonly commands: readonly ModelCommand[];
}

const HELP: ModelOption = {
  names: ["-h", "--help"],
  description: "say how it is used",
  placeholder: undefined,
  value: undefined,
  isOptional: false,
  isRepeatable: false,
};

export function modelOf(root: Command): Model {
  return {
    name: root.name(),
    description: root.description(),
    options: [...root.options.map(optionOf), HELP],
    commands: root.commands.map(commandOf),
  };
}

function commandOf(command: Command): ModelCommand {
  const list = command.registeredArguments;
  const endsAtProgram = list.some((argument) => argument.name() === "arguments");
  return {
    name: command.name(),
    summary: command.summary(),
    description: command.description(),
    options: [...command.options.filter(({ hidden }) => !hidden).map(optionOf), HELP],
    arguments: list.map(argumentOf),
    endsAtProgram,
  };
}

function optionOf(option: Option): ModelOption {
  const { short, long, description, flags } = option;
  const placeholder = /[<[]\S+[>\]]$/.exec(flags)?.[0];
  return {
    names: [short, long].filter((name) => name !== undefined),
    description,
    placeholder,
    value: placeholder === undefined ? undefined : takenBy(option, placeholder),
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
  if (option.argChoices) return wordsOf(option.argChoices);
  if (placeholder === "<soname>")
    return { kind: "assignment", to: "directories", isList: option.description.includes("commas too") };
  if (placeholder.endsWith("=file>")) return { kind: "assignment", to: "files", isList: false };
  return kindOf(placeholder.replace(/\W/g, ""));
}

function argumentOf(argument: Argument): ModelArgument {
  return {
    name: argument.name(),
    description: argument.description,
    isRequired: argument.required,
    isRepeatable: argument.variadic,
    value: argument.argChoices ? wordsOf(argument.argChoices) : kindOf(argument.name()),
  };
}

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
  return { kind: /file|path|library|soname/.test(name) ? "files" : "text" };
}
