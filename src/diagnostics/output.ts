// What a command has found out, on standard output: the whole of it, or the end of the
// process as other programs end there.

import { writeSync } from "node:fs";
import { constants } from "node:os";

/** What a terminal would obey, or not show: control characters (C0, DEL, C1), those of direction, odd ends of lines. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const PLAIN = /^[ -~]*$/;

/** How long to leave a pipe alone that is full and must not be waited for, in milliseconds. */
const PAUSE = 1;

/**
 * Text that comes from a file, such as a symbol's name, for a terminal and for one line: \x1b for an escape character.
 * Files of strangers may call a symbol what they like.
 */
export function printable(text: string): string {
  return PLAIN.test(text) ? text : text.replace(UNPRINTABLE, (character) => escaped(character.codePointAt(0) ?? 0));
}

const escaped = (code: number): string =>
  code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;

/** Data as JSON, in which a terminal finds nothing to obey either. */
export function printJson(data: unknown): void {
  print(`${JSON.stringify(data, null, 2).replace(UNPRINTABLE_IN_JSON, inJson)}\n`);
}

/** What JSON.stringify() leaves as it is. It may take two of JSON's units. */
const UNPRINTABLE_IN_JSON = /[\x7f-\x9f\p{Cf}\p{Zl}\p{Zp}]/gu;

const inJson = (character: string): string =>
  Array.from(character.split(""), (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");

/**
 * Writes all of it. A reader that has gone ends this process as SIGPIPE would (Bun ignores that signal): 141. Throws
 * what write(2) throws otherwise.
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
