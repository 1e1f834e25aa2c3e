// Limits of this process (setrlimit(2)) that a run may not get along with. An error that one of them is behind names it.

import { readFileSync } from "node:fs";
import { unlessRefused } from "../../lib/unless.ts";
import { inUnits } from "./units.ts";

interface Limit {
  /** In /proc/self/limits. */
  readonly name: string;
  /** The least that a run needs, in its unit. */
  readonly least: number;
  readonly tell: (limit: number) => string;
  /** What the user can do. */
  readonly advice: string;
}

export const SPACE: Limit = {
  name: "Max address space",
  // What Mesa and Bun map together, measured.
  least: 2 ** 30,
  tell: (limit) => `the address space is limited to ${inUnits(limit)}`,
  advice: "ulimit -v unlimited",
};

export const FILES: Limit = {
  name: "Max open files",
  // A server has ten, reads one or two, and watches each process by another.
  least: 64,
  tell: (limit) => `open files are limited to ${limit}`,
  advice: "ulimit -n 1024",
};

/** From the text of /proc/PID/limits; undefined if unlimited. */
export function softLimit(text: string, { name }: Pick<Limit, "name">): number | undefined {
  const soft = new RegExp(`^${name} +(\\d+) `, "m").exec(text)?.[1];
  return soft === undefined ? undefined : Number(soft);
}

/** Which limit an error comes from, and what helps; undefined if none does. */
export function limitBehind(error: unknown): string | undefined {
  const limit = reachedBy(error);
  if (!limit) return undefined;
  // Where no file can be opened any more, this one cannot either.
  const text = unlessRefused(() => readFileSync("/proc/self/limits", "latin1"));
  if (text === undefined) return `a limit is too low (${limit.advice})`;
  const soft = softLimit(text, limit);
  return soft === undefined ? undefined : `${limit.tell(soft)}, which is too low (${limit.advice})`;
}

function reachedBy(error: unknown): Limit | undefined {
  const { code, message, cause } = error as NodeJS.ErrnoException;
  if (code === "EMFILE") return FILES;
  // JavaScriptCore's words, and those of Bun where the kernel gives it no memory for code (1.4.5).
  if (code === "ENOMEM" || /^(?:Out of memory|bun:ffi requires the JIT)$/.test(message ?? "")) return SPACE;
  return cause instanceof Error ? reachedBy(cause) : undefined;
}
