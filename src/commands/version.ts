// `capsule version`: shows which release of a library a tree has, in the format of libcapsule's own tool: tree, soname,
// version, file.

import { basename } from "node:path";
import { Command } from "commander";
import { UsageError } from "../diagnostics/errors.ts";
import { printable, printJson } from "../diagnostics/output.ts";
import { show } from "../diagnostics/terminal.ts";
import { versionIn } from "../report/version-in.ts";
import { findTarget } from "./target.ts";

export function versionCommand(): Command {
  return new Command("version")
    .summary("say which release of a library a host tree has")
    .description(
      "Print four fields: the tree, the soname, the version that is in the file's name, and the file. Without a soname, print capsule's own version.",
    )
    .argument("[soname]", "such as libGL.so.1")
    .option("--host <dir>", "the tree (default: CAPSULE_PREFIX, /run/host, /host or /)")
    .option("--json", "as JSON: an object of tree, soname, version, path")
    .action((name: string | undefined, { host, json }: { host?: string; json?: boolean }, { parent }: Command) => {
      if (name === undefined) {
        if (host !== undefined || json)
          throw new UsageError("Cannot tell a version: a soname is needed with an option");
        return show(`${parent?.version()}\n`);
      }
      const { path, tree: searched } = findTarget(name, host);
      const [tree, soname, version] = [searched?.name ?? "/", searched ? name : basename(name), versionIn(path)];
      if (json) printJson({ tree, soname, version: version || null, path });
      else show(`${printable([tree, soname, version || "unknown", path].join(" "))}\n`);
    });
}
