// How long the commands take that look at files: each as a user starts it, on glxinfo and what it needs, with what is
// known of libraries from earlier runs and without; beside Bun alone.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { BUN_ALONE, COMMAND } from "./command.ts";
import { column, type Table } from "./report.ts";
import { type Command, inTurns, medianDuration } from "./sample.ts";
import { LIBRARIES, type Subjects } from "./subjects.ts";

/** `libLLVM` is the file of the largest library around. */
export function commands({ glxinfo }: Subjects, host: string, libLLVM: string, rounds: number): Table {
  const { env } = glxinfo.command("attached");
  const known = join(env.XDG_CACHE_HOME ?? "", "capsule", "libraries.json");
  const of = (...words: string[]): Command => ({ argv: [...COMMAND.argv, ...words], env });
  const afresh = (command: Command): Command => ({ ...command, prepare: () => rmSync(known, { force: true }) });
  const libGL = join(host, LIBRARIES[1] ?? "", "libGL.so.1");
  const rows: Record<string, Command> = {
    "plan glxinfo": of("plan", "--host", host, "glxinfo", "-B"),
    "tree glxinfo": of("tree", "--host", host, "glxinfo"),
    "tree -vvv glxinfo": of("tree", "--host", host, "-vvv", "glxinfo"),
    "why libX11.so.6": of("why", "--host", host, "--program", "glxinfo", "libX11.so.6"),
    "graph glxinfo": of("graph", "--host", host, "glxinfo"),
    "doctor glxinfo": of("doctor", "--host", host, "glxinfo"),
    "dump libGL.so.1": of("dump", libGL),
    "symbols libGL.so.1": of("symbols", libGL),
    "version libGL.so.1": of("version", "--host", host, "libGL.so.1"),
    "symbols libLLVM": of("symbols", libLLVM),
    "link --explain glxinfo": of("link", "--explain", "glxinfo"),
    "completions zsh": of("completions", "zsh"),
    "--help": of("--help"),
  };
  const alone = medianDuration(inTurns({ alone: { argv: BUN_ALONE, env } }, rounds).alone);
  const warm = inTurns(rows, rounds);
  const cold = inTurns(Object.fromEntries(Object.entries(rows).map(([name, one]) => [name, afresh(one)])), rounds);
  return {
    title: `Commands, from start to end, in ms; Bun alone takes ${alone.toFixed(1)}`,
    columns: [column("what is known of libraries kept", 1), column("not kept", 1)],
    rows: Object.keys(rows).map((label) => ({
      label,
      cells: [warm[label], cold[label]].map((samples) => samples && medianDuration(samples)),
    })),
  };
}
