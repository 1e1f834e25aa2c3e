// What killed runs have left behind: private directories whose process is gone.

import { lstatSync, readdirSync, readlinkSync, rmdirSync, type Stats, statSync, unlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { LinkError } from "../../lib/link-error.ts";
import { isThere, isUnfinished, readOwn } from "../../lib/own-files.ts";
import { unlessGone } from "../../lib/process/stat.ts";
import { SystemFault, unless, unlessRefused } from "../../lib/unless.ts";
import type { Trace } from "../diagnostics/trace.ts";
import { CHANNEL_FILE } from "./library-path.ts";
import { storeFile } from "./own-cache.ts";
import { MARK, OWNER, ownerOf, PREFIX, removeDirectory } from "./private-directory.ts";
import { LINK } from "./short-lived.ts";
import { privateParent } from "./temporary-place.ts";

/** As mkdtemp(3) makes it. */
const NAME = new RegExp(`^${PREFIX}(?:${LINK})?[A-Za-z0-9]{6}$`);
/** What ownerOf() returns. */
const OWNER_TEXT = /^(pid:\[\d+\]) (\d+) \d+\n$/;
/** A run that is younger may not have written anything yet, in milliseconds. */
const START_MS = 60_000;
/** Of <linux/nsfs.h>: the PID namespace from which all others can be seen. */
const INITIAL_NAMESPACE = "pid:[4026531836]";

/**
 * Removes what ended runs have left in a directory, by default where this user's runs have theirs. `isGone` says
 * whether a PID namespace other than this process's surely has no processes. Returns why some could not be removed.
 */
export function removeLeftovers(directory?: string, isGone = isNamespaceGone): string[] {
  const faults: string[] = [];
  // We may not be allowed to list or remove what belongs to somebody else; the program may have become another user's.
  const trying = (action: () => void): void =>
    unless([SystemFault, LinkError], action, ({ message }) => faults.push(message));
  trying(() => {
    const parent = directory ?? privateParent();
    for (const name of readdirSync(parent)) if (NAME.test(name)) trying(() => removeIfLeft(join(parent, name), isGone));
  });
  const store = directory === undefined ? storeFile() : undefined;
  if (store !== undefined) trying(() => removeUnfinished(dirname(store)));
  return faults;
}

export function reportLeftovers(trace: Trace): void {
  for (const fault of removeLeftovers()) trace.log("plan", () => `left behind, and not removed: ${fault}`);
}

function removeIfLeft(path: string, isGone: (namespace: string) => boolean): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat?.isDirectory() || stat.uid !== process.getuid?.()) return;
  // It is empty if the process had ended before it was named there.
  const owner = readOwn(join(path, OWNER))?.toString("latin1") ?? "";
  if (owner !== "") {
    if (isAbandoned(owner, isGone)) removeDirectory(path);
  } else if (isOld(stat)) {
    // Killed before it wrote its owner, or when it had removed that, perhaps while a thread prepared for what is started.
    // Somebody else's directory may have such a name.
    if ([MARK, CHANNEL_FILE].some((name) => isThere(join(path, name))) || isOfLink(path)) removeDirectory(path);
    else removeEmpty(path);
  }
}

/** Whether it is a directory of `capsule link`: these contain only files, and exist for a moment. */
function isOfLink(path: string): boolean {
  if (!basename(path).startsWith(`${PREFIX}${LINK}`)) return false;
  return readdirSync(path, { withFileTypes: true }).every((entry) => entry.isFile());
}

/** Removes what runs that were killed while they wrote the cache have left there. */
function removeUnfinished(directory: string): void {
  for (const name of readdirSync(directory).filter(isUnfinished)) {
    const path = join(directory, name);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat && isOld(stat)) unlinkSync(path);
  }
}

const isOld = ({ mtimeMs }: Stats): boolean => Date.now() - mtimeMs >= START_MS;

function isAbandoned(owner: string, isGone: (namespace: string) => boolean): boolean {
  const [, namespace, pid] = OWNER_TEXT.exec(owner) ?? [];
  if (namespace === undefined) return false;
  // In another namespace, its number means nothing here.
  if (namespace !== readlinkSync("/proc/self/ns/pid")) return isGone(namespace);
  return unlessGone(() => ownerOf(Number(pid))) !== owner;
}

/** Removes directories as long as there is no file in them, but for those that were never finished. */
function removeEmpty(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const inside = join(path, entry.name);
    if (entry.isDirectory()) removeEmpty(inside);
    else if (isUnfinished(entry.name)) unlinkSync(inside);
  }
  unlessRefused(() => rmdirSync(path));
}

function isNamespaceGone(namespace: string): boolean {
  if (readlinkSync("/proc/self/ns/pid") !== INITIAL_NAMESPACE) return false;
  // Process 1 is this namespace's own.
  const processes = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && name !== "1");
  return processes.every((name) => isElsewhere(`/proc/${name}`, namespace));
}

/** Whether a process is surely not in a namespace. */
function isElsewhere(path: string, namespace: string): boolean {
  const own = unlessRefused(
    () => unlessGone(() => readlinkSync(join(path, "ns", "pid"))) ?? "of a process that has ended",
  );
  // We may not know. Another user's process has nothing to do with our directories.
  if (own === undefined) return unlessGone(() => statSync(path))?.uid !== process.getuid?.();
  return own !== namespace;
}
