// Which glibc is used, and how processes are put on it. Whether the kernel permits a mount namespace is known only once
// one is tried, which takes a process, so both ways are reported.

import { canBeAudited } from "../plan/glibc/auditing.ts";
import { processGlibcOf } from "../plan/glibc/process-glibc.ts";
import { searchesOf, type Trees } from "../plan/trees.ts";
import type { GlibcChoice, NamespaceChoice } from "../settings/choices.ts";
import type { GlibcWay, PlannedGlibc } from "./plan-data.ts";

/** `isCovered`: whether a program has its own glibc that the chosen one is to replace. */
export function plannedGlibc(
  mode: "in-process" | "attached",
  trees: Trees,
  choice: GlibcChoice,
  mountNamespace: NamespaceChoice,
  isCovered: boolean,
): PlannedGlibc {
  const [way, otherwise = null] =
    mode === "in-process" ? [wayInProcess(trees)] : wayAttached(trees, mountNamespace, isCovered);
  const told = ({ version, path, whose }: PlannedGlibc["others"][number]) => ({ version, path, whose });
  const { glibc } = trees;
  return { ...told(glibc), isAskedFor: choice !== "auto", others: glibc.others.map(told), way, otherwise };
}

/** Mirrors the decision in reexec/chosen-glibc.ts. */
function wayInProcess({ glibc, runtime, machine }: Trees): GlibcWay {
  return glibc.glibc && !(glibc.isNatural && runtime === machine) ? "started over" : "as it is";
}

/** Mirrors the decision in attached/entry.ts. */
function wayAttached(trees: Trees, choice: NamespaceChoice, isCovered: boolean): [way: GlibcWay, otherwise?: GlibcWay] {
  const { starter } = processGlibcOf(searchesOf(trees), trees.glibc);
  if (!starter && !isCovered) return ["as it is"];
  const without = starter || canBeAudited(trees.glibc) ? "ld.so by name" : "as it is";
  return choice === "never" ? [without] : ["mount namespace", choice === "always" ? "bubblewrap or refused" : without];
}
