// The settings of a plan, each with its source.

import type { Settings } from "../settings/settings.ts";
import type { Source } from "../settings/source.ts";
import type { TreeOptions } from "../settings/tree-options.ts";
import type { PlannedSetting, PlannedSource } from "./plan-data.ts";

export function plannedSettings(settings: Settings, { libraries, host }: TreeOptions): PlannedSetting[] {
  const all = [...settings.all].map(([name, { value, source }]) => {
    return { name: name as string, value: value ?? null, source: sourceOf(source) };
  });
  // Libraries with a host tree of their own.
  const single = libraries
    .filter((library) => library.host !== host && !library.follows)
    .map(({ soname, host: { value, source } }) => ({ name: `libraries.${soname}`, value, source: sourceOf(source) }));
  return [...all, ...single];
}

export function sourceOf(source: Source): PlannedSource {
  switch (source.kind) {
    case "file":
      return { kind: "file", name: source.path, line: source.line ?? null };
    case "default":
      return { kind: "default", name: null, line: null };
    default:
      return { kind: source.kind, name: source.name, line: null };
  }
}
