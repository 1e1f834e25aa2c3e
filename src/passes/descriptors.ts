// Descriptors and limits as the program's parent has left them. Bun has an event
// loop, which nobody needs once the server answers, marks what it inherits as
// close-on-exec, and raises the limit of open files.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { Libc } from "../../lib/loader/libc.ts";
import type { Trace } from "../trace.ts";

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

/** Closes what is not inherited, and passes on what is. Nothing may wait for an event from here on. */
export function releaseDescriptors(libc: Libc, inherited: ReadonlySet<number>, trace: Trace): void {
  const all = openDescriptors();
  for (const descriptor of all) {
    if (inherited.has(descriptor)) libc.passOn(descriptor);
    else libc.close(descriptor);
  }
  trace.tell("program", () => `descriptors passed on: ${[...inherited].join(" ") || "only the first three"}`);
  const limit = libc.lowerOpenFiles();
  if (limit !== undefined) trace.tell("program", () => `limit of open files: ${limit}, as its parent's`);
}

function openDescriptors(): number[] {
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
