// Can the program be run, in which mode, and does it find all that it needs?

import { realpathSync } from "node:fs";
import { ElfError } from "../../lib/elf/error.ts";
import { LinkError } from "../../lib/loader/error.ts";
import type { System } from "../../lib/process/system.ts";
import { EXIT, NotHostableError, ProgramError } from "../errors.ts";
import { type ExecOptions, makeAttachedPlan, makePlan } from "../plan.ts";
import { checkAttachable, locateProgram, reasonToAttach } from "../program.ts";
import { Trace } from "../trace.ts";
import type { TreeOptions, Trees } from "../trees.ts";
import { type Finding, fine, hindrance } from "./finding.ts";

/** Everything that a run finds out before it begins, in the mode that it would have. */
export function programFindings(program: string, trees: Trees, options: TreeOptions, system: System): Finding[] {
  const trace = new Trace([]);
  const run: ExecOptions = { ...options, program, arguments: [], mountNamespace: "auto" };
  const found: Finding[] = [];
  try {
    const executed = locateProgram(program);
    const path = realpathSync(executed);
    found.push(fine("program", `"${path}"`));
    const attach = (why: string): Finding[] => {
      checkAttachable(path, process.env.PATH ?? "", system);
      makeAttachedPlan(run, executed, trees, trace);
      return [...found, fine("mode", `attached, as ${why}`)];
    };
    const why = reasonToAttach(path);
    if (why !== undefined) return attach(why);
    try {
      const { capsules, runtimeLibraries } = makePlan(run, trees, trace);
      const atStart = capsules.flatMap((capsule) => capsule.atStart);
      return [
        ...found,
        fine("mode", "in-process"),
        fine(
          "needs",
          `${runtimeLibraries.length} libraries of the runtime's; isolated: ${atStart.join(", ") || "none at its start"}`,
        ),
      ];
    } catch (error) {
      if (error instanceof NotHostableError) return attach(error.reason);
      throw error;
    }
  } catch (error) {
    if (!(error instanceof ProgramError || error instanceof LinkError || error instanceof ElfError)) throw error;
    return [...found, hindrance("program", error.message, adviceFor(error))];
  }
}

function adviceFor(error: ProgramError | LinkError | ElfError): string {
  if (error instanceof ElfError) return "install that file anew";
  if (error instanceof LinkError)
    return "--host names another host tree, --trace plan,search tells where it was looked for";
  if (error.cause instanceof LinkError) return "install the library, or have LD_LIBRARY_PATH or --runtime lead to it";
  return error.exitCode === EXIT.notFound ? "is the name right?" : "another program, or another build of it, is needed";
}
