// The errors that only a command can have. main.ts turns every error into one
// paragraph and an exit code, as env(1) and its like have them.

export const EXIT = { usage: 2, failure: 125, notRunnable: 126, notFound: 127 } as const;

/**
 * An option, a variable or a file of settings says something that does not mean anything. The command ends with 2 then.
 *
 * @hideconstructor
 */
export class UsageError extends Error {
  /** For who tells errors apart by it, where classes do not reach. */
  override readonly name = "UsageError";
}

/**
 * The program cannot be run.
 *
 * @hideconstructor
 */
export class ProgramError extends Error {
  /** For who tells errors apart by it, where classes do not reach. */
  override readonly name = "ProgramError";
  constructor(
    /** One paragraph: what could not be done, with what, why, and what would help. */
    message: string,
    /**
     * With which the command ends: 127 where the program, or a library of its own side, is not found; 126 where it is,
     * and cannot be run.
     */
    readonly exitCode: typeof EXIT.notRunnable | typeof EXIT.notFound,
    /** The `cause`, if there is one. */
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The program cannot run inside this process, but may in one of its own. */
export class NotHostableError extends ProgramError {
  constructor(
    path: string,
    readonly reason: string,
    options?: ErrorOptions,
  ) {
    super(
      `Cannot host "${path}": ${reason} (--mode attached runs it in a process of its own)`,
      EXIT.notRunnable,
      options,
    );
  }
}
