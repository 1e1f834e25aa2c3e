// Shader caches of host trees. Mesa maps its cache's index and truncates it to the size that its release uses
// (util/disk_cache.c): if two releases share a cache, one dies of SIGBUS. So each host tree has its own directory in
// the user's cache, while the machine's own Mesa keeps its usual one.

import { lstatSync, readdirSync, readlinkSync, rmSync, statSync, symlinkSync, utimesSync } from "node:fs";
import { userInfo } from "node:os";
import { dirname, join } from "node:path";
import { makeDirectories } from "../../lib/own-files.ts";
import { unlessRefused } from "../../lib/unless.ts";
import { isOwnCache } from "./own-cache.ts";
import { cacheOf, type Environment } from "./user-cache.ts";

/**
 * The directory for a tree with this root; undefined for the machine's own, and if it would be in somebody else's home.
 * Makes nothing.
 */
export function shaderCacheOf(root: string, environment: Environment = process.env): string | undefined {
  if (root === "") return undefined;
  // Without HOME, Mesa uses the user's entry in passwd as well.
  const cache = cacheOf(environment) ?? cacheOf({ HOME: unlessRefused(() => userInfo().homedir) });
  if (cache === undefined || !isOwnCache(cache)) return undefined;
  return join(cache, SHADERS, Bun.hash(root).toString(36));
}

const SHADERS = "shaders";
/** In the directory: a link to the tree. */
const TREE = "tree";

/**
 * Makes the directory that shaderCacheOf returned, and removes unused ones of other trees. If this fails, drivers go
 * without a cache.
 */
export function keepShaderCache(path: string, root: string): void {
  unlessRefused(() => {
    const now = Date.now();
    const used = unlessRefused(() => lstatSync(path).mtimeMs);
    if (used !== undefined && now - used < DAY) return;
    // Mesa before 23 makes only the last directory of a path.
    makeDirectories(path);
    unlessRefused(() => symlinkSync(root, join(path, TREE)));
    utimesSync(path, now / 1000, now / 1000);
    tidy(dirname(path), now);
  });
}

const DAY = 24 * 60 * 60 * 1000;
/** A cache unused for this long is removed; in milliseconds. */
const KEPT_FOR = 90 * DAY;
/** As KEPT_FOR, for a missing tree: it may exist in another container, or on another disk. */
const KEPT_WITHOUT_TREE_FOR = 7 * DAY;
/** Most caches kept. Each may have a GiB (MESA_SHADER_CACHE_MAX_SIZE). */
const MOST = 8;

/** A process that has mapped a removed cache keeps its mapping. */
function tidy(directory: string, now: number): void {
  const all = readdirSync(directory).flatMap((name) => {
    const path = join(directory, name);
    const used = /^[0-9a-z]+$/.test(name) ? unlessRefused(() => lstatSync(path).mtimeMs) : undefined;
    return used === undefined ? [] : [{ path, used }];
  });
  all.sort((one, other) => other.used - one.used);
  for (const [i, { path, used }] of all.entries()) {
    const isThere = unlessRefused(() => statSync(readlinkSync(join(path, TREE)))) !== undefined;
    if (i >= MOST || now - used > (isThere ? KEPT_FOR : KEPT_WITHOUT_TREE_FOR))
      unlessRefused(() => rmSync(path, { recursive: true, force: true }));
  }
}
