// What a settings file says. All of it is looked at, also what somebody else
// overrides: a name that is not there is a mistake, whoever wins.
//
// The parser is smol-toml, since Bun's own does not tell lines. It is loaded here and
// not bundled, as hardly any run needs it: see scripts/build.ts.

import { dirname, resolve } from "node:path";
import type { UsageError } from "../errors.ts";
import type { Profile, Variable } from "../profiles/profiles.ts";
import { KEYS, NAMES, type Name } from "./keys.ts";
import type { Layer, Said } from "./layer.ts";
import { suggestion } from "./nearest.ts";
import { cannot, quoted, type Source } from "./source.ts";
import { checkValue, directoryOf } from "./values.ts";

/** Tables beside the settings themselves. */
const LIBRARIES = "libraries";
const PROFILES = "profiles";

/** `path` is absolute; what is relative in the file is relative to its directory. Throws UsageError. */
export function fileLayer(text: string, path: string): Layer {
  const file = new File(text, path);
  const said = new Map<Name, Said>();
  const hosts = new Map<string, Said>();
  const profiles: Record<string, Profile> = Object.create(null);
  for (const [key, value] of file.tableOf(file.parsed())) {
    if (key === LIBRARIES)
      for (const [soname, directory] of file.tableOf(value, key)) {
        const at = [key, soname];
        const host = file.said(at, [file.pathOf(file.libraryHost(directory, at))]);
        directoryOf("host tree")(host);
        hosts.set(soname, host);
      }
    else if (key === PROFILES)
      for (const [name, profile] of file.tableOf(value, key)) profiles[name] = profileOf(file, profile, [key, name]);
    else if (isName(key)) {
      const one = settingOf(file, key, value);
      checkValue(key, one);
      said.set(key, one);
    } else throw file.unknown("setting", [key], [...NAMES, LIBRARIES, PROFILES]);
  }
  return {
    said: (name) => said.get(name),
    hostOf: (soname) => hosts.get(soname),
    sonames: [...hosts.keys()],
    profiles,
  };
}

const isName = (key: string): key is Name => (NAMES as readonly string[]).includes(key);

function settingOf(file: File, name: Name, value: unknown): Said {
  const { isList, isPath } = KEYS[name];
  // One of a list may stand alone.
  const texts = isList && typeof value !== "string" ? file.texts(value, [name]) : [file.text(value, [name], isList)];
  if (!isPath) return file.said([name], texts);
  const resolved = texts.map((text) => {
    if (name === "isolate") return text.replace(/(?<==).+/s, (directory) => file.pathOf(directory));
    return name === "glibc" && !text.includes("/") ? text : file.pathOf(text);
  });
  return file.said([name], resolved);
}

const PROFILE_KEYS = ["summary", "isolate", "newest", "environment"];
const VARIABLE_KINDS = ["directories", "manifests", "first"] as const;

function profileOf(file: File, value: unknown, at: readonly string[]): Profile {
  const known: { summary: string; isolate: string[]; newest: string[]; environment: Variable[] } = {
    ...{ summary: "", isolate: [], newest: [], environment: [] },
  };
  for (const [key, part] of file.tableOf(value, ...at)) {
    const here = [...at, key];
    if (key === "summary") known.summary = file.text(part, here, false);
    else if (key === "isolate" || key === "newest")
      known[key] = file.texts(part, here).map((soname) => sonameOf(file, soname, here));
    else if (key === "environment")
      known.environment = file.tableOf(part, ...here).map(([name, variable]) => variableOf(file, name, variable, here));
    else throw file.unknown("key of a profile", here, PROFILE_KEYS);
  }
  return { ...known, ahead: {} };
}

function sonameOf(file: File, soname: string, at: readonly string[]): string {
  if (soname === "" || /[/=]/.test(soname))
    throw file.wrong(at, `${quoted(soname)} is no soname, such as "libGL.so.1"`);
  return soname;
}

/** A text is its value; a table says what in the tree it is to lead to. */
function variableOf(file: File, name: string, value: unknown, above: readonly string[]): Variable {
  const at = [...above, name];
  if (name === "" || /[=\0]/.test(name)) throw file.wrong(at, `${quoted(name)} cannot be the name of a variable`);
  if (typeof value === "string") return { name, kind: "value", value: file.text(value, at, false) };
  const entries = file.tableOf(value, ...at);
  const [[kind, paths] = []] = entries;
  const known = VARIABLE_KINDS.find((one) => one === kind);
  if (kind !== undefined && known === undefined)
    throw file.unknown("kind of a variable", [...at, kind], VARIABLE_KINDS);
  if (known === undefined || entries.length > 1)
    throw file.wrong(at, `a text or one of ${VARIABLE_KINDS.join(", ")} is needed, such as { first = ["/etc/drirc"] }`);
  const list = file.texts(paths, [...at, known]);
  const other = list.find((path) => !/^(\/|\$LIBDIR\/)/.test(path));
  if (other !== undefined)
    throw file.wrong(
      [...at, known],
      `${quoted(other)} does not begin with a slash or $LIBDIR/, as paths in a host tree do`,
    );
  return { name, kind: known, paths: list };
}

type Table = readonly (readonly [key: string, value: unknown])[];

/** The file, for messages: which key of it is wrong, and how. */
class File {
  readonly #lines: readonly string[];

  constructor(
    readonly content: string,
    readonly path: string,
  ) {
    this.#lines = content.split("\n");
  }

  parsed(): unknown {
    const { parse, TomlError } = require("smol-toml") as typeof import("smol-toml");
    try {
      return parse(this.content);
    } catch (error) {
      if (!(error instanceof TomlError)) throw error;
      // Its message has a picture of the place from the second line on.
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

  /** "~" is of no shell's here. */
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

  /** The parser does not tell where a key is: the one line that begins with it, or names it as a table. Undefined if there are several. */
  #lineOf(at: readonly string[]): number | undefined {
    const name = at.at(-1);
    if (name === undefined) return undefined;
    const key = `(?:"${literal(name)}"|'${literal(name)}'|${literal(name)})`;
    const pattern = new RegExp(`^\\s*(?:\\[(?:[^\\]]*\\.)?\\s*|[\\w."'-]+\\.\\s*)?${key}\\s*[=.\\]]`);
    const lines = this.#lines.flatMap((line, i) => (pattern.test(line) ? [i + 1] : []));
    return lines.length === 1 ? lines[0] : undefined;
  }
}

const literal = (text: string): string => text.replace(/[^\w]/g, "\\$&");

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
