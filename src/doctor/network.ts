// Paths on file systems of other machines, which may have stopped answering: whoever
// looks at one then waits for ever. They are told by the kernel's list of mounts, which
// nobody has to answer for, and asked by a process that can be killed.

import { join, resolve } from "node:path";
import type { MachineFiles } from "./machine-files.ts";

/** Types of file systems (mountinfo) that ask somebody else, be it a process of this machine. */
const ASKING = /^(nfs4?|cifs|smb3|smbfs|9p|ceph|afs|lustre|autofs|fuse\..*|fuse|glusterfs|virtiofs)$/;

interface Mount {
  readonly point: string;
  readonly type: string;
}

/** Of /proc/self/mountinfo (proc(5)), where spaces and the like are octal. */
export function mountsIn(text: string): Mount[] {
  return text.split("\n").flatMap((line) => {
    const [own = "", behind = ""] = line.split(" - ");
    const point = own
      .split(" ")[4]
      ?.replace(/\\(\d{3})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 8)));
    const type = behind.split(" ")[0];
    return point === undefined || !type ? [] : [{ point, type }];
  });
}

/** Links on the way to a path: more are a loop. */
const LINK_LIMIT = 40;

/**
 * The mount on the way to a path at which somebody has to be asked, if there is one. Nothing behind it is looked at.
 */
export function askingMount(path: string, mounts: readonly Mount[], files: MachineFiles): Mount | undefined {
  const byPoint = new Map(mounts.map((mount) => [mount.point, mount])); // the last one lies on top
  let rest = resolve(path).split("/").filter(Boolean);
  let here = "/";
  for (let links = 0; rest.length > 0 && links <= LINK_LIMIT; ) {
    const [name = "", ...others] = rest;
    const next = join(here, name);
    const mount = byPoint.get(next);
    if (mount && ASKING.test(mount.type)) return mount;
    const link = files.link(next);
    if (link === undefined) {
      [here, rest] = [next, others];
      continue;
    }
    links++;
    rest = [...resolve(here, link).split("/").filter(Boolean), ...others];
    here = "/";
  }
  return undefined;
}

/** How long a path of another machine may take, in milliseconds. */
const PATH_LIMIT_MS = 1000;

/** Does the file system of a path answer? */
export function answers(path: string): boolean {
  const { exitedDueToTimeout } = Bun.spawnSync(["stat", "--file-system", path], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
    timeout: PATH_LIMIT_MS,
    killSignal: "SIGKILL",
  });
  return exitedDueToTimeout !== true;
}
