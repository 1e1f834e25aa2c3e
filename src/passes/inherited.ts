// Which descriptors this command has got from whoever started it. Bun has an event loop
// of its own, and marks what it inherits as close-on-exec.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";

const FIRST = 3; // behind standard input, output and error

/** The descriptors that were open when this command began, but for Bun's own. To be asked for before anything is opened. */
export function inheritedDescriptors(): ReadonlySet<number> {
  const links = new Map(openDescriptors().map((descriptor) => [descriptor, linkOf(descriptor)]));
  const own = new Set<number>();
  for (const [descriptor, link] of links) {
    // The directory that was read just now is closed again.
    if (link === undefined) own.add(descriptor);
    if (link !== "anon_inode:[eventpoll]") continue;
    own.add(descriptor);
    // proc(5): a line "tfd: 4 …" for each descriptor that is waited for
    for (const [, watched] of readFileSync(`/proc/self/fdinfo/${descriptor}`, "latin1").matchAll(/^tfd:\s*(\d+)/gm))
      own.add(Number(watched));
  }
  return new Set([...links.keys()].filter((descriptor) => !own.has(descriptor)));
}

export function openDescriptors(): number[] {
  return readdirSync("/proc/self/fd")
    .map(Number)
    .filter((descriptor) => descriptor >= FIRST);
}

/** Undefined for one that has been closed meanwhile. */
function linkOf(descriptor: number): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
