// What a package runner (bunx, npx) puts into the environment is not the
// program's: its own variables, and directories in front of PATH. What the user has
// set stays.

import { ENGINE_SETTINGS } from "../engine-settings.ts";

/** Set by main.ts's own first line. */
const OWN = Object.keys(ENGINE_SETTINGS);

/** Changes that undo a runner's: undefined for a variable that goes. None where no runner has started us. */
export function withoutRunner(
  environment: Readonly<Record<string, string | undefined>>,
): Map<string, string | undefined> {
  const changes = new Map<string, string | undefined>();
  for (const name of OWN) if (environment[name] !== undefined) changes.set(name, undefined);
  if (environment.npm_execpath === undefined) return changes;
  for (const [name, value] of Object.entries(environment)) {
    const isOwn = name.startsWith("npm_") || name === "INIT_CWD";
    if (isOwn || (name === "NODE" && value === environment.npm_node_execpath)) changes.set(name, undefined);
  }
  const directories = (environment.PATH ?? "").split(":");
  const first = directories.findIndex((directory) => !/\/node_modules\/\.bin$|\/node-gyp-bin$/.test(directory));
  if (first > 0) changes.set("PATH", directories.slice(first).join(":"));
  return changes;
}
