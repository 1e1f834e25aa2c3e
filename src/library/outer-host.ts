// The host tree of the launch that this script runs in: `capsule exec --host DIR bun test` means that tree.

import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { unlessRefused } from "../../lib/unless.ts";
import { LIBRARIES } from "../directories/library-path.ts";
import { LIBRARY_PATH } from "../handover/program-environment.ts";
import { LAUNCH_FILE, readLaunchFile } from "../server/launch-file.ts";

/** Undefined outside of a launch, and in one with several host trees. */
export function outerHost(): string | undefined {
  const directories = (process.env[LIBRARY_PATH] ?? "").split(":").filter((path) => basename(path) === LIBRARIES);
  const launch = directories.map((path) => dirname(path)).find((path) => existsSync(join(path, LAUNCH_FILE)));
  const roots = launch === undefined ? undefined : unlessRefused(() => readLaunchFile(launch).capsules);
  const [only, ...others] = new Set(roots?.map(({ root }) => root));
  return others.length === 0 ? only || undefined : undefined;
}
