// System errors, which Node marks with a code: a missing file, a process that has ended, a full disk. An error without
// a code is a bug in this project.

/** Returns what `action` returns, or undefined on a system error, which is passed to `tell`. Throws any other error. */
export function unlessRefused<Result>(
  action: () => Result,
  tell?: (error: NodeJS.ErrnoException) => void,
): Result | undefined {
  try {
    return action();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    tell?.(error as NodeJS.ErrnoException);
    return undefined;
  }
}
