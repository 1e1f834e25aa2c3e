// Where a program runs: in this process, which starts faster, or in one of its own, which works for any program. Its
// headers decide most cases, planning decides the rest; until then nothing has been done.

import type { System } from "../../lib/process/system.ts";
import { hasOrigin, libraryPathOf } from "../../lib/tree/search.ts";
import { NotHostableError, UsageError } from "../diagnostics/errors.ts";
import type { Mode, NamespaceChoice } from "../settings/choices.ts";
import type { Environment } from "../settings/layer.ts";
import { AUDITORS, othersAuditors } from "./glibc/auditing.ts";
import { findUnlinkedRunner, reasonToAttach, refuseCapabilities } from "./program.ts";
import { tellUnlinked } from "./unlinked.ts";

/** What to do in either mode; `why` is the reason for the mode. */
interface ByMode<InProcess, Attached> {
  inProcess(why: string): InProcess;
  attached(why: string): Attached;
}

interface ModeOptions {
  readonly mode: Mode;
  readonly mountNamespace: NamespaceChoice;
  /** Events are written. */
  readonly isTold?: boolean;
}

/** Why variables forbid in-process mode: ld.so applied them at the start of this process to Bun, not to the program. */
function reasonInVariables({ LD_LIBRARY_PATH: path, [AUDITORS]: auditors }: Environment): string | undefined {
  if (othersAuditors(auditors).length > 0)
    return `${AUDITORS} is set, and auditors are told of a program when a process begins`;
  if (!libraryPathOf(path).some(hasOrigin)) return undefined;
  return "LD_LIBRARY_PATH has $ORIGIN, which is the directory of another program in this process";
}

/**
 * Does what belongs to a program's mode. `path` is its file. If the mode is auto and inProcess throws NotHostableError,
 * the program is attached. Throws UsageError for options that exclude each other, and ProgramError.
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

/** Adds to `why` that the program itself is not linked, unless it says so already. */
function withUnlinked(why: string, path: string): string {
  const unlinked = findUnlinkedRunner(path);
  if (!unlinked) return why;
  const text = tellUnlinked(unlinked);
  return why.endsWith(text) ? why : `${why}; ${unlinked.path === path ? "it" : "its interpreter"} ${text}`;
}
