// Completions for bash (4.0 and newer), with or without the bash-completion package. Only with the package are a
// program's own completions offered after `capsule exec PROGRAM`.
//
// Bash also splits words at "=" and ":", so the line is parsed here. Bash accepts only candidates that match what is
// typed, quoted in the same way.

import { accessSync, constants, readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { unlessRefused } from "../../lib/unless.ts";
import { complete, type Shell } from "./complete.ts";
import type { Model } from "./model.ts";
import { typedWords } from "./typed-line.ts";

const STUB = `# bash completion of capsule: source <(capsule completions bash)
_capsule() {
  local capsule=capsule rest word
  [[ $1 == */* ]] && capsule=\${1/#\\~\\//"$HOME"/}
  COMPREPLY=()
  {
    IFS= read -r -d '' rest
    while IFS= read -r -d '' word; do COMPREPLY+=("$word"); done
  } < <("$capsule" __complete bash "\${COMP_LINE:0:COMP_POINT}" "$2" "\${COMP_WORDS[@]:0:COMP_CWORD+1}" 2>/dev/null)
  case $rest in
    files) compopt -o default ;;
    directories) compopt -o filenames -o plusdirs ;;
    programs) [[ \${COMPREPLY[0]} == */ ]] && compopt -o nospace ;;
    [0-9]*)
      # From that word on it is the program's own command line.
      if declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "$rest"
      elif declare -F _command_offset >/dev/null; then
        _command_offset "$rest"
      else
        compopt -o default
      fi
      ;;
  esac
}

complete -F _capsule capsule
`;

/**
 * The arguments are the line up to the cursor, the part of it that bash replaces, and the words as bash splits them.
 */
function answer([line = "", replaced = "", ...split]: readonly string[], model: Model): string[] {
  const typed = typedWords(line, "bash");
  const current = typed.at(-1);
  if (!current) return [""];
  const words = typed.map(({ text }) => text);
  const { program, stays, paths, words: offered } = complete(model, words);
  if (program !== undefined) return [`${indexOf(typed[program]?.start ?? 0, line, split)}`];
  const rest = current.text.slice(stays.text.length);
  if (paths === "programs" && rest.includes("/")) return ["files"];
  const all = paths === "programs" ? programsFrom(rest) : offered.map(({ word }) => word);
  const fitting = new Set(all.filter((word) => word.startsWith(rest)));
  // After "=" bash replaces nothing, yet it passes "=" where other programs pass the text to replace.
  const length = /^[=:]/.test(replaced) ? 0 : replaced.length;
  const kept = current.lengthTo(line.length - length);
  return [paths ?? "", ...Array.from(fitting, (word) => quoted((stays.text + word).slice(kept), current.quote))];
}

/** The index of the bash word that begins at a place in the line. */
function indexOf(place: number, line: string, split: readonly string[]): number {
  let end = 0;
  return split.findIndex((word) => {
    const start = line.indexOf(word, end);
    end = start + word.length;
    return start >= place;
  });
}

/** Programs in PATH, and directories that may contain one. */
function programsFrom(beginning: string): string[] {
  const path = (process.env.PATH ?? "").split(":");
  const programs = path.flatMap((directory) => entriesOf(directory || ".", beginning).filter(isProgram));
  const directories = entriesOf(".", beginning).filter(isDirectory);
  return [...programs.map((program) => basename(program)), ...directories.map((directory) => `${directory}/`)];
}

/** Empty if the directory does not exist or cannot be read. */
function entriesOf(directory: string, beginning: string): string[] {
  const names = unlessRefused(() => readdirSync(directory)) ?? [];
  return names.filter((name) => name.startsWith(beginning)).map((name) => join(directory, name));
}

const isDirectory = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

const isProgram = (path: string): boolean =>
  unlessRefused(() => {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  }) ?? false;

function quoted(word: string, quote: string): string {
  if (quote === '"') return word.replace(/["\\$`]/g, "\\$&");
  if (quote === "'") return word.replaceAll("'", "'\\''");
  const escaped = word.replace(/['\\]/g, "\\$&").replaceAll("\n", "\\n");
  if (quote === "$'") return escaped;
  return word.includes("\n") ? `$'${escaped}'` : word.replace(/[^\w@%+=:,./-]/g, "\\$&");
}

export const BASH: Shell = { stub: STUB, answer };
