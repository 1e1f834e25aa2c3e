// Errors as data, for readers in another process, and back.

import { ElfError } from "../../lib/elf/error.ts";
import { type LinkDetails, LinkError } from "../../lib/link-error.ts";
import { EXIT, ProgramError, UsageError } from "./errors.ts";

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

/**
 * A system error (a missing directory, a full disk) as a LinkError, for callers that expect capsule's errors; undefined
 * for any other.
 */
export function asLinkError(error: unknown): LinkError | undefined {
  const isOwn = [LinkError, ElfError, ProgramError, UsageError].some((kind) => error instanceof kind);
  if (!(error instanceof Error) || isOwn) return undefined;
  const { code, path, message } = error as NodeJS.ErrnoException;
  if (code === undefined) return undefined;
  return new LinkError(message, { ...(path === undefined ? {} : { object: path }), cause: error });
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
