// What was probably meant by a command line that does not begin with a command: `capsule ./game`, as with other wrappers
// (env, nice, gamemoderun), `capsule run game`, or options in front of the command.

import type { Command } from "commander";
import { unless } from "../../lib/unless.ts";
import { modelOf } from "../command-line/model.ts";
import { ProgramError, UsageError } from "../diagnostics/errors.ts";
import { locateProgram } from "../plan/program.ts";
import { suggestion } from "../settings/nearest.ts";
import { quoted } from "../settings/source.ts";

/** What other tools call `exec`. */
const RUN = ["run", "start", "launch", "execute"];

/** Throws UsageError, with the line that was probably meant. `words` are those after the command's own name. */
export function refuseMistyped(root: Command, words: readonly string[]): void {
  const model = modelOf(root);
  const names = ["help", ...model.commands.map(({ name }) => name)];
  const [first] = words;
  if (first === undefined || names.includes(first)) return;
  if (model.options.some((option) => option.names.includes(first))) return;

  // Options of any command, with their values, then a command or a program.
  const known = model.commands.flatMap(({ options }) => options);
  let end = 0;
  for (let word = first; /^-./.test(word) && word !== "--"; word = words[end] ?? "") {
    const option = known.find((one) => one.names.includes(word.replace(/=.*/s, "")));
    if (!option) break;
    end += option.value && !option.isOptional && !word.includes("=") ? 2 : 1;
  }
  const options = words.slice(0, end);
  const [subject, ...rest] = words.slice(end);
  const line = (...meant: readonly string[]) => ["capsule", ...meant].map(inShell).join(" ");
  if (options.length > 0) {
    if (subject === undefined)
      throw new UsageError(`Cannot use ${quoted(first)}: a command has to come before it, such as exec`);
    const meant = names.includes(subject)
      ? line(subject, ...options, ...rest)
      : line("exec", ...options, subject, ...rest);
    throw new UsageError(
      `Cannot use ${quoted(first)} before the command: options come after it; did you mean: ${meant}`,
    );
  }
  // An option that there is nowhere: commander reports it.
  if (first.startsWith("-")) return;
  const isRun = RUN.includes(first) && rest.length > 0;
  const isProgram = first.includes("/") || unless([ProgramError], () => locateProgram(first)) !== undefined;
  const meant = isRun ? line("exec", ...rest) : isProgram ? line("exec", ...words) : undefined;
  const near = meant === undefined ? suggestion(first, names) : `did you mean: ${meant}`;
  throw new UsageError(`There is no command ${quoted(first)}: ${near}`);
}

/** A word as a POSIX shell takes it. */
const inShell = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
