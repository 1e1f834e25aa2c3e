// Which functions of isolated libraries a launcher has put others in the place of, looked
// at before anything is done.

import { openImage } from "../lib/elf/file.ts";
import { LinkError } from "../lib/loader/error.ts";
import type { Search } from "../lib/tree/search.ts";
import { UsageError } from "./errors.ts";
import { fileAt } from "./file-at.ts";
import { type ChosenGlibc, checkNeeds } from "./glibc/choice.ts";
import type { Hook } from "./launch.ts";
import { lacks } from "./passes/hooks.ts";

/** `SONAME:SYMBOL=FILE` or `SONAME:SYMBOL=FILE:FUNCTION`, where that has another name. Throws UsageError, and LinkError for a file that is not there. */
export function hookOf(text: string): Hook {
  const [, soname, symbol, path, name] = /^([^:=/]+):([^:=]+)=(.+?)(?::([^:/]+))?$/s.exec(text) ?? [];
  if (soname === undefined || symbol === undefined || path === undefined)
    throw new UsageError(`Cannot hook "${text}": SONAME:SYMBOL=FILE or SONAME:SYMBOL=FILE:FUNCTION is needed`);
  return { soname, symbol, file: fileAt(path, `Cannot hook "${text}":`), function: name ?? symbol };
}

/** The hooks of one host tree's libraries. Throws LinkError and ElfError for those that cannot be. */
export function hooksIn(
  hooks: readonly Hook[],
  search: Search,
  isIsolated: (soname: string) => boolean,
  glibc: ChosenGlibc,
): Hook[] {
  return hooks.filter((hook) => {
    const library = isIsolated(hook.soname) ? search.find(hook.soname, undefined) : undefined;
    if (!library) return false;
    for (const [file, name] of [
      [library.path, hook.symbol],
      [hook.file, hook.function],
    ] as const) {
      using image = openImage(file);
      if (image.find(name) === undefined) throw lacks(hook, file, name);
    }
    checkNeeds([search.libraryAt(hook.file)], glibc);
    return true;
  });
}

/** `chosen` are those of all host trees. Throws LinkError for one that is of none. */
export function refuseOtherHooks(hooks: readonly Hook[], chosen: readonly Hook[]): void {
  for (const hook of hooks)
    if (!chosen.includes(hook))
      throw new LinkError(`Cannot hook "${hook.symbol}" of "${hook.soname}": that is not an isolated library`, {
        object: hook.soname,
        symbol: hook.symbol,
      });
}
