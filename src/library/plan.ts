// What `exec` would do, for scripts.

import { realpathSync } from "node:fs";
import { hookOf } from "../plan/hooks.ts";
import { locateProgram } from "../plan/program.ts";
import type { PlanReport } from "../report/plan-data.ts";
import { planReport } from "../report/plan-report.ts";
import { Settings } from "../settings/settings.ts";
import { forCaller } from "./caller.ts";
import { hookTexts, PLAN_KINDS, type PlanOptions } from "./launch-options.ts";
import { checkOptions, startedBy } from "./options.ts";

/**
 * Everything that {@link exec} would do, computed from files and settings alone: nothing is run, loaded or written.
 * Takes about 20 ms for glxinfo.
 *
 * @param program a path, or the name of a program in `PATH`; or, in an array, with its arguments
 * @param options as for {@link exec}. `mode` selects the mode of `capsule exec` to plan for
 * @returns what `capsule plan --json` prints, with the same schema
 * @throws TypeError for an option that there is not, or of a wrong type.
 * @throws {@link ProgramError} if the program is not found or cannot be run.
 * @throws {@link LinkError} if a host tree, or a library in it, is missing or unusable.
 * @throws {@link ElfError} if a library of a host tree is damaged.
 * @throws {@link UsageError} if options, variables or settings are invalid.
 *
 * @example
 * ```ts
 * import { plan } from "capsule";
 *
 * const { glibc, capsules, warnings } = plan("glxgears", { host: "/run/host", profiles: ["gl"] });
 * console.log(`glibc ${glibc.version}, ${glibc.whose}`);
 * for (const { soname, path, why } of capsules.flatMap(({ isolated }) => isolated))
 *   console.log(`${soname}: ${path} (${why})`);
 * for (const warning of warnings) console.error(warning);
 * ```
 */
export function plan(program: string | readonly string[], options: PlanOptions = {}): PlanReport {
  return forCaller(plan, () => {
    const { program: named, list } = startedBy("plan", [[program].flat()]);
    checkOptions(options, PLAN_KINDS, "plan");
    return planned(named, list, options);
  });
}

function planned(program: string, given: readonly string[], options: PlanOptions): PlanReport {
  const { arguments: more = [], profiles, hooks, ...choices } = options;
  const list = [...given, ...more];
  const flags = { mode: "attached", ...choices, profile: profiles };
  const settings = new Settings(flags, realpathSync(locateProgram(program)));
  return planReport(program, list, settings, hookTexts(hooks).map(hookOf));
}
