// Asks real shells what they would complete: bash and zsh in a terminal of their own (zsh's zpty), as their editors
// work nowhere else.

import { chmodSync } from "node:fs";
import { dirname, join } from "node:path";
import { COMMAND, command, run } from "../../support/run.ts";

export type Shell = "bash" | "zsh" | "fish";

/** The script that a shell is given. */
export async function scriptFor(shell: Shell, directory: string): Promise<string> {
  const { stdout, exitCode } = await command(["completions", shell]);
  if (exitCode !== 0) throw new Error(`capsule completions ${shell} ended with ${exitCode}`);
  const path = join(directory, `capsule.${shell}`);
  await Bun.write(path, stdout);
  return path;
}

/** Puts this command, of the sources, into a directory of PATH. */
export async function installCommand(directory: string): Promise<void> {
  const path = join(directory, "capsule");
  await Bun.write(path, `#!/bin/sh\nexec ${COMMAND.join(" ")} "$@"\n`);
  chmodSync(path, 0o755);
}

/** What is offered at the end of a command line, sorted, each once; without descriptions. */
export async function completed(
  shell: Shell,
  script: string,
  line: string,
  env: Record<string, string>,
): Promise<string[]> {
  const out = await asked([...OFFERS[shell], script, line, `${line.split(" ").length - 1}`], dirname(script), env);
  const words = out.split("\n").map((text) => text.split("\t", 1)[0]?.trim() ?? "");
  // zsh has options of compadd among them.
  return [...new Set(words.filter((word) => word !== "" && !["-J", "-default-"].includes(word)))].sort();
}

/** The words of a command line, as the shell reads it after a press of TAB at its end. */
export async function afterTab(
  shell: Shell,
  script: string,
  line: string,
  env: Record<string, string>,
): Promise<string[]> {
  const edited = (await asked([...EDITS[shell], script, line], dirname(script), env)).replace(/\n$/, "");
  const read = shell === "fish" ? "eval string join0 -- $argv[1]" : "eval printf '%s\\\\0' \"$1\"";
  const argv = shell === "fish" ? ["fish", "-c", read, edited] : [shell, "-c", read, shell, edited];
  return (await asked(argv, dirname(script), env)).split("\0").slice(0, -1);
}

async function asked([program = "", ...args]: string[], home: string, env: Record<string, string>): Promise<string> {
  // A home of its own, as fish writes to it.
  const own = { HOME: home, XDG_CONFIG_HOME: home, XDG_DATA_HOME: home, TERM: "xterm" };
  const { stdout, stderr, exitCode } = await run([program, ...args], { env: { ...own, ...env }, timeout: 20_000 });
  if (stderr !== "" || exitCode !== 0) throw new Error(`${program}: ${exitCode}\n${stderr}\n${stdout}`);
  return stdout;
}

const inTerminal = (start: string, keys: string): string => `
zmodload zsh/zpty
export SCRIPT=$1 GIVEN=$3 OUT=$(mktemp)
say() { zpty -w shell "$1" }
${start}
zpty -r shell text '*READY*'
zpty -w -n shell "$2"$'${keys}'
zpty -r shell text '*DONE*'
cat $OUT
rm -f $OUT
`;

const bash = (finish: string, key: string) =>
  inTerminal(
    `
zpty shell bash --norc --noprofile -i
say 'PS1=; stty -echo; bind "set enable-bracketed-paste off"; if [[ -n $WITH_BASH_COMPLETION ]]; then source "$WITH_BASH_COMPLETION"; fi'
say 'source $SCRIPT; finish() { ${finish} >$OUT; printf DO; printf NE; }; bind -x "\\"\\\\C-t\\": finish"; bind "\\"\\\\C-o\\": insert-completions"; printf REA; printf DY'`,
    key,
  );

const zsh = (widget: string) =>
  inTerminal(
    `
zpty shell zsh -f -i
say 'PS1=; stty -echo; autoload -Uz compinit; compinit -D -u; source $SCRIPT'
${widget}
say 'zle -N finish; bindkey "^T" finish; print -n REA; print DY'`,
    "\\x14",
  );

/** Matches are what is given to compadd. */
const ZSH_OFFERS = `
say 'compadd() { local -a hits; if [[ \${@[1,(i)(-|--)]} != *-(O|A|D)\\ * ]]; then builtin compadd -A hits "$@"; print -rl -- $hits >> $OUT; fi; builtin compadd "$@" }'
say 'finish() { zle complete-word; print -n DO; print NE; exit }'`;

const ZSH_EDITS = `
say 'finish() { zle complete-word; print -r -- "$BUFFER" >$OUT; print -n DO; print NE; exit }'`;

const FISH_EDITS = inTerminal(
  `zpty shell fish -i -C '"source $SCRIPT; function finish; commandline > $OUT; printf DO; printf NE; end; bind \\\\ct finish; function fish_prompt; printf REA; printf DY; end; function fish_greeting; end"'`,
  "\\t\\x14",
);

/** All completions are put into the line; what was in it before the cursor's word is left out. */
const BASH_OFFERS = `if [[ $READLINE_LINE != "$TYPED" ]]; then eval "set -- $READLINE_LINE"; shift $GIVEN; printf "%s\\n" "$@"; fi`;

const OFFERS: Readonly<Record<Shell, readonly string[]>> = {
  bash: ["zsh", "-f", "-c", `export TYPED=$2\n${bash(BASH_OFFERS, "\\x0f\\x14")}`, "zsh"],
  zsh: ["zsh", "-f", "-c", zsh(ZSH_OFFERS), "zsh"],
  fish: ["fish", "-c", 'source $argv[1]; complete -C "$argv[2]"'],
};

const EDITS: Readonly<Record<Shell, readonly string[]>> = {
  bash: ["zsh", "-f", "-c", bash('printf "%s\\n" "$READLINE_LINE"', "\\t\\x14"), "zsh"],
  zsh: ["zsh", "-f", "-c", zsh(ZSH_EDITS), "zsh"],
  fish: ["zsh", "-f", "-c", FISH_EDITS, "zsh"],
};
