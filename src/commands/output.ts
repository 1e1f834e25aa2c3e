// What a command has found out, on standard output: the whole of it, or the end of the
// process as other programs end there.

import { writeSync } from "node:fs";
import { constants } from "node:os";

/** How long to leave a pipe alone that is full and must not be waited for, in milliseconds. */
const PAUSE = 1;

/**
 * Writes all of it. A reader that has gone ends this process as SIGPIPE would (Bun ignores that signal): 141. Throws what
 * write(2) throws otherwise.
 */
export function print(text: string): void {
  const bytes = Buffer.from(text);
  for (let written = 0; written < bytes.length; ) written += writeSome(bytes.subarray(written));
}

/** How many bytes were taken: a pipe that somebody has made non-blocking takes what it has room for, or nothing. */
function writeSome(bytes: Uint8Array): number {
  try {
    return writeSync(1, bytes);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EPIPE") process.exit(128 + constants.signals.SIGPIPE);
    if (code !== "EAGAIN") throw error;
    Bun.sleepSync(PAUSE);
    return 0;
  }
}

/** What the user should know in any case, on standard error. */
export const warn = (text: string): void => void writeSync(2, `capsule: ${text}\n`);
