// A folder that was captured, in a container: the directories of a tree as the root directory, by bubblewrap, in a user
// namespace of its own.

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { CaptureReport } from "../../src/capture/report-data.ts";
import { COMMAND, run } from "./run.ts";

/** Where the folder and the provider are in the container. */
export const FOLDER = "/gfx";
export const PROVIDER = "/run/host";

/** Runs `capsule capture` for such a container. */
export async function captured(
  provider: string,
  container: string,
  folder: string,
  words: readonly string[],
): Promise<CaptureReport> {
  const trees = ["--provider", provider, "--container", container, "--dest", folder];
  const places = ["--link-target", PROVIDER, "--mounted-at", FOLDER];
  const { stdout, stderr, exitCode } = await run([...COMMAND, "capture", ...trees, ...places, "--json", ...words]);
  if (exitCode !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

/** What starts a program in the container, with the folder in front of its libraries. */
export async function inContainer(
  report: Pick<CaptureReport, "container" | "provider" | "destination" | "loader" | "environment">,
  env: Readonly<Record<string, string>> = {},
): Promise<string[]> {
  const { container, provider, destination, loader, environment } = report;
  const directories = ["usr", "lib", "lib64", "bin", "etc"].filter((name) => existsSync(join(container, name)));
  const loaders: string[] = [];
  if (loader) {
    const { stdout } = await run([...COMMAND, "capture", `--resolve-ld.so=${container}`]);
    loaders.push("--ro-bind", loader.path, stdout.trim());
  }
  const variables = [...environment.map(({ name, value }) => [name, value] as const), ...Object.entries(env)];
  return [
    ...["bwrap", "--unshare-user", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL", "--clearenv"],
    ...directories.flatMap((name) => ["--ro-bind", join(container, name), `/${name}`]),
    ...["--ro-bind", provider, PROVIDER, "--ro-bind", destination, FOLDER, ...loaders],
    ...["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--bind", "/tmp/.X11-unix", "/tmp/.X11-unix"],
    ...variables.flatMap(([name, value]) => ["--setenv", name, value]),
    "--",
  ];
}
