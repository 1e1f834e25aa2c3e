// Hooks: functions that a launcher puts in place of isolated libraries' own. They are checked before anything is done.

import { STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE } from "../../lib/elf/constants.ts";
import { openImage } from "../../lib/elf/file.ts";
import { typeOf } from "../../lib/elf/sym.ts";
import { LinkError } from "../../lib/link-error.ts";
import { closureFrom } from "../../lib/tree/closure.ts";
import { UsageError } from "../diagnostics/errors.ts";
import { fileAt } from "./file-at.ts";
import { type ChosenGlibc, checkNeeds } from "./glibc/choice.ts";
import type { Hook, OwnedTree } from "./host-tree.ts";
import { needsOfOutsider } from "./needs.ts";

/**
 * Parses `SONAME:SYMBOL=FILE`, or `SONAME:SYMBOL=FILE:FUNCTION` if the function has another name. Throws UsageError,
 * and LinkError for a file that does not exist.
 */
export function hookOf(text: string): Hook {
  const [, soname, symbol, path, name] = /^([^:=/]+):([^:=]+)=(.+?)(?::([^:/]+))?$/s.exec(text) ?? [];
  if (soname === undefined || symbol === undefined || path === undefined)
    throw new UsageError(`Cannot hook "${text}": SONAME:SYMBOL=FILE or SONAME:SYMBOL=FILE:FUNCTION is needed`);
  return { soname, symbol, file: fileAt(path, `Cannot hook "${text}":`), function: name ?? symbol };
}

/** The hooks for one host tree's libraries. Throws LinkError and ElfError for those that are impossible. */
export function hooksIn(
  hooks: readonly Hook[],
  host: OwnedTree,
  isolated: readonly string[],
  glibc: ChosenGlibc,
): Hook[] {
  return hooks.filter((hook) => {
    const library = isolated.includes(hook.soname) ? host.search.find(hook.soname, undefined) : undefined;
    if (!library) return false;
    mustHave(hook, library.path, hook.symbol);
    mustHave(hook, hook.file, hook.function);
    checkNeeds(closureFrom(needsOfOutsider(host, host.search.libraryAt(hook.file))).libraries, glibc);
    return true;
  });
}

/** Checks that a file exports a function of that name. Throws LinkError and ElfError. */
function mustHave(hook: Hook, file: string, name: string): void {
  using image = openImage(file);
  const index = image.find(name);
  if (index === undefined) throw lacks(hook, file, name);
  const type = typeOf(image.symbols.at(index));
  if (![STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE].includes(type))
    throw new LinkError(`Cannot hook "${hook.symbol}" of "${hook.soname}": "${name}" of "${file}" is no function`, {
      object: file,
      symbol: name,
    });
}

/**
 * Throws UsageError if one function is hooked twice, and LinkError for a hook that is not in `chosen`: those of all
 * host trees.
 */
export function refuseHooks(hooks: readonly Hook[], chosen: ReadonlySet<Hook>): void {
  for (const [i, { soname, symbol }] of hooks.entries())
    if (hooks.findIndex((other) => other.soname === soname && other.symbol === symbol) < i)
      throw new UsageError(`Cannot hook "${symbol}" of "${soname}" twice`);
  const other = hooks.find((hook) => !chosen.has(hook));
  if (!other) return;
  const { soname, symbol } = other;
  throw new LinkError(`Cannot hook "${symbol}" of "${soname}": that is not an isolated library`, {
    object: soname,
    symbol,
  });
}

/** The error for a file that does not export a function: the hooked library's, or the hook's. */
export const lacks = ({ soname, symbol }: Hook, file: string, missing: string): LinkError =>
  new LinkError(`Cannot hook "${symbol}" of "${soname}": "${file}" does not export "${missing}"`, {
    object: file,
    symbol: missing,
  });
