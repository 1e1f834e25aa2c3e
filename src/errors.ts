// The errors that only a command can have. main.ts turns every error into one
// paragraph and an exit code, as env(1) and its like have them.

export const EXIT = { usage: 2, failure: 125, notRunnable: 126, notFound: 127 } as const;

/** The command line, or a variable that counts as one, asks for something that is not there. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The program cannot be run: not found (127), or found and not runnable (126). */
export class ProgramError extends Error {
  override readonly name = "ProgramError";
  constructor(
    message: string,
    readonly exitCode: typeof EXIT.notRunnable | typeof EXIT.notFound,
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
