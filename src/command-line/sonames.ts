// The sonames of a host tree, for completions.

import { readdirSync } from "node:fs";
import { LinkError } from "../../lib/link-error.ts";
import { unless, unlessRefused } from "../../lib/unless.ts";
import { UsageError } from "../diagnostics/errors.ts";
import { hostSearch, openTree } from "../plan/trees.ts";
import { Settings } from "../settings/settings.ts";

/** `host` is as typed for --host. Empty if it is no tree. */
export function sonamesOf(host: string | undefined): string[] {
  const directories = unless([LinkError, UsageError], () => {
    const settings = new Settings({ host: host?.replace(/^~(?=\/|$)/, process.env.HOME ?? "~") }, undefined);
    return hostSearch(openTree(settings.host), settings.further.value).directories;
  });
  return sonamesAmong((directories ?? []).flatMap((directory) => unlessRefused(() => readdirSync(directory)) ?? []));
}

/** Without the files that sonames are links to (libGL.so.1.7.0), and the links for compilers (libGL.so). */
function sonamesAmong(files: readonly string[]): string[] {
  const names = new Set(files.filter((name) => /^[^.].*\.so(\.[\w.]+)?$/.test(name)));
  const short = (name: string) => name.replace(/(\.so\.[^.]+)\..*/, "$1");
  const linked = new Set(
    Array.from(names).flatMap((name) => (/\.so\./.test(name) ? name.replace(/\.so\..*/, ".so") : [])),
  );
  return [...names].filter((name) => !linked.has(name) && (short(name) === name || !names.has(short(name)))).sort();
}
