// Paths on remote file systems, which may have stopped answering: accessing one would then block forever. They are
// identified by the kernel's list of mounts, which involves no server, and probed by a process that can be killed.

import { join, resolve } from "node:path";
import type { MachineFiles } from "./machine-files.ts";

/** Types of file systems (mountinfo) that depend on a server, which may be a local process. */
const ASKING = /^(nfs4?|cifs|smb3|smbfs|9p|ceph|afs|lustre|autofs|fuse\..*|fuse|glusterfs|virtiofs)$/;

interface Mount {
  readonly point: string;
  readonly type: string;
}

/** Parses /proc/self/mountinfo (proc(5)), in which spaces and similar characters are octal escapes. */
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

/** Links followed while resolving a path. More count as a loop. */
const LINK_LIMIT = 40;

/** The first mount on a path that depends on a server, if any. Nothing below it is accessed. */
export function askingMount(path: string, mounts: readonly Mount[], files: MachineFiles): Mount | undefined {
  const byPoint = new Map(mounts.map((mount) => [mount.point, mount])); // the last mount at a point hides earlier ones
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

/** How long access to a remote path may take, in milliseconds. */
const PATH_LIMIT_MS = 1000;

/** Whether the file system of a path answers. */
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
