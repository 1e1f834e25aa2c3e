// What a settings file says. All of it is checked, even what another source overrides: an unknown name is always a
// mistake.

import type { Profile, Variable } from "../profiles/profiles.ts";
import { KEYS, NAMES, type Name } from "./keys.ts";
import type { Layer, Said } from "./layer.ts";
import { quoted } from "./source.ts";
import { TomlFile } from "./toml-file.ts";
import { PARSERS } from "./values.ts";

/** Tables beside the settings. */
const LIBRARIES = "libraries";
const PROFILES = "profiles";
const ENVIRONMENT = "environment";

/** `path` is absolute; relative paths in the file are relative to its directory. Throws UsageError. */
export function fileLayer(text: string, path: string): Layer {
  const file = new TomlFile(text, path);
  const said = new Map<Name, Said>();
  const hosts = new Map<string, Said>();
  const profiles: Record<string, Profile> = Object.create(null);
  const environment = new Map<string, Said>();
  for (const [key, value] of file.tableOf(file.parsed())) {
    if (key === LIBRARIES)
      for (const [soname, directory] of file.tableOf(value, key)) {
        const at = [key, soname];
        const host = file.said(at, [file.pathOf(file.libraryHost(directory, at))]);
        PARSERS.host(host);
        hosts.set(soname, host);
      }
    else if (key === PROFILES)
      for (const [name, profile] of file.tableOf(value, key)) profiles[name] = profileOf(file, profile, [key, name]);
    else if (key === ENVIRONMENT)
      for (const [name, text] of file.tableOf(value, key))
        environment.set(name, programsVariable(file, name, text, key));
    else if (isName(key)) {
      const one = settingOf(file, key, value);
      if (key !== "profile") PARSERS[key](one);
      said.set(key, one);
    } else throw file.unknown("setting", [key], [...NAMES, LIBRARIES, PROFILES, ENVIRONMENT]);
  }
  return {
    said: (name) => said.get(name),
    hostOf: (soname) => hosts.get(soname),
    sonames: [...hosts.keys()],
    profiles,
    environment,
  };
}

/** A variable for the program; false removes it. Without texts: it is to be removed. */
function programsVariable(file: TomlFile, name: string, value: unknown, table: string): Said {
  const at = [table, name];
  if (!/^[!-<>-~]+$/.test(name)) throw file.wrong(at, `${quoted(name)} cannot be the name of a variable`);
  // They would be read by this command, whose settings have names of their own.
  if (name.startsWith("CAPSULE_")) throw file.wrong(at, "it is for capsule: choose of the settings in this file");
  if (value === false) return file.said(at, []);
  if (typeof value !== "string") throw file.wrong(at, "a text in quotes is needed, or false for no such variable");
  return file.said(at, [file.text(value, at, false)]);
}

const isName = (key: string): key is Name => (NAMES as readonly string[]).includes(key);

function settingOf(file: TomlFile, name: Name, value: unknown): Said {
  const { isList = false, isPath } = KEYS[name];
  // A list of one may be a plain string.
  const texts = isList && Array.isArray(value) ? file.texts(value, [name]) : [file.text(value, [name], isList)];
  if (!isPath) return file.said([name], texts);
  const resolved = texts.map((text) => {
    if (name === "isolate") return text.replace(/(?<==).+/s, (directory) => file.pathOf(directory));
    return name === "glibc" && !text.includes("/") ? text : file.pathOf(text);
  });
  return file.said([name], resolved);
}

const PROFILE_KEYS = ["summary", "isolate", "newest", "environment"];
const VARIABLE_KINDS = ["directories", "manifests", "first"] as const;

function profileOf(file: TomlFile, value: unknown, at: readonly string[]): Profile {
  const known: { summary: string; isolate: string[]; newest: string[]; environment: Variable[] } = {
    summary: "",
    isolate: [],
    newest: [],
    environment: [],
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
  return known;
}

function sonameOf(file: TomlFile, soname: string, at: readonly string[]): string {
  if (soname === "" || /[/=]/.test(soname))
    throw file.wrong(at, `${quoted(soname)} is no soname, such as "libGL.so.1"`);
  return soname;
}

/** A string is the variable's value; a table says which paths in the tree it points to. */
function variableOf(file: TomlFile, name: string, value: unknown, above: readonly string[]): Variable {
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
