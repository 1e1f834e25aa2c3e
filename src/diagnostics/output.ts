// Prints a command's results on standard output: either all of them, or the process ends as other programs do then.

import { writeSync } from "node:fs";

/** What a terminal would obey or not show: control characters (C0, DEL, C1), bidi controls, unusual line separators. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const PLAIN = /^[ -~]*$/;

/** From <signal.h>: node:os takes time to load. */
const SIGPIPE = 13;
/** How long to wait for a full non-blocking pipe, in milliseconds. */
const PAUSE = 1;

/**
 * Text from a file, such as a symbol's name, for one line on a terminal: \x1b for an escape character. Symbol names in
 * files from strangers may contain anything.
 */
export function printable(text: string): string {
  return PLAIN.test(text) ? text : text.replace(UNPRINTABLE, (character) => escaped(character.codePointAt(0) ?? 0));
}

/** As printable(), for text of several lines. */
export const printableLines = (text: string): string => text.split("\n").map(printable).join("\n");

const escaped = (code: number): string =>
  code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;

/** Data as JSON, without anything that a terminal would obey. */
export const jsonText = (data: unknown): string =>
  `${JSON.stringify(data, null, 2).replace(UNPRINTABLE_IN_JSON, inJson)}\n`;

export const printJson = (data: unknown): void => print(jsonText(data));

/** What JSON.stringify() does not escape. One character may take two UTF-16 units. */
const UNPRINTABLE_IN_JSON = /[\x7f-\x9f\p{Cf}\p{Zl}\p{Zp}]/gu;

const inJson = (character: string): string =>
  Array.from(character.split(""), (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");

/**
 * Writes all of it. If the reader is gone, this process exits as by SIGPIPE (Bun ignores that signal): 141. Throws what
 * write(2) throws otherwise.
 */
export function print(text: string): void {
  const bytes = Buffer.from(text);
  for (let written = 0; written < bytes.length; ) written += writeSome(bytes.subarray(written));
}

/** How many bytes were written: a non-blocking pipe takes what it has room for, or nothing. */
function writeSome(bytes: Uint8Array): number {
  try {
    return writeSync(1, bytes);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EPIPE") process.exit(128 + SIGPIPE);
    if (code !== "EAGAIN") throw error;
    Bun.sleepSync(PAUSE);
    return 0;
  }
}

/** Tells the user something on standard error, whatever is traced. */
export const warn = (text: string): void => void writeSync(2, `capsule: ${printable(text)}\n`);
