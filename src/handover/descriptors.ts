// Restores descriptors and limits as the program's parent left them. Bun has an event loop (not needed once the
// server answers), marks inherited descriptors close-on-exec, and raises the limit of open files.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { Libc } from "../../lib/process/libc.ts";
import { unlessGone } from "../../lib/process/stat.ts";
import type { Trace } from "../diagnostics/trace.ts";
import { openDescriptors, type ProcFiles } from "../reexec/inherited.ts";

export const procFiles: ProcFiles = {
  names: (directory) => readdirSync(directory),
  link: (path) => unlessGone(() => readlinkSync(path)),
  text: (path) => readFileSync(path, "latin1"),
};

/** Closes descriptors that are not inherited, and passes on the others. Nothing may wait for an event from here on. */
export function releaseDescriptors(libc: Libc, inherited: ReadonlySet<number>, trace: Trace): void {
  const all = openDescriptors(procFiles);
  for (const descriptor of all) {
    if (inherited.has(descriptor)) libc.exec.passOn(descriptor);
    else libc.descriptors.close(descriptor);
  }
  trace.log("program", () => `descriptors passed on: ${[...inherited].join(" ") || "only the first three"}`);
  const limit = libc.descriptors.lowerLimit();
  if (limit !== undefined) trace.log("program", () => `limit of open files: ${limit}, as its parent's`);
}
