// Completions for zsh, by its own _arguments.

import type { Model, ModelArgument, ModelCommand, ModelOption, Value } from "./model.ts";

export function zshCompletions({ name, options, commands }: Model): string {
  const described = [...commands, { name: "help", summary: "say how a command is used" }];
  return `#compdef ${name}
# zsh completion of ${name}: source <(${name} completions zsh)
# or, as _${name}, in a directory of fpath. Made from the definitions of its command line.

_${name}_commands() {
  local -a commands=(
${described.map((command) => `    ${quoted(`${command.name}:${command.summary}`)}`).join("\n")}
  )
  _describe -t commands 'command' commands
}

# Words with their descriptions: word:description.
_${name}_words() {
  local -a words=("$@")
  _describe -t values value words
}

_${name}_words_or_directories() {
  _${name}_words "$@"
  _directories
}

_${name}() {
  local curcontext=$curcontext state line
  local -A opt_args
  _arguments -C \\
${options.map((option) => `    ${specOf(option)} \\`).join("\n")}
    '1:command:_${name}_commands' \\
    '*::argument:->argument'
  [[ $state == argument ]] || return
  curcontext="\${curcontext%:*:*}:${name}-$words[1]:"
  case $words[1] in
    help) _arguments '1:command:_${name}_commands' ;;
${commands.map(caseOf).join("\n")}
  esac
}

if [[ $funcstack[1] == _${name} ]]; then
  _${name} "$@"
else
  compdef _${name} ${name}
fi
`;
}

function caseOf(command: ModelCommand): string {
  const specs = [...command.options.map(specOf), ...command.arguments.map(positional)];
  // Options end at the program.
  const head = command.endsAtProgram ? `_arguments -S -A '-*'` : "_arguments -S";
  return `    ${command.name})\n      ${head} \\\n${specs.map((spec) => `        ${spec}`).join(" \\\n")}\n      ;;`;
}

function specOf({ names, description, placeholder, value, isOptional, isRepeatable }: ModelOption): string {
  const text = `[${escaped(description)}]`;
  const message = placeholder?.replace(/\W/g, "") ?? "";
  const long = names.filter((name) => name.startsWith("--")).length > 0;
  const action = value ? `${isOptional ? "::" : ":"}${message}:${actionOf(value)}` : "";
  const sign = isOptional ? "=-" : "=";
  const exclusive = isRepeatable ? "*" : names.includes("--help") ? "(- *)" : `(${names.join(" ")})`;
  const spec = (name: string) => `${name}${value && long && name.startsWith("--") ? sign : ""}${text}${action}`;
  return names.map((name) => quoted(`${exclusive}${spec(name)}`)).join(" ");
}

function positional({ name, value, isRequired, isRepeatable }: ModelArgument): string {
  if (value.kind === "programs-own") return quoted("*::argument:_normal");
  return quoted(`${isRepeatable ? "*" : isRequired ? "" : ":"}:${name}:${actionOf(value)}`);
}

function actionOf(value: Value): string {
  switch (value.kind) {
    case "words": {
      const list = Object.entries(value.words);
      if (value.isList)
        return `_values -s , value ${list.map(([word, text]) => `"${word}[${plain(text)}]"`).join(" ")}`;
      const words = list.map(([word, text]) => `"${word}\\:${plain(text)}"`).join(" ");
      return `_capsule_words${value.orDirectory ? "_or_directories" : ""} ${words}`;
    }
    case "directory":
      return "_directories";
    case "program":
      return "_command_names -e";
    case "file":
      return "_files";
    default:
      return " ";
  }
}

/** Without what would mean something inside of double quotes, or of a specification. */
const plain = (text: string): string => text.replace(/["\\$`[\]:]/g, "");

/** In a description of _arguments'. */
const escaped = (text: string): string => text.replace(/[[\]:\\]/g, "\\$&");

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
