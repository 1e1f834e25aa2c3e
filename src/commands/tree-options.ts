// Options by which commands are told the trees, and what is to come from which.

import type { Command } from "commander";
import { GLIBC_CHOICES, glibcChoiceOf } from "../glibc/choice.ts";
import type { TreeOptions } from "../trees.ts";

/** As commander gives them. */
export interface TreeFlags {
  readonly host?: string;
  readonly isolate?: string[];
  readonly profile?: string[];
  readonly runtime?: string;
  readonly glibc?: string;
}

/** For an option that is repeatable, and takes a list with commas. */
export const collect = (text: string, before: string[] = []): string[] => [...before, ...text.split(",")];

export function addTreeOptions(command: Command): Command {
  return command
    .option("--host <dir>", "the tree to take libraries from (default: CAPSULE_PREFIX, /run/host, /host or /)")
    .option(
      "--isolate <soname>",
      "take this library from the host tree; SONAME=DIR from another (repeatable, commas too)",
      collect,
    )
    .option("--profile <name>", "isolate what belongs together (repeatable; default: all of them)", collect)
    .option(
      "--runtime <dir>",
      "the tree with the program's own libraries (default: CAPSULE_RUNTIME, or the machine itself)",
    )
    .option(
      "--glibc <choice>",
      `whose glibc all of it runs on: ${Object.keys(GLIBC_CHOICES).join(", ")}, or a tree's, by its directory (default: CAPSULE_GLIBC, or auto)`,
    );
}

/** Throws UsageError. */
export function treeOptionsOf({ host, runtime, isolate = [], profile: profiles = [], glibc }: TreeFlags): TreeOptions {
  return { host, runtime, isolate, profiles, glibc: glibcChoiceOf(glibc) };
}
