// The library: what `import … from "capsule"` gives.

export { ElfError } from "../lib/elf/error.ts";
export { type LinkDetails, LinkError } from "../lib/link-error.ts";
export type { Comparator } from "./capture/knowledge.ts";
export type { CapturedFile, CaptureReason, CaptureReport, LeftFile } from "./capture/report-data.ts";
export type { VerifyFault, VerifyReport } from "./capture/verify.ts";
export type { ErrorData } from "./diagnostics/error-data.ts";
export { ProgramError, UsageError } from "./diagnostics/errors.ts";
export type {
  Binding,
  CapsuleEvent,
  EndedEvent,
  FailedEvent,
  LinkedEvent,
  LinkedLibrary,
  LostEvent,
  OpenedEvent,
  RequestEvent,
  StartEvent,
} from "./diagnostics/events.ts";
export type { Category } from "./diagnostics/trace.ts";
export { type Answer, Capsule, type CapsuleOptions, type MappedLibrary, openCapsule } from "./library/capsule.ts";
export { type CaptureOptions, capture, type VerifyOptions, verify } from "./library/capture.ts";
export { type Ended, exec, Running, type StdioOptions, spawn } from "./library/launch.ts";
export type {
  HookFunction,
  Hooks,
  LaunchOptions,
  PlanOptions,
  RunChoices,
  TreeChoices,
} from "./library/launch-options.ts";
export { plan } from "./library/plan.ts";
export { Redirection, type Slot } from "./library/redirection.ts";
export type { ProfileName } from "./profiles/profiles.ts";
export type {
  Asked,
  GlibcWay,
  IsolatedLibrary,
  LeftLibrary,
  PlannedCapsule,
  PlannedGlibc,
  PlannedHook,
  PlannedLibrary,
  PlannedProgram,
  PlannedSetting,
  PlannedSource,
  PlanReport,
  SharedLibrary,
} from "./report/plan-data.ts";
