// What a bug report needs, in one file of Markdown: versions, variables, findings, plan, and the trace of a run. People send it to
// strangers, so the home directory is "~", and of variables only those are in it that a run depends on.

import { printableLines } from "../diagnostics/output.ts";
import type { Environment } from "../directories/user-cache.ts";

/** How a program was run, and what became of it. */
export interface ReportedRun {
  /** "exit code 1", "SIGSEGV" */
  readonly end: string;
  /** Standard error, with the trace. */
  readonly told: string;
  /** /proc/PID/maps, as it was last. */
  readonly maps: string;
}

export interface BugReport {
  /** Names with versions. */
  readonly versions: readonly (readonly [name: string, version: string])[];
  readonly command: readonly string[];
  readonly environment: Environment;
  readonly findings: string;
  /** Or why there is none. Undefined without a program. */
  readonly plan: string | undefined;
  readonly run: ReportedRun | undefined;
}

/** Variables that decide what capsule, ld.so, or a graphics library does. */
const OF_INTEREST = new RegExp(
  `^(${[
    ...["CAPSULE_.*", "LD_.*", "GLIBC_TUNABLES", "MALLOC_.*", "BUN_.*", "PATH", "TMPDIR", "LANG", "LC_ALL"],
    ...[
      "DISPLAY",
      "WAYLAND_DISPLAY",
      "XDG_(RUNTIME_DIR|SESSION_TYPE|CURRENT_DESKTOP|CACHE_HOME|CONFIG_HOME|DATA_DIRS)",
    ],
    ...[
      "LIBGL_.*",
      "MESA_.*",
      "GALLIUM_.*",
      "GBM_.*",
      "EGL_.*",
      "__EGL_.*",
      "__GL_.*",
      "__GLX_.*",
      "__NV_.*",
      "DRI_.*",
    ],
    ...["VK_.*", "DISABLE_VK_.*", "ENABLE_VK_.*", "DXVK_.*", "VKD3D_.*", "LIBVA_.*", "VDPAU_.*", "OCL_.*", "OPENCL_.*"],
    ...["SDL_.*", "GDK_BACKEND", "QT_QPA_PLATFORM", "MANGOHUD", "DRIRC_CONFIGDIR", "container", "FLATPAK_ID"],
    ...["PRESSURE_VESSEL_.*", "STEAM_RUNTIME.*", "SteamAppId"],
  ].join("|")})$`,
);

/** The most that is kept of the beginning and of the end of a long text, in characters. */
const ENOUGH = 200_000;

export function bugReportText({ versions, command, environment, findings, plan, run }: BugReport): string {
  const names = Object.keys(environment).sort();
  const shown = names.filter((name) => OF_INTEREST.test(name));
  const parts = [
    "# capsule: a report",
    "<!-- Read it before you send it. The home directory is written as ~, and most variables are left out. -->",
    block("What was run", command.join(" ")),
    block("Versions", versions.map(([name, version]) => `${name.padEnd(9)} ${version}`).join("\n")),
    block(
      `Variables (${shown.length} of ${names.length})`,
      shown.map((name) => `${name}=${environment[name]}`).join("\n"),
    ),
    block("Doctor", findings),
    ...(plan === undefined ? [] : [block("Plan", plan)]),
    ...(run === undefined
      ? []
      : [
          block("End", run.end),
          block("Trace, and standard error", run.told),
          block("Maps, as they were last", run.maps),
        ]),
  ];
  return withoutHome(`${parts.join("\n\n")}\n`, environment.HOME);
}

function block(title: string, text: string): string {
  const shown = printableLines(shortened(text).trimEnd());
  // Longer than any fence in the text.
  const fence = "`".repeat(Math.max(3, ...Array.from(shown.matchAll(/`+/g), ([ticks]) => ticks.length + 1)));
  return `## ${title}\n\n${fence}\n${shown}\n${fence}`;
}

function shortened(text: string): string {
  const left = text.length - 2 * ENOUGH;
  return left <= 0 ? text : `${text.slice(0, ENOUGH)}\n… ${left} characters …\n${text.slice(-ENOUGH)}`;
}

/** A home is nobody's business: "~" is as good. */
const withoutHome = (text: string, home: string | undefined): string =>
  home === undefined || !/^\/.*[^/]/s.test(home)
    ? text
    : text.replace(new RegExp(`${RegExp.escape(home.replace(/\/+$/, ""))}(?![\\w.-])`, "g"), "~");
