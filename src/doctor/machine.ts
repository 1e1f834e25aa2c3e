// The machine and this process: the kernel, Bun, and the resource limits.

import { compareVersions } from "../../lib/elf/glibc-version.ts";
import { PROC_ADVICE } from "../../lib/process/pid-namespace.ts";
import { OUTSIDE_CHANNEL_SIZE } from "../agent/protocol.ts";
import { FILES, SPACE, softLimit } from "../diagnostics/limits.ts";
import { inUnits } from "../diagnostics/units.ts";
import { PIDFD_ADVICE } from "../server/start-server.ts";
import { type Finding, fine, hindrance, warning } from "./finding.ts";
import type { MachineFiles } from "./machine-files.ts";

/** The first version with pidfd_open(2). */
const KERNEL = [5, 3];

export interface ProcessFacts {
  /** As in process.arch. */
  readonly architecture: string;
  readonly bun: string;
  /** The oldest version that works. */
  readonly neededBun: string;
  /** Why a process cannot be opened by its number. Undefined if it can. */
  readonly pidfdFault: string | undefined;
  /** Why processes are not in /proc under their numbers. Undefined if they are. */
  readonly procFault: string | undefined;
}

export function machineFindings(files: MachineFiles, facts: ProcessFacts): Finding[] {
  return [kernel(files), architecture(facts), bun(facts), pidfd(facts), proc(facts), memory(files), ...limits(files)];
}

function kernel(files: MachineFiles): Finding {
  const release = files.text("/proc/sys/kernel/osrelease")?.trim();
  if (release === undefined)
    return hindrance(
      "kernel",
      "/proc is not there, by which processes are found",
      "mount it: mount -t proc proc /proc",
    );
  const version = release.split(/[.-]/).slice(0, 2).map(Number);
  if (compareVersions(version, KERNEL) >= 0) return fine("kernel", `Linux ${release}`);
  return hindrance(
    "kernel",
    `Linux ${release}: pidfd_open(2), by which the end of programs is noticed, is missing`,
    `a kernel of ${KERNEL.join(".")} or newer is needed`,
  );
}

function architecture({ architecture }: ProcessFacts): Finding {
  if (architecture === "x64") return fine("architecture", "x86-64");
  return hindrance("architecture", `the machine is ${architecture}`, "only x86-64 programs can be run, on x86-64");
}

function bun({ bun, neededBun }: ProcessFacts): Finding {
  const [own = [], needed = []] = [bun, neededBun].map((text) => text.split(/[.-]/).slice(0, 3).map(Number));
  if (compareVersions(own, needed) >= 0) return fine("bun", `Bun ${bun}`);
  return warning(
    "bun",
    `Bun ${bun}: the tests run on ${neededBun}`,
    `bun upgrade, or npm install --global bun@${neededBun}`,
  );
}

function pidfd({ pidfdFault: fault }: ProcessFacts): Finding {
  if (fault === undefined) return fine("pidfd", "processes can be waited for by pidfd_open(2)");
  const text = `pidfd_open(2) is refused (${fault}): no server can see when attached programs end`;
  return hindrance("pidfd", text, PIDFD_ADVICE);
}

function proc({ procFault: fault }: ProcessFacts): Finding {
  if (fault === undefined) return fine("proc", "/proc has processes by the numbers that they have here");
  return hindrance("proc", `${fault}: no process is found by its number, and nothing is run`, PROC_ADVICE);
}

/** Hinders nothing: where other processes may not access the memory, a thread of the program does. */
function memory(files: MachineFiles): Finding {
  const scope = files.number("/proc/sys/kernel/yama/ptrace_scope") ?? 0;
  const how = scope >= 2 ? "by a thread of theirs, since ptrace_scope forbids it to others" : "by process_vm_readv(2)";
  return fine("memory", `attached programs are read and written ${how}`);
}

const LIMITS = [
  { ...SPACE, check: "address-space", why: "which is too little for graphics drivers" },
  { ...FILES, check: "open-files", why: "which is too little for a server" },
  {
    name: "Max file size",
    // The largest file that a run writes.
    least: OUTSIDE_CHANNEL_SIZE,
    check: "file-size",
    tell: (limit: number) => `files are limited to ${inUnits(limit)}`,
    why: "and a run writes some that are larger",
    advice: "ulimit -f unlimited",
  },
];

function limits(files: MachineFiles): Finding[] {
  const text = files.text("/proc/self/limits") ?? "";
  const findings = LIMITS.flatMap((limit) => {
    const { least, check, tell, why, advice } = limit;
    const soft = softLimit(text, limit);
    return soft !== undefined && soft < least ? hindrance(check, `${tell(soft)}, ${why}`, advice) : [];
  });
  return findings.length > 0 ? findings : [fine("limits", "no limit of this process is too low")];
}
