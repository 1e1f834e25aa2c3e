// A capture from beginning to end: options, plan, folder.

import { lstatSync, realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { ElfError } from "../../lib/elf/error.ts";
import { LinkError } from "../../lib/link-error.ts";
import { type Changes, changesIn, type Entry, putAll } from "../../lib/own-files.ts";
import { Glibc } from "../../lib/tree/glibc.ts";
import { LIBC, LOADER_PATH } from "../../lib/tree/glibc-names.ts";
import { LibraryStore } from "../../lib/tree/library-store.ts";
import { Search } from "../../lib/tree/search.ts";
import { unless } from "../../lib/unless.ts";
import { UsageError } from "../diagnostics/errors.ts";
import { storeFile } from "../directories/own-cache.ts";
import { hostSearch, openTree } from "../plan/trees.ts";
import type { Profile } from "../profiles/profiles.ts";
import { Settings } from "../settings/settings.ts";
import { NOTHING_FURTHER } from "../settings/tree-options.ts";
import { driversOf } from "./drivers.ts";
import { entryOf, type Remapping } from "./entries.ts";
import { type Comparator, type Knowledge, readKnowledge } from "./knowledge.ts";
import { Provider } from "./matches.ts";
import { requestsOf } from "./pattern.ts";
import { type Captured, planCapture, type Reason } from "./plan.ts";
import type { CaptureReason, CaptureReport } from "./report-data.ts";

export const DEFAULT_COMPARATORS: readonly Comparator[] = ["name", "provider"];

/** Neither a pattern nor a profile. */
export class NothingAsked extends UsageError {}

/** What a command line or a script asks for. */
export interface Wishes {
  readonly patterns: readonly string[];
  /** Their names. */
  readonly profiles: readonly string[];
  readonly provider: string;
  readonly container: string;
  readonly destination: string;
  /** Where the folder will be in the container; by default, where it is. */
  readonly mountedAt: string | undefined;
  readonly linkTarget: string | undefined;
  readonly remapped: readonly Remapping[];
  readonly compareBy: readonly Comparator[];
  /** A file. */
  readonly knowledge: string | undefined;
  readonly isWithoutGlibc: boolean;
  readonly isCopied: boolean;
  readonly isDryRun: boolean;
}

/** Throws UsageError, LinkError, ElfError and what writing throws. The folder is as it was before then. */
export function captureAs(wishes: Wishes, reading?: (path: string) => void): CaptureReport {
  const { isCopied, isDryRun } = wishes;
  if (wishes.patterns.length + wishes.profiles.length === 0)
    throw new NothingAsked("Cannot capture nothing: a pattern is needed, such as soname:libz.so.1, or a profile");
  const requests = requestsOf(wishes.patterns);
  const knowledge: Knowledge = wishes.knowledge === undefined ? new Map() : readKnowledge(wishes.knowledge);
  const store = new LibraryStore(storeFile("captured"), reading);
  const treeAt = (value: string, what: "provider" | "container") =>
    openTree({ value, source: { kind: "flag", name: `--${what}` } }, what);
  const provider = new Provider(hostSearch(treeAt(wishes.provider, "provider"), NOTHING_FURTHER, store));
  const container = new Search(treeAt(wishes.container, "container"), [], store);
  const destination = folderAt(wishes.destination);
  const { compareBy, isWithoutGlibc } = wishes;
  const place = wishes.mountedAt?.replace(/\/+$/, "") ?? destination;
  const drivers = driversOf(profilesNamed(wishes.profiles), provider.search, place);
  const plan = planCapture([...requests, ...drivers.requests], {
    provider,
    container,
    compareBy,
    knowledge,
    isWithoutGlibc,
  });
  const { tree } = provider.search;
  const options = { target: wishes.linkTarget, remapped: wishes.remapped, isCopied };
  const data = drivers.files.map((file): Captured => {
    const wanted = { pattern: "--profile", neededBy: undefined };
    return { ...file, why: "its path", wanted, reason: { kind: "data" }, instead: undefined };
  });
  const captured = [...plan.captured, ...data];
  const texts = new Map(drivers.files.map(({ name, text }) => [name, text]));
  const entries = captured.map((one): Entry => {
    const text = texts.get(one.name);
    return text === undefined ? entryOf(one, tree, options) : { name: one.name, text };
  });
  const changes = isDryRun ? changesIn(destination, entries) : putAll(destination, entries);
  store.save();
  return {
    format: 1,
    provider: tree.name,
    container: container.tree.name,
    destination,
    isDryRun,
    captured: captured.map(({ name, path, why, wanted, reason, instead }, i) => ({
      name,
      path,
      link: textOf(entries[i]),
      why,
      pattern: wanted.pattern,
      neededBy: wanted.neededBy ?? null,
      instead: instead ?? null,
      reason: reasonData(reason),
    })),
    left: plan.left.map(({ name, path, container: other, wanted, reason }) => ({
      name,
      path,
      container: other ?? null,
      pattern: wanted.pattern,
      neededBy: wanted.neededBy ?? null,
      reason: reasonData(reason),
    })),
    ignored: plan.ignored,
    loader: plan.captured.some(({ name }) => name === LIBC) ? loaderIn(provider.search) : null,
    environment: [{ name: "LD_LIBRARY_PATH", value: place }, ...drivers.environment],
    changes: { ...changes } satisfies Changes,
  };
}

const textOf = (entry: Entry | undefined): string | null => (entry && "link" in entry ? entry.link : null);

function reasonData(reason: Reason): CaptureReason {
  const verdict = reason.kind === "compared" ? reason : reason.kind === "glibc" ? reason.verdict : null;
  return { kind: reason.kind, by: verdict?.by ?? null, comparisons: verdict?.comparisons ?? [] };
}

/** Throws UsageError for one that there is not. */
function profilesNamed(names: readonly string[]): Record<string, Profile> {
  if (names.length === 0) return {};
  const settings = new Settings({ profile: names }, undefined);
  return Object.fromEntries(settings.profile.value.map((name) => [name, settings.profiles[name] as Profile]));
}

/** Null for a tree with a libc and no ld.so that fits it. */
function loaderIn(search: Search): CaptureReport["loader"] {
  const path = unless([LinkError, ElfError], () => Glibc.of(search)?.loader);
  return path === undefined ? null : { path, at: LOADER_PATH };
}

/** The folder's path without symbolic links; it may be missing, and then is made. */
function folderAt(path: string): string {
  if (path === "") throw new UsageError('Cannot capture into "": a directory is needed');
  const whole = resolve(path);
  return lstatSync(whole, { throwIfNoEntry: false })
    ? realpathSync(whole)
    : join(realpathSync(dirname(whole)), basename(whole));
}
