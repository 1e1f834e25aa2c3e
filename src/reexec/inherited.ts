// Which descriptors this command inherited. Bun has an event loop of its own, and marks inherited descriptors
// close-on-exec.

import type { SmallFiles } from "../../lib/process/small-files.ts";

const FIRST = 3; // after standard input, output and error

/** Access to /proc. */
export type ProcFiles = Pick<SmallFiles, "names" | "link" | "text">;

/**
 * The descriptors that were open when this command began, without Bun's own. To be called before anything is opened.
 */
export function inheritedDescriptors(files: ProcFiles): ReadonlySet<number> {
  const links = new Map(openDescriptors(files).map((descriptor) => [descriptor, files.link(`${FD}/${descriptor}`)]));
  const own = new Set<number>();
  for (const [descriptor, link] of links) {
    // The directory that was just read is closed again.
    if (link === undefined) own.add(descriptor);
    if (link !== "anon_inode:[eventpoll]") continue;
    own.add(descriptor);
    // proc(5): one line "tfd: 4 …" for each watched descriptor
    for (const [, watched] of files.text(`/proc/self/fdinfo/${descriptor}`).matchAll(/^tfd:\s*(\d+)/gm))
      own.add(Number(watched));
  }
  return new Set([...links.keys()].filter((descriptor) => !own.has(descriptor)));
}

const FD = "/proc/self/fd";

export function openDescriptors(files: Pick<ProcFiles, "names">): number[] {
  const descriptors = files.names(FD).map(Number);
  return descriptors.filter((descriptor) => descriptor >= FIRST);
}
