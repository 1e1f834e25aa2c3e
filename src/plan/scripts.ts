// Finds scripts that empty the environment, as far as their text shows: this removes capsule's variables from it.

import { statSync } from "node:fs";
import { basename } from "node:path";
import { readBeginning } from "../../lib/regular-file.ts";
import { unlessRefused } from "../../lib/unless.ts";
import { isShells } from "./program.ts";

/** In bytes; no script is longer. */
const LONGEST = 1 << 20;

const SHELLS: ReadonlySet<string> = new Set(["ash", "bash", "dash", "ksh", "mksh", "sh", "zsh"]);

/**
 * One sentence for each script in a command line, about the first place that starts something with an empty
 * environment.
 */
export function emptiedEnvironments(program: string, list: readonly string[]): string[] {
  const isShell = SHELLS.has(basename(program));
  const inWords = [program, ...list].flatMap((word, i) => {
    if (isShell && i > 1 && /^-\w*c$/.test(list[i - 2] ?? "")) return sentence("the command", word);
    const text = textOf(word);
    return text === undefined ? [] : sentence(`"${word}"`, text);
  });
  if (inWords.length > 0 || !empties([program, ...list])) return inWords;
  return [emptiedBy("the command", [program, ...list].join(" "))];
}

const emptiedBy = (whose: string, command: string): string =>
  `${whose} empties the environment (${command}): what is started so has no isolated libraries`;

function sentence(whose: string, text: string): string[] {
  const lines = text.split("\n");
  const found = commandsIn(text).find(({ words }) => empties(words));
  if (!found) return [];
  const where = lines.length > 1 ? `line ${found.line}, ` : "";
  return [emptiedBy(whose, `${where}${lines[found.line - 1]?.trim()}`)];
}

interface Command {
  readonly words: readonly string[];
  /** Line number of its start, from 1. */
  readonly line: number;
}

/** Roughly the simple commands in a shell's text. Handles quotes, comments and continued lines; expands nothing. */
function commandsIn(text: string): Command[] {
  const commands: { words: string[]; line: number }[] = [];
  let line = 1;
  let isNew = true;
  const tokens =
    /\\\n|[^\S\n]+|#[^\n]*|\n|[;&|()`{}]+|((?:\\.|'[^']*'|"(?:\\[\s\S]|[^"\\])*"|[^\s;&|()`{}'"\\])+)|[\s\S]/g;
  for (const [token, word] of text.matchAll(tokens)) {
    if (word !== undefined) {
      const plain = word.replace(/\\(.)|'([^']*)'|"((?:\\[\s\S]|[^"\\])*)"/g, "$1$2$3");
      if (isNew) commands.push({ words: [], line });
      commands.at(-1)?.words.push(plain);
      isNew = false;
    } else if (/^[\n;&|()`{}]/.test(token)) isNew = true;
    line += token.split("\n").length - 1;
  }
  return commands;
}

const BOTH_VARIABLES = ["LD_AUDIT", "LD_LIBRARY_PATH"];
/** Commands that print their words. */
const WRITERS: ReadonlySet<string> = new Set(["echo", "printf", ":"]);
/** Options of env(1) and of a shell's exec whose value is the next word. */
const WITH_VALUE = /^-(?:[A-Za-z0]*[uCa]|-unset|-chdir|-argv0)$/;

/** True for env(1) with -i, exec with -c, unset of both variables, and a shell whose -c command does one of these. */
function empties(words: readonly string[]): boolean {
  const [first = ""] = words;
  if (WRITERS.has(first)) return false;
  if (first === "unset") return BOTH_VARIABLES.every((name) => words.includes(name));
  for (const [i, word] of words.entries()) {
    const rest = words.slice(i + 1);
    if (word === "exec" && optionsIn(rest).some((option) => /^-[al]*c[al]*$/.test(option))) return true;
    if (basename(word) === "env" && optionsIn(rest).some(isIgnoring)) return true;
    const isGiven = /^-\w*c$/.test(words[i - 1] ?? "") && words.slice(0, i).some((one) => SHELLS.has(basename(one)));
    if (isGiven && commandsIn(word).some((command) => empties(command.words))) return true;
  }
  return false;
}

/** The options before the first other word. */
function optionsIn(words: readonly string[]): string[] {
  const options: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    if (!word.startsWith("-") || word === "--") break;
    options.push(word);
    if (WITH_VALUE.test(word)) i++;
    // The words of -S become words of the command line.
    const [, joined] = /^(?:-[A-Za-z0]*S|--split-string=)(.*)$/s.exec(word) ?? [];
    if (joined === "" || word === "--split-string")
      return [...options, ...optionsIn((words[i + 1] ?? "").split(/\s+/))];
    if (joined) return [...options, ...optionsIn(joined.trim().split(/\s+/))];
  }
  return options;
}

const isIgnoring = (option: string): boolean =>
  option === "-" ||
  /^-[A-Za-z0]*i[A-Za-z0]*$/.test(option.replace(/[uCaS].*$/, "")) ||
  (/^--i/.test(option) && "--ignore-environment".startsWith(option));

/** The text of a script; undefined for any other file. */
function textOf(path: string): string | undefined {
  return unlessRefused(() => {
    // The word may be any file's name: opening a FIFO would be noticed by its writer.
    const stat = statSync(path, { throwIfNoEntry: false });
    if (!stat?.isFile() || stat.size > LONGEST) return undefined;
    const text = readBeginning(path, stat.size).toString("latin1");
    return text.startsWith("#!") || isShells(path) ? text : undefined;
  });
}
