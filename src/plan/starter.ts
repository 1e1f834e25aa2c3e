// Does a program exist to start others? Then that nothing of its launch has been linked is worth a line.

import { basename } from "node:path";
import { ElfError } from "../../lib/elf/error.ts";
import { openImage } from "../../lib/elf/file.ts";
import { unlessRefused } from "../../lib/system-error.ts";

/** By name. */
export const SHELLS: ReadonlySet<string> = new Set(["ash", "bash", "dash", "ksh", "mksh", "sh", "zsh"]);

const STARTING = [
  ...["execve", "execv", "execvp", "execvpe", "execveat", "fexecve", "execl", "execle", "execlp"],
  ...["posix_spawn", "posix_spawnp", "system", "popen"],
];

/**
 * By what it refers to. Scripts do, and what is not dynamically linked or of another class; not a shell that somebody
 * talks to, or an interpreter that is given a few words (`-c`): who has written them knows.
 */
export function startsOthers(path: string, list: readonly string[]): boolean {
  if (SHELLS.has(basename(path)) && list.length === 0) return false;
  if (/^-\w*[ce]$/.test(list[0] ?? "")) return false;
  return canStart(path);
}

/** Also where it cannot be read. */
function canStart(path: string): boolean {
  const names = unlessRefused(() => {
    try {
      using image = openImage(path);
      return Buffer.from(image.strings.bytes).toString("latin1");
    } catch (error) {
      if (error instanceof ElfError) return undefined;
      throw error;
    }
  });
  return names === undefined || STARTING.some((name) => names.includes(`\0${name}\0`));
}
