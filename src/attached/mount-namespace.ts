// A mount namespace in which another glibc's files replace the machine's. Every program started in it runs on that
// glibc, whatever the call and the environment, and /proc/self/exe is right, as nothing is started by ld.so's name.
//
// A process that may mount (CAP_SYS_ADMIN) makes it directly; any other makes it in a user namespace, in which it keeps
// its user but can gain no rights: setuid programs do not work there, and files of other users seem to belong to
// nobody.

import type { Libc } from "../../lib/process/libc.ts";
import { RESULT, type Step, tryOut } from "../../lib/process/steps.ts";
import { ERRNO, SYS, type SystemCall } from "../../lib/x86-64/linux.ts";
import type { Mounts } from "../plan/glibc/process-glibc.ts";

/** How to make it. */
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
    // Mounts made outside later appear inside, but not the reverse.
    step("mount", "/", "none", "/", 0, MS_REC | MS_SLAVE, 0),
    ...[...mounts].map(([over, file]) => step("mount", `on ${over}`, file, over, 0, MS_BIND, 0)),
  ];
}

/** bubblewrap's arguments for the same mounts. */
export const bubblewrapArguments = (mounts: Mounts): string[] => [
  ...["--dev-bind", "/", "/"],
  ...[...mounts].flatMap(([over, file]) => ["--bind", file, over]),
  "--",
];
