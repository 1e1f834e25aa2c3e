// A mount namespace in which another glibc's files are in the place of the machine's.
// Everything that is started there runs on it, by whatever call and with whatever
// environment, and /proc/self/exe is right, as nothing is started by an ld.so's name.
//
// Who may mount (CAP_SYS_ADMIN) makes it as it is; anybody else in a user namespace of
// his own, in which he stays who he is and can gain no rights: programs that are setuid
// do not work there, and files of others seem to be nobody's.

import type { Libc } from "../../lib/process/libc.ts";
import { RESULT, type Step, tryOut } from "../../lib/process/steps.ts";
import { ERRNO, SYS, type SystemCall } from "../../lib/x86-64/linux.ts";
import type { Mounts } from "../plan/glibc/process-glibc.ts";

/** How to make it, and why not otherwise. */
interface Way {
  readonly steps: readonly Step[];
  /** In a user namespace, too. */
  readonly isUsers: boolean;
}

/** The first way that the kernel permits, or why it permits none. */
export function wayTo(libc: Libc, mounts: Mounts): Way | string {
  const faults: string[] = [];
  for (const isUsers of [false, true]) {
    const steps = stepsOf(mounts, isUsers);
    const fault = tryOut(libc, steps);
    if (!fault) return { steps, isUsers };
    faults.push(`${fault.step?.name ?? "clone"}: ${nameOf(fault.errno)}`);
  }
  return [...new Set(faults)].join("; ");
}

const nameOf = (errno: number): string =>
  Object.entries(ERRNO).find(([, number]) => number === errno)?.[0] ?? `errno ${errno}`;

const [CLONE_NEWNS, CLONE_NEWUSER] = [0x20000, 0x10000000];
const [MS_BIND, MS_REC, MS_SLAVE] = [0x1000, 0x4000, 0x80000];
const O_WRONLY_CLOEXEC = 0x80001;

function stepsOf(mounts: Mounts, isUsers: boolean): Step[] {
  const step = (name: SystemCall, about: string, ...list: Step["arguments"]): Step => {
    return { name: `${name} ${about}`, number: SYS[name], arguments: list };
  };
  const write = (file: string, text: string): Step[] => [
    step("open", file, file, O_WRONLY_CLOEXEC),
    step("write", file, RESULT, text, text.length),
  ];
  const ids = (id: number) => `${id} ${id} 1`;
  const maps = isUsers
    ? [
        ...write("/proc/self/setgroups", "deny"),
        ...write("/proc/self/uid_map", ids(process.geteuid?.() ?? 0)),
        ...write("/proc/self/gid_map", ids(process.getegid?.() ?? 0)),
      ]
    : [];
  return [
    step("unshare", isUsers ? "of users and mounts" : "of mounts", CLONE_NEWNS | (isUsers ? CLONE_NEWUSER : 0)),
    ...maps,
    // What is mounted outside later is seen inside, and not the other way round.
    step("mount", "/", "none", "/", 0, MS_REC | MS_SLAVE, 0),
    ...[...mounts].map(([over, file]) => step("mount", `on ${over}`, file, over, 0, MS_BIND, 0)),
  ];
}

/** Of bubblewrap: the same mounts. */
export const bubblewrapArguments = (mounts: Mounts): string[] => [
  ...["--dev-bind", "/", "/"],
  ...[...mounts].flatMap(([over, file]) => ["--bind", file, over]),
  "--",
];
