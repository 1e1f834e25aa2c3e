// Completions for fish (3.4 and newer).

import type { Model, ModelCommand, ModelOption, Value } from "./model.ts";

export function fishCompletions({ name, options, commands }: Model): string {
  const withValue = [
    ...new Set(
      commands.flatMap((command) =>
        command.options.filter(({ value, isOptional }) => value && !isOptional).flatMap(({ names }) => names),
      ),
    ),
  ];
  const wrapping = commands.filter(({ endsAtProgram }) => endsAtProgram).map((command) => command.name);
  return `# fish completion of ${name}: ${name} completions fish | source
# Made from the definitions of its command line.

# What is before the cursor: the command, and its own arguments.
function __${name}_given
    set -l skip
    set -l ended
    set -l given
    for token in (commandline -opc)[2..]
        if set -q skip[1]
            set -e skip
            set -l skip
        else if not set -q ended[1]; and contains -- $token ${withValue.join(" ")}
            set skip yes
        else if not set -q ended[1]; and test "$token" = --
            set ended yes
        else if not set -q ended[1]; and string match -q -- '-*' $token
            continue
        else
            set -a given $token
            contains -- "$given[1]" ${wrapping.join(" ")}; and test (count $given) -eq 2; and set ended yes
        end
    end
    string join -- \\n $given
end

# Is it that command, with so many arguments of its own? -1 for any number.
function __${name}_is
    set -l given (__${name}_given)
    test "$given[1]" = $argv[1]; or return 1
    test $argv[2] -lt 0; or test (math (count $given) - 1) -eq $argv[2]
end

# The rest as a command line of its own.
function __${name}_program
    set -l given (__${name}_given)
    # No program's name begins so.
    test (count $given) -lt 2; and string match -q -- '-*' (commandline -ct); and return
    set -l line (string join ' ' -- (string escape -- $given[2..]) (commandline -ct))
    complete --do-complete="$line"
end

# Words, each with its description.
function __${name}_words
    printf '%s\\t%s\\n' $argv
end

# The same, with commas between the words: what is before the last comma stays.
function __${name}_list
    set -l before (string replace -rf '^(.*,)[^,]*$' '$1' -- (commandline -ct))
    for line in (__${name}_words $argv)
        contains -- (string split -f 1 \\t -- $line) (string split , -- "$before"); or printf '%s%s\\n' "$before" $line
    end
end

complete -c ${name} -f
${options.map((option) => `complete -c ${name} -n 'not __${name}_given | string length -q' ${flagsOf(option)}`).join("\n")}
${[...commands, { name: "help", summary: "say how a command is used" }]
  .map(
    (command) =>
      `complete -c ${name} -n 'not __${name}_given | string length -q' -a ${command.name} -d ${quoted(command.summary)}`,
  )
  .join("\n")}
${commands.map((command) => `complete -c ${name} -n '__${name}_is help 0' -a ${command.name}`).join("\n")}

${commands.map((command) => completionsOf(name, command)).join("\n\n")}
`;
}

function completionsOf(name: string, command: ModelCommand): string {
  const isHere = (count: number) => `-n '__${name}_is ${command.name} ${count}'`;
  const last = command.endsAtProgram ? 0 : -1;
  return [
    ...command.options.map((option) => `complete -c ${name} ${isHere(last)} ${flagsOf(option)}`),
    ...command.arguments.flatMap(({ value, isRepeatable }, i) => {
      if (value.kind === "text") return [];
      if (value.kind === "programs-own")
        return [
          `complete -c ${name} -n '__${name}_is ${command.name} -1; and not __${name}_is ${command.name} 0' -a '(__${name}_program)'`,
        ];
      return [`complete -c ${name} ${isHere(isRepeatable ? -1 : i)} ${argumentsOf(value)}`];
    }),
  ].join("\n");
}

function flagsOf({ names, description, value, isOptional }: ModelOption): string {
  const flags = names.map((name) => (name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`)).join(" ");
  const takes = value ? `${isOptional ? "" : " -r"} ${argumentsOf(value)}` : "";
  return `${flags}${takes} -d ${quoted(description)}`;
}

/** -F completes files, too. */
function argumentsOf(value: Value): string {
  switch (value.kind) {
    case "words": {
      const words = Object.entries(value.words).map(([word, text]) => `${word} ${doublyQuoted(text)}`);
      const list = `__capsule_${value.isList ? "list" : "words"} ${words.join(" ")}`;
      return `-f -a ${quoted(`(${list}${value.orDirectory ? "; __fish_complete_directories" : ""})`)}`;
    }
    case "directory":
      return "-f -a '(__fish_complete_directories)'";
    case "program":
      return "-f -a '(__capsule_program)'";
    case "file":
      return "-F";
    default:
      return "-f";
  }
}

const quoted = (text: string): string => `'${text.replace(/['\\]/g, "\\$&")}'`;

const doublyQuoted = (text: string): string => `"${text.replace(/["\\$]/g, "\\$&")}"`;
