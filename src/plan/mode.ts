// Where a program runs: in this process, which starts it sooner, or in one of its own,
// which any program can have. Its headers say most of it. The rest is found out while
// it is planned what comes from where; nothing has been done by then.

import type { System } from "../../lib/process/system.ts";
import { hasOrigin, libraryPathOf } from "../../lib/tree/search.ts";
import { NotHostableError, UsageError } from "../diagnostics/errors.ts";
import type { Mode, NamespaceChoice } from "../settings/choices.ts";
import { AUDITORS, othersAuditors } from "./glibc/auditing.ts";
import { reasonToAttach, refuseCapabilities, runnerOf } from "./program.ts";
import { findUnlinked, tellUnlinked } from "./unlinked.ts";

/** What is done in either mode, and told why it is that one. */
interface ByMode<InProcess, Attached> {
  inProcess(why: string): InProcess;
  attached(why: string): Attached;
}

interface ModeOptions {
  readonly mode: Mode;
  readonly mountNamespace: NamespaceChoice;
  /** Somebody reads events. */
  readonly isTold?: boolean;
}

/** What ld.so has done by them when this process began was for the program that this one is. */
function reasonInVariables({
  LD_LIBRARY_PATH: path,
  [AUDITORS]: auditors,
}: Readonly<Record<string, string | undefined>>): string | undefined {
  if (othersAuditors(auditors).length > 0)
    return `${AUDITORS} is set, and auditors are told of a program when a process begins`;
  if (!libraryPathOf(path).some(hasOrigin)) return undefined;
  return "LD_LIBRARY_PATH has $ORIGIN, which is the directory of another program in this process";
}

/**
 * Does what belongs to the mode of a program, of which `path` is the file; that of attached programs, too, where a
 * NotHostableError comes out of the other and the mode is auto. Throws UsageError for what excludes each other, and
 * ProgramError.
 */
export function inMode<InProcess, Attached>(
  path: string,
  { mode, mountNamespace, isTold = false }: ModeOptions,
  system: System,
  { inProcess, attached: run }: ByMode<InProcess, Attached>,
): InProcess | Attached {
  const attached = (why: string) => run(withUnlinked(why, path));
  if (mode === "attached") return attached("as was asked for");
  if (mountNamespace === "always") {
    if (mode === "in-process")
      throw new UsageError(
        "Cannot run a program in-process in a mount namespace: --mount-namespace always is for --mode attached",
      );
    return attached("as a mount namespace is for programs in processes of their own");
  }
  if (isTold) {
    if (mode === "in-process")
      throw new UsageError("Cannot write events of a program in-process: --events is for --mode attached");
    return attached("as events are of programs in processes of their own");
  }
  const taken = reasonInVariables(process.env);
  if (mode === "in-process" && taken !== undefined) throw new NotHostableError(path, taken);
  const why = mode === "auto" ? (taken ?? reasonToAttach(path)) : undefined;
  if (why !== undefined) return attached(`as ${why}`);
  refuseCapabilities(path, system);
  try {
    return inProcess(mode === "auto" ? "if nothing forbids it" : "as was asked for");
  } catch (error) {
    if (mode !== "auto" || !(error instanceof NotHostableError)) throw error;
    return attached(`as ${error.reason}`);
  }
}

/** Why it is attached, and that it is not linked itself, where that is so and is not said yet. */
function withUnlinked(why: string, path: string): string {
  const runner = runnerOf(path);
  const unlinked = runner === undefined ? undefined : findUnlinked(runner);
  if (!unlinked) return why;
  const text = tellUnlinked(unlinked);
  return why.endsWith(text) ? why : `${why}; ${runner === path ? "it" : "its interpreter"} ${text}`;
}
