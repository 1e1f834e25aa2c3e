// Whether the program can run, in which mode, and whether it finds all its libraries.

import { realpathSync } from "node:fs";
import { ElfError } from "../../lib/elf/error.ts";
import { LinkError } from "../../lib/link-error.ts";
import type { System } from "../../lib/process/system.ts";
import { EXIT, NotHostableError, ProgramError } from "../diagnostics/errors.ts";
import { Trace } from "../diagnostics/trace.ts";
import { inMode } from "../plan/mode.ts";
import { lacksOf, tellLack } from "../plan/older-hosts.ts";
import { type ExecOptions, makeAttachedPlan, makePlan } from "../plan/plan.ts";
import { checkAttachable, locateProgram } from "../plan/program.ts";
import { emptiedEnvironments } from "../plan/scripts.ts";
import type { Trees } from "../plan/trees.ts";
import type { Settings } from "../settings/settings.ts";
import { type Finding, fine, hindrance, warning } from "./finding.ts";

/** Everything that a run would check before it starts, in the mode that it would choose. Throws UsageError. */
export function programFindings(program: string, settings: Settings, trees: Trees, system: System): Finding[] {
  const trace = new Trace([]);
  const found: Finding[] = [];
  const [mode, mountNamespace] = [settings.mode.value, settings.mountNamespace.value];
  const run: ExecOptions = {
    ...settings.trees,
    ...{ program, arguments: [], mode, mountNamespace, hooks: [], settingsFiles: settings.files },
  };
  try {
    const executed = locateProgram(program);
    const path = realpathSync(executed);
    found.push(fine("program", `"${path}"`));
    for (const text of emptiedEnvironments(path, []))
      found.push(warning("environment-emptied", text, "have the script keep LD_AUDIT and LD_LIBRARY_PATH"));
    const findings = inMode(path, { mode, mountNamespace }, system, {
      inProcess(why): Finding[] {
        const plan = makePlan(run, trees, trace);
        const isolated = plan.capsules.flatMap(({ atStart }) => atStart).join(", ") || "none at its start";
        const needs = `isolated: ${isolated}; of the runtime: ${plan.needs.libraries.length} libraries`;
        return [fine("mode", `in-process, ${why}`), fine("needs", needs), ...lackFindings(plan, path)];
      },
      attached(why): Finding[] {
        checkAttachable(path, process.env.PATH ?? "", system);
        const plan = makeAttachedPlan(run, executed, trees, trace);
        return [fine("mode", `attached, ${why}`), ...lackFindings(plan, path)];
      },
    });
    return [...found, ...findings];
  } catch (error) {
    if (!(error instanceof ProgramError || error instanceof LinkError || error instanceof ElfError)) throw error;
    return [...found, hindrance("program", error.message, adviceFor(error))];
  }
}

/**
 * Versions and symbols that the host tree is too old for. A missing version ends the program at the start, a missing
 * symbol perhaps never.
 */
const lackFindings = (plan: Parameters<typeof lacksOf>[0], path: string): Finding[] =>
  lacksOf(plan, path).map((lack) => {
    const advice = "--host names another host tree; without --isolate it is the runtime's own";
    return (lack.what === "version" ? hindrance : warning)("host-age", tellLack(lack), advice);
  });

function adviceFor(error: ProgramError | LinkError | ElfError): string {
  if (error instanceof NotHostableError) return "--mode auto, or attached";
  if (error instanceof ElfError) return "install that file anew";
  if (error instanceof LinkError)
    return "--host names another host tree, --trace plan,search tells where it was looked for";
  if (error.cause instanceof LinkError) return "install the library, or have LD_LIBRARY_PATH or --runtime lead to it";
  return error.exitCode === EXIT.notFound ? "is the name right?" : "another program, or another build of it, is needed";
}
