// Asks real shells what they would complete.

import { dirname, join } from "node:path";
import { command, run } from "../../support/run.ts";

export type Shell = "bash" | "zsh" | "fish";

/** The script that a shell is given. */
export async function scriptFor(shell: Shell, directory: string): Promise<string> {
  const { stdout, exitCode } = await command(["completions", shell]);
  if (exitCode !== 0) throw new Error(`capsule completions ${shell} ended with ${exitCode}`);
  const path = join(directory, `capsule.${shell}`);
  await Bun.write(path, stdout);
  return path;
}

/** What is offered at the end of a command line, sorted, each once; without descriptions. */
export async function completed(
  shell: Shell,
  script: string,
  line: string,
  env: Record<string, string>,
): Promise<string[]> {
  const [program, ...args] = COMMANDS[shell](script, line);
  // A home of its own, as fish writes to it.
  const home = dirname(script);
  const own = { HOME: home, XDG_CONFIG_HOME: home, XDG_DATA_HOME: home };
  const { stdout, stderr, exitCode } = await run([program ?? "", ...args], {
    env: { ...own, ...env },
    timeout: 20_000,
  });
  if (stderr !== "" || exitCode !== 0) throw new Error(`${shell}: ${exitCode}\n${stderr}\n${stdout}`);
  const words = stdout.split("\n").map((text) => text.split("\t", 1)[0]?.trim() ?? "");
  // zsh has options of compadd among them.
  return [...new Set(words.filter((word) => word !== "" && !["-J", "-default-"].includes(word)))].sort();
}

const COMMANDS: Record<Shell, (script: string, line: string) => string[]> = {
  bash: (script, line) => ["bash", "--norc", "-c", BASH, "bash", script, line],
  fish: (script, line) => ["fish", "-c", 'source $argv[1]; complete -C "$argv[2]"', script, line],
  zsh: (script, line) => ["zsh", "-f", "-c", ZSH, "zsh", script, line],
};

// The words as readline splits them, by COMP_WORDBREAKS.
const BASH = `
if [[ -n $WITH_BASH_COMPLETION ]]; then source "$WITH_BASH_COMPLETION"; fi
source "$1"
COMP_LINE=$2 COMP_POINT=\${#2}
COMP_WORDS=()
rest=$2
while [[ $rest =~ ^\\ *(=|[^\\ =]+)(.*)$ ]]; do COMP_WORDS+=("\${BASH_REMATCH[1]}"); rest=\${BASH_REMATCH[2]}; done
[[ $2 == *\\  ]] && COMP_WORDS+=("")
COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
_capsule capsule "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "\${COMPREPLY[@]}"
`;

// In a terminal of its own, as zle works nowhere else: matches are what is given to compadd.
const ZSH = `
zmodload zsh/zpty
export SCRIPT=$1 OUT=$(mktemp)
zpty shell zsh -f -i
say() { zpty -w shell "$1" }
say 'PS1=; stty -echo; autoload -Uz compinit; compinit -D -u; source $SCRIPT'
say 'compadd() { local -a hits; if [[ \${@[1,(i)(-|--)]} != *-(O|A|D)\\ * ]]; then builtin compadd -A hits "$@"; print -rl -- $hits >> $OUT; fi; builtin compadd "$@" }'
say 'finish() { zle complete-word; print -n DO; print NE; exit }; zle -N finish; bindkey "^T" finish; print -n REA; print DY'
zpty -r shell text '*READY*'
zpty -w -n shell "$2"$'\\x14'
zpty -r shell text '*DONE*'
cat $OUT
rm -f $OUT
`;
