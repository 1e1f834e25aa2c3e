// Where a setting comes from, so that messages can name what to change.

import { UsageError } from "../diagnostics/errors.ts";

export type Source =
  | { readonly kind: "flag"; readonly name: string }
  | { readonly kind: "variable"; readonly name: string }
  /** `key` is as in the file; `line` counts from 1, undefined if unknown. */
  | { readonly kind: "file"; readonly path: string; readonly key: string; readonly line: number | undefined }
  | { readonly kind: "default" };

export interface Setting<Value> {
  readonly value: Value;
  readonly source: Source;
}

export const DEFAULT: Source = { kind: "default" };

/** For the middle of a message; empty for a flag, which the user has just typed, and for a default. */
export function asSays(source: Source): string {
  switch (source.kind) {
    case "variable":
      return `, as ${source.name} says`;
    case "file":
      return source.line === undefined
        ? `, as ${source.key} in ${quoted(source.path)} says`
        : `, as line ${source.line} of ${quoted(source.path)} says`;
    default:
      return "";
  }
}

/** The source itself: `--host`, `CAPSULE_PREFIX`, `"/etc/game/capsule.toml", line 3`, `default`. */
export const nameOf = (source: Source): string =>
  source.kind === "file" ? place(source) : source.kind === "default" ? "default" : source.name;

const place = ({ path, line }: { readonly path: string; readonly line: number | undefined }): string =>
  `${quoted(path)}${line === undefined ? "" : `, line ${line}`}`;

/** In quotes, with terminal control characters escaped. */
export const quoted = (text: string): string =>
  JSON.stringify(text).replace(/[\x7f-\x9f]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`);

/** The error for a settings file. */
export const cannot = (path: string, why: string, cause?: unknown): UsageError =>
  new UsageError(`Cannot use ${quoted(path)}: ${why}`, cause === undefined ? {} : { cause });
