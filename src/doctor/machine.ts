// The machine and this process: the kernel, Bun, and the resource limits.

import { compareVersions } from "../../lib/elf/glibc-version.ts";
import { PROC_ADVICE } from "../../lib/process/pid-namespace.ts";
import { OUTSIDE_CHANNEL_SIZE } from "../agent/protocol.ts";
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
  return [kernel(files), architecture(facts), bun(facts), ...processes(facts), memory(files), ...limits(files)];
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

function processes({ pidfdFault, procFault }: ProcessFacts): Finding[] {
  const waiting =
    pidfdFault === undefined
      ? fine("pidfd", "processes can be waited for by pidfd_open(2)")
      : hindrance(
          "pidfd",
          `pidfd_open(2) is refused (${pidfdFault}): no server can see when attached programs end`,
          PIDFD_ADVICE,
        );
  const numbers =
    procFault === undefined
      ? fine("proc", "/proc has processes by the numbers that they have here")
      : hindrance("proc", `${procFault}: no process is found by its number, and nothing is run`, PROC_ADVICE);
  return [waiting, numbers];
}

/** Hinders nothing: where other processes may not access the memory, a thread of the program does. */
function memory(files: MachineFiles): Finding {
  const scope = files.number("/proc/sys/kernel/yama/ptrace_scope") ?? 0;
  const how = scope >= 2 ? "by a thread of theirs, since ptrace_scope forbids it to others" : "by process_vm_readv(2)";
  return fine("memory", `attached programs are read and written ${how}`);
}

/** In bytes: what Mesa and Bun map together, measured. */
const ADDRESS_SPACE = 2 ** 30;
/** The largest file that a run writes, in bytes. */
const FILE_SIZE = OUTSIDE_CHANNEL_SIZE;

function limits(files: MachineFiles): Finding[] {
  const text = files.text("/proc/self/limits") ?? "";
  const soft = (name: string): number => {
    const value = new RegExp(`^${name} +(\\d+) `, "m").exec(text)?.[1];
    return value === undefined ? Number.POSITIVE_INFINITY : Number(value);
  };
  const [space, size] = [soft("Max address space"), soft("Max file size")];
  const findings: Finding[] = [];
  if (space < ADDRESS_SPACE)
    findings.push(
      hindrance(
        "address-space",
        `the address space is limited to ${inUnits(space)}, which is too little for graphics drivers`,
        "ulimit -v unlimited",
      ),
    );
  if (size < FILE_SIZE)
    findings.push(
      hindrance(
        "file-size",
        `files are limited to ${inUnits(size)}, and a run writes some that are larger`,
        "ulimit -f unlimited",
      ),
    );
  return findings.length > 0 ? findings : [fine("limits", "no limit of this process is too low")];
}
