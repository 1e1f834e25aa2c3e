// Completions for bash (3.2 and newer), with or without the package bash-completion. Of
// that comes what a program itself completes, behind `capsule exec PROGRAM`.

import type { Model, ModelCommand, ModelOption, Value } from "./model.ts";

export function bashCompletions({ name, options, commands }: Model): string {
  const values = commands.flatMap((command) =>
    command.options.flatMap((option) =>
      option.value ? [`${patternOf(command, option)}) ${fill(option.value)} ;;`] : [],
    ),
  );
  const positions = commands.flatMap((command) =>
    command.arguments.flatMap(({ value, isRepeatable }, i) =>
      value.kind === "programs-own" ? [] : [`${command.name}:${isRepeatable ? "*" : i}) ${fill(value)} ;;`],
    ),
  );
  const withValue = (isOptional: boolean) =>
    commands.flatMap((command) =>
      command.options
        .filter((option) => option.value && option.isOptional === isOptional)
        .map((option) => patternOf(command, option)),
    );
  return `# bash completion of ${name}: source <(${name} completions bash)
# Made from the definitions of its command line.

_${name}_words() {
  local word
  for word in "$@"; do [[ $word == "$current"* ]] && COMPREPLY+=("$word"); done
}

# Words with commas between them: what is before the last comma stays.
_${name}_list() {
  local before= word
  [[ $current == *,* ]] && before=\${current%,*},
  for word in "$@"; do
    [[ ,$before == *,$word,* ]] || { [[ $before$word == "$current"* ]] && COMPREPLY+=("$before$word"); }
  done
}

_${name}_paths() {
  local path
  compopt -o filenames 2>/dev/null
  while IFS= read -r path; do COMPREPLY+=("$path"); done < <(compgen "$1" -- "$current")
}

# What PATH has, or else a path.
_${name}_program() {
  if [[ $current == */* ]]; then
    _${name}_paths -f
    return
  fi
  local directory file IFS=:
  for directory in $PATH; do
    for file in "$directory/$current"*; do
      [[ -f $file && -x $file ]] && COMPREPLY+=("\${file##*/}")
    done
  done
  _${name}_paths -d
}

_${name}_value() {
  case $1 in
${indented(values, 4)}
  esac
}

_${name}_argument() {
  case $1 in
${indented(positions, 4)}
  esac
}

_${name}_options() {
  case $1 in
${indented(
  commands.map((command) => `${command.name}) _${name}_words ${namesOf(command.options)} ;;`),
  4,
)}
    *) _${name}_words ${namesOf(options)} ;;
  esac
}

_${name}() {
  local current=\${COMP_WORDS[COMP_CWORD]} command= option= word i
  local -i count=0 ended=0
  COMPREPLY=()
  # bash takes --mode=auto for three words.
  [[ $current == = ]] && current=
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    [[ $word == = ]] && continue
    if [[ -n $option ]]; then
      option=
      continue
    fi
    if [[ $word == -- && -n $command && $ended -eq 0 ]]; then
      ended=1
    elif [[ $word == -?* && $ended -eq 0 ]]; then
      case $command:$word in
        ${withValue(false).join(" | ")}) option=$word ;;
        ${withValue(true).join(" | ")}) [[ \${COMP_WORDS[i + 1]} == = ]] && option=$word ;;
      esac
    elif [[ -z $command ]]; then
      command=$word
    else
      case $command in
        ${commands
          .filter(({ endsAtProgram }) => endsAtProgram)
          .map((command) => command.name)
          .join(" | ")})
          # From here on it is the program's own command line.
          if declare -F _comp_command_offset >/dev/null; then
            _comp_command_offset $i
          elif declare -F _command_offset >/dev/null; then
            _command_offset $i
          else
            _${name}_paths -f
          fi
          return
          ;;
      esac
      count+=1
    fi
  done
  if [[ -n $option ]]; then
    _${name}_value "$command:$option"
  elif [[ $current == -* && $ended -eq 0 ]]; then
    _${name}_options "$command"
  elif [[ -z $command ]]; then
    _${name}_words ${[...commands.map((command) => command.name), "help"].join(" ")}
  elif [[ $command == help ]]; then
    _${name}_words ${commands.map((command) => command.name).join(" ")}
  else
    _${name}_argument "$command:$count"
  fi
}

complete -F _${name} ${name}
`;
}

const patternOf = (command: ModelCommand, { names }: ModelOption): string =>
  names.map((option) => `${command.name}:${option}`).join(" | ");

const namesOf = (options: readonly ModelOption[]): string => options.flatMap(({ names }) => names).join(" ");

function fill(value: Value): string {
  switch (value.kind) {
    case "words": {
      const words = `_capsule_${value.isList ? "list" : "words"} ${Object.keys(value.words).join(" ")}`;
      return value.orDirectory ? `${words}; _capsule_paths -d` : words;
    }
    case "directory":
      return "_capsule_paths -d";
    case "program":
      return "_capsule_program";
    case "file":
      return "_capsule_paths -f";
    default:
      return ":";
  }
}

const indented = (lines: readonly string[], by: number): string =>
  lines.map((line) => `${" ".repeat(by)}${line}`).join("\n");
