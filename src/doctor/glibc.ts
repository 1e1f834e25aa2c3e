// Which glibc everything will run on, whether processes can be started on it, and whether it has room for the host's
// thread-local data.

import type { Library } from "../../lib/elf/library.ts";
import { inUnits } from "../diagnostics/units.ts";
import { type ChosenGlibc, runsOn } from "../plan/glibc/choice.ts";
import { MAXIMAL_ALIGNMENT, staticNeed } from "../plan/static-tls.ts";
import type { NamespaceChoice } from "../settings/choices.ts";
import { type Finding, fine, hindrance, warning } from "./finding.ts";
import type { MachineFiles } from "./machine-files.ts";

/** `others` maps each tree that was not chosen to its version. */
export function glibcFinding(
  { version, path, isNatural }: Pick<ChosenGlibc, "version" | "path" | "isNatural">,
  others: ReadonlyMap<string, string>,
): Finding {
  const compared = [...others].map(([whose, version]) => `${version} ${whose}`).join(", ");
  const why = isNatural ? "the machine's own" : `of "${path}"`;
  return fine("glibc", `programs run on glibc ${version}, ${why}${compared && ` (there is ${compared})`}`);
}

/** A hindrance if some of the host's libraries cannot run on the chosen glibc. */
export function tooNew(libraries: readonly Library[], { version }: Pick<ChosenGlibc, "version">): Finding[] {
  const newer = libraries.filter((library) => !runsOn(library, version));
  if (newer.length === 0) return [];
  const { path, glibc } = newer.reduce((best, one) => (runsOn(one, best.glibc ?? version) ? best : one));
  const text =
    newer.length === 1
      ? `"${path}" needs glibc ${glibc}, and ${version} was chosen`
      : `${newer.length} libraries need a newer glibc than ${version}, which was chosen; "${path}" needs ${glibc}`;
  return [hindrance("glibc", text, "--glibc auto takes the newest of all trees'")];
}

export interface NamespaceFacts {
  /** Whether programs run on another glibc than the machine's. Otherwise no namespace is needed. */
  readonly isNeeded: boolean;
  readonly choice: NamespaceChoice;
  /** Why the kernel forbids one. Undefined if it does not. */
  readonly fault: string | undefined;
  /** Whether bubblewrap can make one. Called only if that matters. */
  readonly hasBubblewrap: () => boolean;
}

export function namespaceFinding(files: MachineFiles, facts: NamespaceFacts): Finding {
  const { isNeeded, choice, fault, hasBubblewrap } = facts;
  if (fault === undefined) return fine("mount-namespace", "the kernel permits mount namespaces");
  if (!isNeeded || choice === "never")
    return fine("mount-namespace", `the kernel permits no mount namespaces (${fault}), and none is needed`);
  const advice = forbidder(files) ?? "a container engine or its filter of system calls may forbid it";
  const text = `programs run on another glibc than the machine's, and the kernel permits no mount namespace (${fault})`;
  if (choice === "always" && !hasBubblewrap())
    return hindrance("mount-namespace", text, `${advice}; or install bubblewrap`);
  return warning("mount-namespace", `${text}: attached ones are started by an ld.so's name`, advice);
}

/** Advice for the setting that forbids user namespaces. */
function forbidder(files: MachineFiles): string | undefined {
  const is = (path: string, value: number) => files.number(`/proc/sys/${path}`) === value;
  if (is("kernel/unprivileged_userns_clone", 0))
    return "sysctl kernel.unprivileged_userns_clone=1, as root, permits them";
  if (is("kernel/apparmor_restrict_unprivileged_userns", 1))
    return "sysctl kernel.apparmor_restrict_unprivileged_userns=0, as root, permits them, or an AppArmor profile for bun";
  if (is("user/max_user_namespaces", 0)) return "sysctl user.max_user_namespaces=15000, as root, permits them";
  return undefined;
}

/** The static TLS that every version reserves by default, in bytes. */
const SURPLUS = 1600;

/**
 * `capsules` has, for each host tree, the libraries that may be opened. `isTunable`: the chosen glibc has a tunable for
 * the size to reserve (2.33, or Debian's 2.31).
 */
export function staticTlsFinding(capsules: readonly (readonly Library[])[], isTunable: boolean): Finding {
  const { libraries, size } = staticNeed(capsules);
  const misaligned = libraries.find(({ tls }) => (tls?.alignment ?? 0) > MAXIMAL_ALIGNMENT);
  if (misaligned)
    return hindrance(
      "static-tls",
      `"${misaligned.path}" wants its thread-local data aligned to ${misaligned.tls?.alignment} bytes in static TLS, and glibc does ${MAXIMAL_ALIGNMENT} at most`,
      "another build of that library is needed",
    );
  const largest = libraries.toSorted((one, other) => (other.tls?.size ?? 0) - (one.tls?.size ?? 0))[0];
  if (size > SURPLUS && !isTunable)
    return hindrance(
      "static-tls",
      `the host's libraries want ${inUnits(size)} of static TLS, most of it "${largest?.path}", and this glibc cannot be told to set so much aside`,
      "a newer glibc can (2.33): --glibc DIR",
    );
  const how = size > SURPLUS ? "and GLIBC_TUNABLES will make room" : "which glibc has to spare";
  return fine("static-tls", `the host's libraries want ${size} bytes of static TLS, ${how}`);
}
