// Settings files: which there may be, and whether they can be trusted. One lies beside the program, one in the user's
// configuration.
//
// They decide which code is loaded into a process with the user's rights. So they must belong to the user or to root,
// or to the program's owner, who could have put the same into the program. The usual untrusted one lies beside a game
// that was unpacked in a directory that everybody can write to, such as /tmp.

import { lstatSync, type Stats, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { RegularFile } from "../../lib/regular-file.ts";
import { isTrustedFile, type Owner } from "../directories/trusted.ts";
import { fileLayer } from "./file-layer.ts";
import type { Environment, Flags, Layer } from "./layer.ts";
import { cannot, quoted } from "./source.ts";

const FILE = "capsule.toml";

interface SettingsFiles {
  /** The first wins. */
  readonly layers: readonly Layer[];
  /** Where files were looked for, whether they exist or not. */
  readonly paths: readonly string[];
  /** Warnings for the user: which files are ignored, and why. */
  readonly warnings: readonly string[];
}

/**
 * `program` is a file, without symbolic links. Throws UsageError for a file that is unreadable or has unknown settings.
 */
export function readSettingsFiles(
  named: Flags["settings"],
  program: string | undefined,
  environment: Environment,
): SettingsFiles {
  if (named === false) return { layers: [], paths: [], warnings: [] };
  const given = named ?? (environment.CAPSULE_SETTINGS || undefined);
  if (given !== undefined) {
    const path = resolve(given);
    const text = given === "" ? undefined : textOf(path, () => true);
    if (text === undefined || text === "untrusted")
      throw cannot(given, "there is no such file, or it cannot be reached");
    return { layers: [fileLayer(text.content, path)], paths: [path], warnings: [] };
  }
  const beside = program === undefined ? undefined : join(dirname(program), FILE);
  const paths = [beside, ownFile(environment)].filter((path) => path !== undefined);
  const layers: Layer[] = [];
  const warnings: string[] = [];
  for (const path of paths) {
    const isTrusted = (owner: Owner) => isTrustedFile(owner, path === beside ? ownersOf(program) : undefined);
    const text = textOf(path, isTrusted);
    if (text === "untrusted")
      warnings.push(`${quoted(path)} is passed over, as somebody else owns it or may write to it (--settings uses it)`);
    else if (text !== undefined) layers.push(fileLayer(text.content, path));
  }
  return { layers, paths, warnings };
}

/** The program and its directory. */
function ownersOf(program = ""): { readonly program: Stats; readonly directory: Stats } {
  return { program: statSync(program), directory: statSync(dirname(program)) };
}

/** The user's file for all programs. */
function ownFile({ XDG_CONFIG_HOME: config, HOME: home }: Environment): string | undefined {
  if (config?.startsWith("/")) return join(config, "capsule", FILE);
  return home?.startsWith("/") ? join(home, ".config", "capsule", FILE) : undefined;
}

/** Size limit in bytes: a larger file is no settings file. */
const LIMIT = 1 << 20;

type Text = { readonly content: string };

/** Undefined if the file is missing or out of reach. Throws UsageError. */
function textOf(path: string, isTrusted: (owner: Owner) => boolean): Text | "untrusted" | undefined {
  try {
    // Before opening: somebody else's file must not be able to block us.
    const link = unlessMissing(() => lstatSync(path));
    if (!link) return undefined;
    if (!isTrusted(link.isSymbolicLink() ? { uid: link.uid, mode: 0 } : link)) return "untrusted";
    const stat = unlessMissing(() => statSync(path));
    if (!stat) return undefined;
    if (!isTrusted(stat)) return "untrusted";
    using file = new RegularFile(path);
    const { size } = file.stat;
    if (!isTrusted(file.stat)) return "untrusted";
    if (size > LIMIT) throw cannot(path, `it has ${size} bytes, and ${LIMIT} are too many for settings`);
    return { content: new TextDecoder("utf-8", { fatal: true }).decode(file.bytes(0, size)) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ERR_ENCODING_INVALID_ENCODED_DATA") throw cannot(path, "it is not UTF-8");
    if (code === undefined) throw error;
    throw cannot(path, REASONS[code] ?? code, error);
  }
}

/**
 * Undefined also in a directory closed to us, such as the former user's home in an environment kept across a user
 * change.
 */
function unlessMissing(look: () => Stats): Stats | undefined {
  try {
    return look();
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "EACCES"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied (--no-settings does without)",
  EISDIR: "it is a directory",
  ELOOP: "its symbolic links loop",
  ENXIO: "it is not a regular file",
};
