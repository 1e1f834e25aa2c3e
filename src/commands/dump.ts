// `capsule dump`: shows the contents of an ELF file. The file is read, not loaded, so it may come from any tree.

import { Command } from "commander";
import { ElfError } from "../../lib/elf/error.ts";
import { printable, printJson } from "../diagnostics/output.ts";
import { show } from "../diagnostics/terminal.ts";
import { dynamic } from "./dump/dynamic.ts";
import { header } from "./dump/header.ts";
import { init } from "./dump/init.ts";
import { notes } from "./dump/notes.ts";
import { relocations } from "./dump/relocations.ts";
import { sections } from "./dump/sections.ts";
import { segments } from "./dump/segments.ts";
import { Subject } from "./dump/subject.ts";
import { tls } from "./dump/tls.ts";
import { versions } from "./dump/versions.ts";
import { findFile } from "./target.ts";

/** In the order of output. The names are also those of the options and of the JSON keys. */
const PARTS = { header, segments, sections, dynamic, versions, init, notes, tls, relocations };
type PartName = keyof typeof PARTS;
const NAMES = Object.keys(PARTS) as PartName[];

type Options = { readonly host?: string; readonly json?: boolean } & { readonly [name in PartName]?: boolean };

export function dumpCommand(): Command {
  const command = new Command("dump")
    .summary("show what an ELF file says of itself")
    .description(
      "Show an ELF file's headers and tables: all of them, or those that are asked for. It is read, not loaded.",
    )
    .argument("<library>", "a file, the name of a program that PATH has, or a soname that the host tree has")
    .option("--host <dir>", "the tree that has the soname (default: CAPSULE_PREFIX, /run/host, /host or /)");
  for (const name of NAMES) command.option(`--${name}`, PARTS[name].summary);
  return command
    .option("--no-relocations", "all but the relocations: big libraries have hundreds of thousands")
    .option("--json", "as JSON: an object of path, the parts by their names, and faults")
    .action((library: string, options: Options) => {
      using subject = new Subject(findFile(library, options.host));
      const names = chosen(options);
      if (options.json) printJson(dataOf(subject, names));
      else for (const text of inPieces(linesOf(subject, names))) show(text);
      fail(subject);
    });
}

/** The requested parts, or all if none is requested. */
function chosen(options: Options): PartName[] {
  const asked = NAMES.filter((name) => options[name]);
  return asked.length > 0 ? asked : NAMES.filter((name) => options[name] !== false);
}

export function dataOf(subject: Subject, names: readonly PartName[] = NAMES): Record<string, unknown> {
  const parts = names.map((name) => [name, PARTS[name].data(subject) ?? null]);
  const faults = subject.faults.map(({ structure, fault }) => ({ structure, fault }));
  return { path: subject.file.path, ...Object.fromEntries(parts), faults };
}

/** Each line includes its newline. */
export function* linesOf(subject: Subject, names: readonly PartName[] = NAMES): Generator<string> {
  yield `${printable(subject.file.path)}\n`;
  for (const name of names) {
    yield "\n";
    for (const line of PARTS[name].text(subject)) yield `${line}\n`;
  }
}

/** In bytes, approximately: large enough for few system calls, small enough to save memory. */
const PIECE = 1 << 18;

function* inPieces(lines: Iterable<string>): Generator<string> {
  let piece = "";
  for (const line of lines) {
    piece += line;
    if (piece.length < PIECE) continue;
    yield piece;
    piece = "";
  }
  yield piece;
}

/** Called after everything readable has been shown. */
function fail({ file, faults }: Subject): void {
  const [first, ...others] = faults;
  if (!first) return;
  const rest = others.map(({ structure, fault }) => `; ${structure}: ${fault}`).join("");
  throw new ElfError(file.path, first.structure, `${first.fault}${rest}`, { cause: first });
}
