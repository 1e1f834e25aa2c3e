// Library trees of Debian releases, unpacked on first use: the hosts that real programs are run on.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { cacheDirectory } from "./cache.ts";
import { environment, repository } from "./run.ts";

export type Suite = "bullseye" | "bookworm" | "trixie";

const MAKE_TREE = join(repository, "test", "support", "make-tree");

/**
 * The tree of that release with its GL, EGL and Vulkan libraries, and more packages. Takes a minute the first time, and
 * the network.
 */
export async function tree(suite: Suite, more: readonly string[] = []): Promise<string> {
  const hash = createHash("sha256").update(readFileSync(MAKE_TREE)).update(more.join(" ")).digest("hex").slice(0, 16);
  const directory = join(cacheDirectory(), "trees", `${suite}-${hash}`);
  const child = Bun.spawn([MAKE_TREE, suite, directory, "+", ...more], {
    env: environment(),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(`No tree of ${suite}: make-tree failed\n${stdout}${stderr}`);
  return directory;
}
