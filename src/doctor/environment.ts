// Environment variables that affect which files are used.

import { existsSync } from "node:fs";
import { basename } from "node:path";
import { faultOfAuditors, othersAuditors } from "../plan/glibc/auditing.ts";
import { PROFILES } from "../profiles/profiles.ts";
import { type Finding, fine, hindrance, warning } from "./finding.ts";

interface EnvironmentFacts {
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** The version of the glibc on which everything will run, as numbers. Undefined if unknown. */
  readonly glibc: readonly number[] | undefined;
  readonly isolated: ReadonlySet<string>;
}

/**
 * Variables that point drivers to their files. Capsule sets them to the host tree's paths unless the user has set them.
 */
const TOLD = new Set([
  ...Object.values(PROFILES).flatMap(({ environment }) =>
    environment.filter(({ kind }) => kind !== "cache").map(({ name }) => name),
  ),
  "__EGL_VENDOR_LIBRARY_FILENAMES",
  "VK_ADD_DRIVER_FILES",
]);

/** Variables that ask for less than the hardware can do. */
const SLOW: Readonly<Record<string, string>> = {
  LIBGL_ALWAYS_SOFTWARE: "OpenGL is drawn by the processor",
  LIBGL_ALWAYS_INDIRECT: "OpenGL is sent through the X server, where little of it works",
};

export function environmentFindings(facts: EnvironmentFacts): Finding[] {
  const { variables } = facts;
  const set = (name: string): boolean => (variables[name] ?? "") !== "";
  const found = [
    ...[...TOLD]
      .filter(set)
      .map((name) =>
        warning(
          name,
          `${name} is set: the host's libraries look at "${variables[name]}" for it, not at the host tree's`,
          `unset ${name}, unless that is what you want`,
        ),
      ),
    ...Object.entries(SLOW)
      .filter(([name]) => !["", "0", "false"].includes(variables[name] ?? ""))
      .map(([name, so]) => warning(name, `${name} is set: ${so}`, `unset ${name}`)),
    audit(facts),
    preload(facts),
  ].flat();
  return found.length > 0 ? found : [fine("environment", "no variable is in the way")];
}

function audit({ variables, glibc }: EnvironmentFacts): Finding | [] {
  if (othersAuditors(variables.LD_AUDIT).length === 0) return [];
  const fault = glibc && faultOfAuditors(variables, glibc);
  if (fault !== undefined) return hindrance("LD_AUDIT", fault, "unset LD_AUDIT, or choose a newer glibc (--glibc)");
  const text = "LD_AUDIT is set: its module is asked about the libraries of both sides";
  return warning("LD_AUDIT", text, "unset LD_AUDIT, unless that is what you want");
}

function preload({ variables, isolated }: EnvironmentFacts): Finding[] {
  const list = (variables.LD_PRELOAD ?? "").split(/[\s:]+/).filter(Boolean);
  return list.flatMap((name) => {
    const bad = (why: string) => warning("LD_PRELOAD", `LD_PRELOAD has "${name}", ${why}`, "take it out of LD_PRELOAD");
    if (isolated.has(basename(name))) return bad("which is to be isolated: programs get that copy, before any other");
    // ld.so itself searches for a name with $LIB or without a slash.
    if (!name.startsWith("/") || name.includes("$") || existsSync(name)) return [];
    return bad("which is not there");
  });
}
