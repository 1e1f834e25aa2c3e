// A TOML file, read value by value. A value of the wrong type is reported with its key and what is wrong.
//
// The parser is smol-toml, since Bun's own does not report lines. It is evaluated here, as few runs need it.

import { dirname, resolve } from "node:path";
import type { UsageError } from "../diagnostics/errors.ts";
import type { Said } from "./layer.ts";
import { suggestion } from "./nearest.ts";
import { cannot, quoted, type Source } from "./source.ts";

type Table = readonly (readonly [key: string, value: unknown])[];

/** Throws UsageError for invalid values. `at` is the path of keys to a value. */
export class TomlFile {
  #lines?: ReadonlyMap<string, readonly number[]>;

  constructor(
    readonly content: string,
    readonly path: string,
  ) {}

  parsed(): unknown {
    const { parse, TomlError } = require("smol-toml") as typeof import("smol-toml");
    try {
      return parse(this.content);
    } catch (error) {
      if (!(error instanceof TomlError)) throw error;
      // From its second line on, the message shows an excerpt of the file.
      const [first = ""] = error.message.split("\n");
      throw cannot(this.path, `line ${error.line}, column ${error.column}: ${lowered(first)}`, error);
    }
  }

  tableOf(value: unknown, ...at: string[]): Table {
    if (typeof value !== "object" || value === null || Array.isArray(value) || value instanceof Date)
      throw this.wrong(at, `a table is needed, not ${kindOf(value)}`);
    return Object.entries(value);
  }

  text(value: unknown, at: readonly string[], isList: boolean): string {
    if (typeof value !== "string")
      throw this.wrong(at, `a text in quotes${isList ? ", or an array of such," : ""} is needed, not ${kindOf(value)}`);
    if (value.includes("\0")) throw this.wrong(at, "it has a NUL, which nothing that it could name has");
    return value;
  }

  texts(value: unknown, at: readonly string[]): string[] {
    if (!Array.isArray(value)) throw this.wrong(at, `an array of texts is needed, not ${kindOf(value)}`);
    return value.map((one) => this.text(one, at, false));
  }

  libraryHost(value: unknown, at: readonly string[]): string {
    // `libGL.so.1 = "/x"`, without quotes, is three tables.
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      const name = [at.at(-1), ...partsOf(value)].join(".");
      throw this.wrong(at.slice(0, -1), `the name of a library has to be in quotes: "${name}" = …`);
    }
    return this.text(value, at, false);
  }

  /** Expands "~", as no shell does so here. */
  pathOf(text: string): string {
    if (text === "") return text;
    const home = process.env.HOME;
    if (home !== undefined && /^~(\/|$)/.test(text)) return resolve(home, `.${text.slice(1)}`);
    return resolve(dirname(this.path), text);
  }

  said(at: readonly string[], texts: readonly string[]): Said {
    const source: Source = { kind: "file", path: this.path, key: at.join("."), line: this.#lineOf(at) };
    return { texts, source };
  }

  unknown(what: string, at: readonly string[], names: readonly string[]): UsageError {
    const name = at.at(-1) ?? "";
    return cannot(this.path, `${this.#line(at)}there is no ${what} ${quoted(name)}: ${suggestion(name, names)}`);
  }

  wrong(at: readonly string[], what: string): UsageError {
    return cannot(this.path, `${this.#line(at)}${at.length > 0 ? `${shown(at)}: ` : ""}${what}`);
  }

  #line(at: readonly string[]): string {
    const line = this.#lineOf(at);
    return line === undefined ? "" : `line ${line}: `;
  }

  /**
   * The parser does not report positions of keys, so this finds the only line that begins with the key or names it as a
   * table. Undefined if there is none, or several.
   */
  #lineOf(at: readonly string[]): number | undefined {
    this.#lines ??= linesOfKeys(this.content);
    const lines = this.#lines.get(at.at(-1) ?? "");
    return lines?.length === 1 ? lines[0] : undefined;
  }
}

/** A part of a dotted key, quoted or bare, and what follows it. */
const PART = /\s*(?:"([^"]*)"|'([^']*)'|([\w-]+))\s*([=.\]])/y;

/** The numbers, from 1, of the lines that seem to begin with a key or a table's name: for each part of these. */
function linesOfKeys(content: string): Map<string, number[]> {
  const lines = new Map<string, number[]>();
  for (const [i, line] of content.split("\n").entries()) {
    PART.lastIndex = /^\s*\[*/.exec(line)?.[0].length ?? 0;
    const names = new Set<string>();
    for (let after: string | undefined = "."; after === "."; ) {
      const [, quoted, literal, bare, end] = PART.exec(line) ?? [];
      const name = quoted ?? literal ?? bare;
      if (name !== undefined) names.add(name);
      after = end;
    }
    for (const name of names) lines.getOrInsertComputed(name, () => []).push(i + 1);
  }
  return lines;
}

const shown = (at: readonly string[]): string =>
  at.map((part) => (/^[\w-]+$/.test(part) ? part : quoted(part))).join(".");

function partsOf(table: object): string[] {
  const [[key, value] = []] = Object.entries(table);
  if (key === undefined) return [];
  return [key, ...(typeof value === "object" && value !== null ? partsOf(value) : [])];
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "an array";
  if (value instanceof Date) return "a date";
  if (typeof value === "object") return "a table";
  return (
    { string: "a text", number: "a number", bigint: "a number", boolean: "true or false" }[typeof value as string] ??
    "that"
  );
}

const lowered = (text: string): string => text.replace("Invalid TOML document: ", "");
