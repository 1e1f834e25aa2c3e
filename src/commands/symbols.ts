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
import { bindingOf, isExported, type Sym, typeOf } from "../../lib/elf/sym.ts";
import { VersionLabels } from "../../lib/elf/version-labels.ts";
import { print, printable, printJson } from "../diagnostics/output.ts";
import { findTarget } from "./target.ts";

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

export interface ShownSymbol {
  readonly name: string;
  /** Undefined if it has none. */
  readonly version: string | undefined;
  /** Whether a reference without a version gets this one (name@@VERSION). */
  readonly isDefault: boolean;
  readonly type: string;
  readonly binding: string;
  /** In bytes. */
  readonly size: number;
}

interface Options {
  readonly host?: string;
  readonly undefined?: boolean;
  readonly json?: boolean;
}

export function symbolsCommand(): Command {
  return new Command("symbols")
    .summary("list what a library exports")
    .description(
      "List the symbols that a library exports, with their versions, or those that it needs of others. It is read, not loaded.",
    )
    .argument("<library>", "a file, or a soname that the host tree has")
    .option("--host <dir>", "the tree to search for a soname (default: CAPSULE_PREFIX, /run/host, /host or /)")
    .option("--undefined", "those that it needs of others")
    .option("--json", "as JSON: an array of name, version, isDefault, type, binding, size")
    .action((library: string, options: Options) => {
      using image = openImage(findTarget(library, options.host).path);
      const symbols = symbolsOf(image, options.undefined ?? false);
      if (options.json) printJson(symbols);
      else print(tableOf(symbols));
    });
}

/** Sorted by name, bytewise. */
export function symbolsOf(image: FileImage, isWanted: boolean): ShownSymbol[] {
  const { symbols, strings } = image;
  // Read the whole table at once: there are many strings.
  void strings.bytes;
  const labels = new VersionLabels(image);
  const shown: ShownSymbol[] = [];
  for (let i = 1; i < symbols.length; i++) {
    const sym = symbols.at(i);
    if (isWanted ? sym.st_shndx !== SHN_UNDEF || sym.st_name === 0 : !isExported(sym)) continue;
    const version = image.versionOf(i);
    const name = symbols.nameOf(sym);
    // Skip the symbol that a version itself defines.
    if (sym.st_shndx === SHN_ABS && name === version) continue;
    shown.push({ name, version, isDefault: labels.isDefault(i), ...kindOf(sym), size: sym.st_size });
  }
  return shown.sort(byName);
}

function byName(one: ShownSymbol, other: ShownSymbol): number {
  if (one.name !== other.name) return one.name < other.name ? -1 : 1;
  return (one.version ?? "") < (other.version ?? "") ? -1 : 1;
}

const kindOf = (sym: Sym): { type: string; binding: string } => {
  const [type, binding] = [typeOf(sym), bindingOf(sym)];
  return { type: TYPES[type] ?? `type ${type}`, binding: BINDINGS[binding] ?? `binding ${binding}` };
};

/** One line per symbol: type, binding, size in bytes, and name@@VERSION (name@VERSION if that is not the default). */
export function tableOf(symbols: readonly ShownSymbol[]): string {
  const lines = symbols.map(({ name, version, isDefault, type, binding, size }) => {
    const suffix = version === undefined ? "" : `${isDefault ? "@@" : "@"}${version}`;
    return `${type.padEnd(9)}${binding.padEnd(7)}${`${size}`.padStart(8)}  ${printable(`${name}${suffix}`)}\n`;
  });
  return lines.join("");
}
