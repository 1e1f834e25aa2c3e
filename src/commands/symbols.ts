// `capsule symbols`: lists the symbols that a library exports or needs. The file is read, not loaded, so it may come
// from any tree.

import { Command } from "commander";
import {
  SHN_ABS,
  SHN_UNDEF,
  STB_GLOBAL,
  STB_GNU_UNIQUE,
  STB_WEAK,
  STT_FUNC,
  STT_GNU_IFUNC,
  STT_NOTYPE,
  STT_OBJECT,
  STT_TLS,
} from "../../lib/elf/constants.ts";
import { type FileImage, openImage } from "../../lib/elf/file.ts";
import { bindingOf, isExported, typeOf } from "../../lib/elf/sym.ts";
import { VersionLabels } from "../../lib/elf/version-labels.ts";
import { printable, printJson } from "../diagnostics/output.ts";
import { show } from "../diagnostics/terminal.ts";
import { findFile } from "./target.ts";

const TYPES: Readonly<Record<number, string>> = {
  [STT_NOTYPE]: "untyped",
  [STT_OBJECT]: "object",
  [STT_FUNC]: "function",
  [STT_TLS]: "tls",
  [STT_GNU_IFUNC]: "ifunc",
};
const BINDINGS: Readonly<Record<number, string>> = {
  [STB_GLOBAL]: "global",
  [STB_WEAK]: "weak",
  [STB_GNU_UNIQUE]: "unique",
};

export type ShownSymbol = ReturnType<typeof symbolsOf>[number];

export function symbolsCommand(): Command {
  return new Command("symbols")
    .summary("list what a library exports")
    .description(
      "List the symbols that a library exports, with their versions, or those that it needs of others. It is read, not loaded.",
    )
    .argument("<library>", "a file, the name of a program that PATH has, or a soname that the host tree has")
    .option("--host <dir>", "the tree that has the soname (default: CAPSULE_PREFIX, /run/host, /host or /)")
    .option("--undefined", "those that it needs of others")
    .option("--json", "as JSON: an array of name, version, isDefault, type, binding, size")
    .action((library: string, options: { host?: string; undefined?: boolean; json?: boolean }) => {
      using image = openImage(findFile(library, options.host));
      const symbols = symbolsOf(image, options.undefined ?? false);
      if (options.json) printJson(symbols);
      else show(tableOf(symbols));
    });
}

/** Sorted by name, bytewise. */
export function symbolsOf(image: FileImage, isWanted: boolean) {
  const { symbols, strings } = image;
  // Read the whole table at once: there are many strings.
  void strings.bytes;
  const labels = new VersionLabels(image);
  const shown = [];
  for (let i = 1; i < symbols.length; i++) {
    const sym = symbols.at(i);
    if (isWanted ? sym.st_shndx !== SHN_UNDEF || sym.st_name === 0 : !isExported(sym)) continue;
    const version = image.versionOf(i);
    const name = symbols.nameOf(sym);
    // Skip the symbol that a version itself defines.
    if (sym.st_shndx === SHN_ABS && name === version) continue;
    const [type, binding] = [typeOf(sym), bindingOf(sym)];
    shown.push({
      name,
      /** Undefined if it has none. */
      version,
      /** Whether a reference without a version gets this one (name@@VERSION). */
      isDefault: labels.isDefault(i),
      type: TYPES[type] ?? `type ${type}`,
      binding: BINDINGS[binding] ?? `binding ${binding}`,
      /** In bytes. */
      size: sym.st_size,
    });
  }
  return shown.sort(({ name: one, version = "" }, { name: other, version: another = "" }) => {
    if (one !== other) return one < other ? -1 : 1;
    return version < another ? -1 : 1;
  });
}

/** One line per symbol: type, binding, size in bytes, and name@@VERSION (name@VERSION if that is not the default). */
export function tableOf(symbols: readonly ShownSymbol[]): string {
  const lines = symbols.map(({ name, version, isDefault, type, binding, size }) => {
    const suffix = version === undefined ? "" : `${isDefault ? "@@" : "@"}${version}`;
    return `${type.padEnd(9)}${binding.padEnd(7)}${`${size}`.padStart(8)}  ${printable(`${name}${suffix}`)}\n`;
  });
  return lines.join("");
}
