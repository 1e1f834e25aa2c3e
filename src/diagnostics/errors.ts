// The errors that only a command can have. command.ts turns every error into one paragraph and an exit code, like those
// of env(1).

export const EXIT = { usage: 2, failure: 125, notRunnable: 126, notFound: 127 } as const;

/**
 * An option, a variable or a settings file has an invalid value. The command then exits with 2.
 *
 * @hideconstructor
 */
export class UsageError extends Error {
  /** For code that cannot use instanceof. */
  override readonly name = "UsageError";
}

/**
 * The program cannot be run.
 *
 * @hideconstructor
 */
export class ProgramError extends Error {
  /** For code that cannot use instanceof. */
  override readonly name = "ProgramError";
  constructor(
    /** One paragraph: what could not be done, with what, why, and what would help. */
    message: string,
    /**
     * The command's exit code: 127 if the program, or a library of its own side, is not found; 126 if it is found but
     * cannot be run.
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
    const text = `Cannot host "${path}": ${reason} (--mode attached runs it in a process of its own)`;
    super(text, EXIT.notRunnable, options);
  }
}
