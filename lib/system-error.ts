// Errors of the system, which Node marks with a code: a file that is not there, a
// process that has ended, a disk that is full. Whatever has no code is a fault of ours.

/** What `action` returns; undefined where the system refuses, which `tell` hears. Any other error is thrown. */
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
