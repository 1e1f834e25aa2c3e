// What `exec` would do, for scripts.

import { realpathSync } from "node:fs";
import { hookOf } from "../hooks.ts";
import { locateProgram } from "../program.ts";
import type { PlanReport } from "../report/plan-data.ts";
import { planReport } from "../report/plan-report.ts";
import { Settings } from "../settings/settings.ts";
import { hookTexts, type PlanOptions } from "./launch-options.ts";

/**
 * Everything that {@link exec} would do, found out from files and settings alone: nothing is run, loaded or written. Some 20 ms for glxinfo.
 *
 * @param program a path, or a name that `PATH` has
 * @param options as for {@link exec}; `mode` says what `capsule exec` would do in another
 * @throws {ProgramError | LinkError | ElfError | UsageError} what `exec` would throw, as far as it can be told beforehand.
 */
export function plan(program: string, options: PlanOptions = {}): PlanReport {
  const { arguments: list = [], profiles, hooks, ...choices } = options;
  const settings = new Settings(
    { mode: "attached", ...choices, profile: profiles },
    realpathSync(locateProgram(program)),
  );
  return planReport(program, list, settings, hookTexts(hooks).map(hookOf));
}
