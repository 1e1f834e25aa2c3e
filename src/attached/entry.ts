// How a launcher becomes the program when that is to run on another glibc than the kernel would start: in a mount
// namespace, made by a generated program or by bubblewrap, or else directly, as a re-exec stub.

import type { Library } from "../../lib/elf/library.ts";
import { staticProgram } from "../../lib/elf/write/static-program.ts";
import { LinkError } from "../../lib/link-error.ts";
import type { Libc } from "../../lib/process/libc.ts";
import { type EnterTargets, enterCode } from "../agent/code/enter.ts";
import type { Trace } from "../diagnostics/trace.ts";
import { LIBRARY_PATH } from "../handover/program-environment.ts";
import { AUDITORS } from "../plan/glibc/auditing.ts";
import { refuseUncovered } from "../plan/glibc/own-interpreter.ts";
import { type Mounts, mountsOf, type ProcessGlibc } from "../plan/glibc/process-glibc.ts";
import type { AttachedPlan } from "../plan/plan.ts";
import type { Trees } from "../plan/trees.ts";
import type { ServingDirectory } from "../server/serving-directory.ts";
import type { NamespaceChoice } from "../settings/choices.ts";
import { bubblewrapArguments, wayTo } from "./mount-namespace.ts";

export interface Entry {
  /** What the processes find, this way. */
  readonly processGlibc: ProcessGlibc;
  /** Files that are mounted over others for the processes, but not for their server. */
  readonly mounts: Mounts;
  /**
   * Replaces this process's program. Returns the errno if the kernel refuses; where it is too late for that, `refusals`
   * are the messages.
   */
  execute(
    file: string,
    list: readonly Uint8Array[],
    variables: readonly Uint8Array[],
    refusals: EnterTargets["refusals"],
  ): number;
}

/** The relevant parts of a plan. */
interface Wanted extends Pick<AttachedPlan, "processGlibc" | "own" | "isAudited"> {
  readonly isolated: readonly Library[];
  /** Of the chosen glibc. */
  readonly version: string;
}

/**
 * Throws LinkError if a mount namespace is required and cannot be made, ProgramError for a program that cannot do
 * without, and what writing throws.
 */
export function entryOf(
  libc: Libc,
  directory: ServingDirectory,
  { processGlibc, own, isAudited, isolated, version }: Wanted,
  { machine, runtime }: Pick<Trees, "machine" | "runtime">,
  choice: NamespaceChoice,
  trace: Trace,
): Entry {
  const tell = (text: string) => trace.log("plan", () => text);
  const execute: Entry["execute"] = (file, list, variables) => libc.exec.execute(file, list, variables);
  const plainly: Entry = { processGlibc, mounts: new Map(), execute };
  const cover = own?.cover ?? new Map();
  if (!processGlibc.starter && cover.size === 0) {
    if (choice === "always") tell("mount namespace: none, as the machine's own glibc is used");
    return plainly;
  }
  if (choice === "never") {
    tell(`mount namespace: none, as was asked for${processGlibc.starter ? `: ${BY_NAME}` : ""}`);
    return plainly;
  }
  const mounts = new Map([...mountsOf(processGlibc, machine), ...cover]);
  // The character sets are passed on if the machine has no directory for them.
  const characterSets = processGlibc.starter?.characterSets;
  const sets = characterSets !== undefined && ![...mounts.values()].includes(characterSets) ? characterSets : undefined;
  // A file mounted over the machine's is found there, but not by a program with its own glibc. Another runtime's
  // directories would come before it.
  const isThere = (file: string) => runtime === machine && [...mounts.values()].includes(file);
  const left = [...processGlibc.shared].filter(([, file]) => !isThere(file));
  const inside = { mounts, processGlibc: { shared: new Map(left), starter: undefined } };
  const withSets = (variables: readonly Uint8Array[]): readonly Uint8Array[] =>
    sets === undefined || variables.some((one) => Buffer.from(one).toString("latin1").startsWith("GCONV_PATH="))
      ? variables
      : [...variables, Buffer.from(`GCONV_PATH=${sets}`)];
  const way = wayTo(libc, mounts);
  if (typeof way !== "string") {
    tell(
      `mount namespace: ${way.isUsers ? `in a user namespace (${OF_USERS})` : "made"}, with ${[...mounts.keys()].join(" ")}`,
    );
    return {
      ...inside,
      execute(file, list, variables, refusals) {
        const bytes = staticProgram(enterCode({ steps: way.steps, program: file, refusals }), "enter");
        const path = directory.put(ENTER, bytes, 0o700);
        return libc.exec.execute(path, list, withSets(variables));
      },
    };
  }
  // It does not forward signals to the program, which hurts most programs, so it has to be requested.
  const bubblewrap = choice === "always" ? findBubblewrap(mounts) : undefined;
  if (bubblewrap !== undefined) {
    tell(`mount namespace: by ${bubblewrap}, which stays as the program's parent (${way})`);
    return {
      ...inside,
      execute(file, [, ...list], variables) {
        // bubblewrap itself has to run on the machine's glibc.
        const names = [LIBRARY_PATH, AUDITORS].map((name) => Buffer.from(`${name}=`));
        const nameOf = (variable: Uint8Array) => names.find((name) => name.equals(variable.subarray(0, name.length)));
        const set = variables.flatMap((one) => {
          const name = nameOf(one);
          return name ? [SETENV, name.subarray(0, -1), one.subarray(name.length)] : [];
        });
        const words = [...bubblewrapArguments(mounts), file].map((word) => Buffer.from(word));
        const rest = withSets(variables).filter((variable) => !nameOf(variable));
        return libc.exec.execute(bubblewrap, [Buffer.from(bubblewrap), ...set, ...words, ...list], rest);
      },
    };
  }
  if (choice === "always")
    throw new LinkError(
      `Cannot make a mount namespace: ${way}; bubblewrap is not there, or cannot either (--mount-namespace auto does without)`,
    );
  if (own)
    refuseUncovered(own, { processGlibc, isAudited }, isolated, version, `no mount namespace can be made (${way})`);
  tell(`mount namespace: none (${way})${processGlibc.starter ? `: ${BY_NAME}` : ""}`);
  return plainly;
}

const SETENV = Buffer.from("--setenv");
const ENTER = "enter";
const BY_NAME =
  "each process is started by the ld.so's name: ps shows that, and who asks the kernel itself what it runs (Go, static programs) is told so";
const OF_USERS = "setuid programs do not work there, files of other users seem to be nobody's";

/** The path of bubblewrap, if it is installed and permitted. */
export function findBubblewrap(mounts: Mounts): string | undefined {
  const path = Bun.which("bwrap");
  if (path === null) return undefined;
  const command = [path, ...bubblewrapArguments(mounts), "/bin/true"];
  const trial = Bun.spawnSync(command, { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
  return trial.success ? path : undefined;
}
