// What scripts do to the environment, as far as their text tells: who empties it takes capsule out of it.

import { readFileSync, statSync } from "node:fs";
import { basename } from "node:path";
import { unlessRefused } from "../../lib/system-error.ts";
import { isShells } from "./program.ts";

/** In bytes; scripts are not that long. */
const LONGEST = 1 << 20;

const SHELLS: ReadonlySet<string> = new Set(["ash", "bash", "dash", "ksh", "mksh", "sh", "zsh"]);

/** env(1) with -i, and a shell's exec with -c. */
const EMPTYING = [
  /(?:^|[\s;&|(`/])env\s+(?:-\S+\s+)*(?:-|-[A-Za-z0]*i[A-Za-z]*|--ignore-environment)(?:\s|$)/,
  /(?:^|[\s;&|(`])exec\s+(?:-[al]\s+)*-[al]*c[al]*\s/,
];

/** A sentence for each script among a command line that starts something with an empty environment: the first place. */
export function emptiedEnvironments(program: string, list: readonly string[]): string[] {
  const isShell = SHELLS.has(basename(program));
  const inWords = [program, ...list].flatMap((word, i) => {
    if (isShell && i > 1 && /^-\w*c$/.test(list[i - 2] ?? "")) return sentence("the command", word);
    const text = textOf(word);
    return text === undefined ? [] : sentence(`"${word}"`, text);
  });
  return inWords.length > 0 ? inWords : sentence("the command", [program, ...list].join(" "));
}

function sentence(whose: string, text: string): string[] {
  const lines = text.split("\n");
  const index = lines.findIndex((line) => !/^\s*#/.test(line) && EMPTYING.some((pattern) => pattern.test(line)));
  if (index < 0) return [];
  const where = lines.length > 1 ? ` in line ${index + 1}` : "";
  return [
    `${whose} empties the environment${where} (${lines[index]?.trim()}): what is started so has no isolated libraries`,
  ];
}

/** Of a script; undefined for anything else. */
function textOf(path: string): string | undefined {
  return unlessRefused(() => {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (!stat?.isFile() || stat.size > LONGEST) return undefined;
    const text = readFileSync(path, "latin1");
    return text.startsWith("#!") || isShells(path) ? text : undefined;
  });
}
