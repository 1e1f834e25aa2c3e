// Which descriptors this command has got from whoever started it. Bun has an event loop
// of its own, and marks what it inherits as close-on-exec.

const FIRST = 3; // behind standard input, output and error

/** How /proc is read. */
export interface ProcFiles {
  names(directory: string): string[];
  /** Undefined for one that is not there any more. */
  link(path: string): string | undefined;
  text(path: string): string;
}

/**
 * The descriptors that were open when this command began, but for Bun's own. To be asked for before anything is opened.
 */
export function inheritedDescriptors(files: ProcFiles): ReadonlySet<number> {
  const links = new Map(openDescriptors(files).map((descriptor) => [descriptor, files.link(`${FD}/${descriptor}`)]));
  const own = new Set<number>();
  for (const [descriptor, link] of links) {
    // The directory that was read just now is closed again.
    if (link === undefined) own.add(descriptor);
    if (link !== "anon_inode:[eventpoll]") continue;
    own.add(descriptor);
    // proc(5): a line "tfd: 4 …" for each descriptor that is waited for
    for (const [, watched] of files.text(`/proc/self/fdinfo/${descriptor}`).matchAll(/^tfd:\s*(\d+)/gm))
      own.add(Number(watched));
  }
  return new Set([...links.keys()].filter((descriptor) => !own.has(descriptor)));
}

const FD = "/proc/self/fd";

export function openDescriptors(files: Pick<ProcFiles, "names">): number[] {
  return files
    .names(FD)
    .map(Number)
    .filter((descriptor) => descriptor >= FIRST);
}
