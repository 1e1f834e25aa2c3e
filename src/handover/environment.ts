// Removes what a package runner (bunx, npx) puts into the environment: its own variables, and directories in front of
// PATH. What the user has set stays.

import { BE_BUN, ENGINE_SETTINGS, isForBun } from "../diagnostics/engine-settings.ts";
import type { Environment } from "../directories/user-cache.ts";

/** Prefix for variables that are meant for the program but that this command's Bun would obey. */
const KEPT = "CAPSULE_KEPT_";

/** An environment for this command in which Bun finds no variable meant for the program or for its parent. */
export const withKept = (environment: Environment): Record<string, string | undefined> =>
  Object.fromEntries(
    Object.entries(environment).map(([name, value]) =>
      isForBun(name) || Object.hasOwn(BE_BUN, name) ? [`${KEPT}${name}`, value] : [name, value],
    ),
  );

/** What this command's process has from whoever started it. */
const OWN: Environment = { ...ENGINE_SETTINGS, ...BE_BUN };

/**
 * The changes that undo a runner's: undefined for a variable to remove. Without a runner, only capsule's own are
 * undone.
 */
export function withoutRunner(environment: Environment): Map<string, string | undefined> {
  const changes = new Map<string, string | undefined>();
  const { npm_execpath: runner, npm_node_execpath: node } = environment;
  for (const [name, value] of Object.entries(environment)) {
    const isRunners = name.startsWith("npm_") || name === "INIT_CWD" || (name === "NODE" && value === node);
    // The launcher's (with a remark for readers behind a comma), and a runner's.
    const isOwn = Object.hasOwn(OWN, name) && OWN[name] === value?.split(",", 1)[0];
    if (isOwn || (runner !== undefined && isRunners)) changes.set(name, undefined);
  }
  for (const [name, value] of Object.entries(environment))
    if (name.startsWith(KEPT)) changes.set(name, undefined).set(name.slice(KEPT.length), value);
  if (runner === undefined) return changes;
  const directories = (environment.PATH ?? "").split(":");
  const first = directories.findIndex((directory) => !/\/node_modules\/\.bin$|\/node-gyp-bin$/.test(directory));
  if (first > 0) changes.set("PATH", directories.slice(first).join(":"));
  return changes;
}
