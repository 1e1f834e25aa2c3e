// The manual page, in roff with the macros of man(7), from the definitions of the
// command line: one page for all commands, which are few and have options in common.

import type { Command } from "commander";
import packageData from "../package.json" with { type: "json" };
import { type Model, type ModelCommand, type ModelOption, modelOf } from "../src/command-line/model.ts";
import { allCommands } from "../src/commands/all.ts";
import { rootCommand } from "../src/commands/root.ts";

const FILES: readonly (readonly [path: string, text: string])[] = [
  ["/run/host, /host", "the host tree in a container, where nobody names another"],
  ["capsule.toml beside PROGRAM, $XDG_CONFIG_HOME/capsule/capsule.toml", "settings"],
  ["$XDG_CACHE_HOME/capsule", "what is known of library files, and shims; it may be deleted when nothing runs"],
  ["$TMPDIR/capsule-of-UID", "a directory for every run, which is removed with the last process that needs it"],
];

const EXAMPLES: readonly (readonly [line: string, text: string])[] = [
  ["capsule exec glxgears", "in a container that shows its host at /run/host"],
  ["capsule exec --host /srv/trees/debian-11 glxinfo -B", "with the libraries of another tree"],
  ["capsule exec --profile vulkan vulkaninfo --summary", "only what Vulkan needs"],
  ["capsule exec --runtime /opt/steamrt ./game", "on the libraries of an unpacked runtime"],
  ["capsule exec --mode attached --trace plan glxgears", "in a process of its own, and why"],
  ["capsule doctor --host /srv/trees/debian-11 ./game", "what would hinder that"],
];

/** Whoever wants the same bytes again says when (reproducible-builds.org). */
export function buildDate(): Date {
  const { SOURCE_DATE_EPOCH: epoch } = process.env;
  return epoch === undefined ? new Date() : new Date(Number(epoch) * 1000);
}

/** Of this version, built now. */
export const ownManPage = (): string =>
  manPage(rootCommand(allCommands()), packageData.version, buildDate().toISOString().slice(0, 10));

/** `date` is the page's, "2026-01-31". */
export function manPage(root: Command, version: string, date: string): string {
  const model = modelOf(root);
  const title = model.name.toUpperCase();
  return [
    `.TH ${title} 1 ${date} "${model.name} ${version}" "User Commands"`,
    // Names of variables are to be copied, so no hyphens are put in.
    ".nh",
    ".ad l",
    ".SH NAME",
    `${model.name} \\- run a program on its own libraries and another tree's graphics stack`,
    ".SH SYNOPSIS",
    ...model.commands.flatMap((command, i) => [...(i > 0 ? [".br"] : []), synopsisOf(model, command)]),
    ".SH DESCRIPTION",
    filled(model.description),
    ".SH OPTIONS",
    ...model.options.flatMap(optionOf),
    ...root.commands.flatMap((command, i) => sectionOf(command, model.commands[i])),
    ".SH FILES",
    ...FILES.flatMap(([path, text]) => entry(`\\fI${escaped(path)}\\fR`, text)),
    ".SH EXAMPLES",
    ...EXAMPLES.flatMap(([line, text]) => entry(`\\fB${escaped(line)}\\fR`, text)),
    ".SH SEE ALSO",
    "\\fBld.so\\fR(8), \\fBdlmopen\\fR(3)",
    "",
  ].join("\n");
}

function synopsisOf(model: Model, { name, arguments: list, endsAtProgram }: ModelCommand): string {
  const shown = list.map(({ name, isRequired, isRepeatable }) => {
    const text = `\\fI${escaped(name.toUpperCase())}\\fR${isRepeatable ? " ..." : ""}`;
    return isRequired ? text : `[${text}]`;
  });
  const end = endsAtProgram ? " [\\fB\\-\\-\\fR]" : "";
  return `\\fB${model.name} ${name}\\fR [\\fIOPTION\\fR ...]${end} ${shown.join(" ")}`;
}

function sectionOf(command: Command, model: ModelCommand | undefined): string[] {
  if (!model) return [];
  const list = model.arguments.filter(({ description }) => description !== "");
  return [
    `.SH "CAPSULE ${escaped(model.name.toUpperCase())}"`,
    filled(model.description),
    ...list.flatMap(({ name, description }) => entry(`\\fI${escaped(name.toUpperCase())}\\fR`, description)),
    ...model.options.filter(({ names }) => !names.includes("--help")).flatMap(optionOf),
    ...afterOf(command),
  ];
}

function optionOf({ names, placeholder, description, isOptional }: ModelOption): string[] {
  const shown = names.map((name) => `\\fB${escaped(name)}\\fR`).join(", ");
  const name = `\\fI${escaped((placeholder ?? "").replace(/[<>[\]]/g, "").toUpperCase())}\\fR`;
  const value = placeholder === undefined ? "" : isOptional ? `[=${name}]` : ` ${name}`;
  return entry(shown + value, description);
}

/** What --help has behind the options: headings, with entries below, and paragraphs. */
function afterOf(command: Command): string[] {
  let text = "";
  command.configureOutput({
    writeOut: (part) => {
      text += part;
    },
  });
  command.outputHelp();
  const lines = text.slice(command.helpInformation().length).split("\n");
  return lines.flatMap((line, i) => {
    const [, name, rest] = /^ {2}(\S+(?: \S+)*)(?: {2,}(.*))?$/.exec(line) ?? [];
    if (name !== undefined) return entry(`\\fB${escaped(name)}\\fR`, (rest ?? "").replace(/ {2,}/, ", "));
    if (line === "") return [];
    if (line.endsWith(":")) return [`.SS "${escaped(line.slice(0, -1)).replaceAll('"', "\\(dq")}"`];
    return [...(lines[i - 1] === "" ? [".PP"] : []), filled(line)];
  });
}

const entry = (tag: string, text: string): string[] => [".TP", tag, text === "" ? "\\ " : filled(text)];

/** Of lines of the source, in characters. */
const WIDTH = 78;

/** In lines of the source, which are filled anew when they are shown. */
function filled(text: string): string {
  const lines: string[] = [];
  for (const word of escaped(text).split(" ")) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length >= WIDTH) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  // At the beginning of a line these two mean a request.
  return lines.map((line) => line.replace(/^[.']/, "\\&$&")).join("\n");
}

/** So that it stands there as it is, and its hyphens can be copied. */
const escaped = (text: string): string => text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll("…", "\\&...");
