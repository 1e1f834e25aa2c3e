// Errors as data, for readers in another process, and back.

import { ElfError } from "../../lib/elf/error.ts";
import { type LinkDetails, LinkError } from "../../lib/link-error.ts";
import { reasonOf } from "../../lib/tree/search.ts";
import { EXIT, ProgramError, UsageError } from "./errors.ts";
import { limitBehind } from "./limits.ts";

/** An error as data, as in events: what JSON can represent of it. */
export interface ErrorData {
  /** Its class: LinkError, ElfError, ProgramError, UsageError, or one of JavaScript's. */
  readonly name: string;
  /** One paragraph: what could not be done, with what, why, and what would help. */
  readonly message: string;
  /** The command's exit code: 2, 125, 126 or 127. */
  readonly exitCode: number;
  /** Of a LinkError: what is at fault, and where we looked. */
  readonly details?: Omit<LinkDetails, "cause">;
  /** Of an ElfError: the file. */
  readonly path?: string;
  /** Of an ElfError: the structure at fault. */
  readonly structure?: string;
  /** Of an ElfError: what is wrong with it. */
  readonly fault?: string;
  /** The error that caused this one. */
  readonly cause?: ErrorData;
}

/** Of files, libraries, settings, the program or the machine, and no bug of ours: its message says all. */
export const isExplained = (error: unknown): boolean =>
  OWN.some((kind) => error instanceof kind) ||
  (error as NodeJS.ErrnoException).code !== undefined ||
  limitBehind(error) !== undefined;

const OWN = [LinkError, ElfError, ProgramError, UsageError];

/** What the user is told, in one paragraph. Node's messages name the system call, not the purpose. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, path, syscall, message } = error as NodeJS.ErrnoException;
  const limit = limitBehind(error);
  const isOpening = code !== undefined && path !== undefined && syscall === "open";
  const text = isOpening ? `Cannot open "${path}": ${reasonOf(code)}` : message;
  return limit === undefined ? text : `${text}: ${limit}`;
}

/** For where nobody handles errors: a bug of ours with its stack, which nothing else shows. */
export const accountOf = (error: unknown): string =>
  isExplained(error) ? messageOf(error) : ((error as Error).stack ?? String(error));

/**
 * A system error (a missing directory, a full disk) as a LinkError, for callers that expect capsule's errors; undefined
 * for any other.
 */
export function asLinkError(error: unknown): LinkError | undefined {
  if (!(error instanceof Error) || OWN.some((kind) => error instanceof kind) || !isExplained(error)) return undefined;
  const { path } = error as NodeJS.ErrnoException;
  return new LinkError(messageOf(error), { ...(path === undefined ? {} : { object: path }), cause: error });
}

/** The exit code that belongs to an error. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT.usage;
  return error instanceof ProgramError ? error.exitCode : EXIT.failure;
}

export const dataOf = (thrown: unknown): ErrorData => ownDataOf(asLinkError(thrown) ?? thrown);

function ownDataOf(error: unknown): ErrorData {
  if (!(error instanceof Error)) return { name: "Error", message: String(error), exitCode: EXIT.failure };
  const { name, message, cause } = error;
  const inner = cause instanceof Error ? { cause: ownDataOf(cause) } : {};
  const common = { name, message, exitCode: exitCodeOf(error), ...inner };
  if (error instanceof LinkError) {
    const { cause: _, ...details } = error.details;
    return { ...common, details };
  }
  if (!(error instanceof ElfError)) return common;
  const { path, structure, fault } = error;
  return { ...common, path, structure, fault };
}

/** An error with that data. */
export function errorOf({ name, message, exitCode, details, path, structure, fault, cause }: ErrorData): Error {
  const options = cause === undefined ? {} : { cause: errorOf(cause) };
  switch (name) {
    case "LinkError":
      return new LinkError(message, { ...details, ...options });
    case "ElfError":
      return new ElfError(path ?? "", structure ?? "", fault ?? "", options);
    case "UsageError":
      return new UsageError(message, options);
    case "ProgramError":
      return new ProgramError(message, exitCode === EXIT.notFound ? EXIT.notFound : EXIT.notRunnable, options);
    default:
      return Object.assign(new Error(message, options), { name });
  }
}
