// What the launcher knows and an attached program's server needs: a file in the serving directory, written once.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Category } from "../diagnostics/trace.ts";
import type { HostTreeData } from "../plan/host-tree.ts";

export interface LaunchFile {
  readonly capsules: readonly HostTreeData[];
  /** The user's LD_LIBRARY_PATH, expanded for the requested program. */
  readonly libraryPath: readonly string[];
  /** The root of the tree with the program's libraries. */
  readonly runtime: string;
  /** Files that the programs, but not the server, see in place of others: the path that is covered, and the file. */
  readonly mounts: readonly (readonly [over: string, file: string])[];
  /** Where what is known of libraries is kept. */
  readonly store?: string | undefined;
  readonly trace: readonly Category[];
  /** Whether events are read, and which: the server writes them to its standard output. */
  readonly events: "none" | "all" | "with bindings";
  /** In decimal; only this launch's agents have it. */
  readonly nonce: readonly [string, string];
  /** The process that turns into the program. */
  readonly pid: number;
  readonly program: string;
  /** Nothing has been linked yet, and if nothing ever is, that has to be reported: see NativeWatch. */
  readonly isAwaited: boolean;
}

export const LAUNCH_FILE = "launch.json";

export const readLaunchFile = (directory: string): LaunchFile =>
  JSON.parse(readFileSync(join(directory, LAUNCH_FILE), "utf8")) as LaunchFile;
