// Has commander know options that are data.

import { type Command, Option } from "commander";
import { ChoiceOption } from "../command-line/model.ts";
import { collectorOf, type Options } from "../command-line/options.ts";
import { RUN_OPTIONS } from "./execute.ts";
import { TREE_OPTIONS } from "./tree-options.ts";

export function addOptions(command: Command, options: Options): Command {
  for (const [flags, described] of Object.entries(options)) {
    const [text, words, takes] = typeof described === "string" ? [described] : described;
    const option = words ? new ChoiceOption(flags, text, words, takes) : new Option(flags, text);
    const collect = collectorOf(text);
    if (collect) option.argParser(collect);
    command.addOption(option);
  }
  return command;
}

export const addTreeOptions = (command: Command): Command => addOptions(command, TREE_OPTIONS);

/** Options that control how a program runs. */
export const addRunOptions = (command: Command): Command => addOptions(command, RUN_OPTIONS);
