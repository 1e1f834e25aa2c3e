// Errors that are an answer: a file that is no library has no dependencies, a process that has ended has no memory.

/**
 * Returns what `action` returns, or undefined if it throws an error of one of these classes, which is passed to `tell`.
 */
export function unless<Result>(
  kinds: readonly ErrorClass[],
  action: () => Result,
  tell?: (error: NodeJS.ErrnoException) => void,
): Result | undefined {
  try {
    return action();
  } catch (error) {
    if (!kinds.some((kind) => error instanceof kind)) throw error;
    tell?.(error as NodeJS.ErrnoException);
    return undefined;
  }
}

// biome-ignore lint/suspicious/noExplicitAny: each class has parameters of its own
type ErrorClass = abstract new (...list: any[]) => Error;

/**
 * Stands for system errors, which Node marks with a code: a missing file, a process that has ended, a full disk. Other
 * errors without a class of ours are bugs in this project.
 */
export abstract class SystemFault extends Error {
  static override [Symbol.hasInstance](error: unknown): boolean {
    return (error as NodeJS.ErrnoException).code !== undefined;
  }
}

/** Returns what `action` returns, or undefined on a system error, which is passed to `tell`. */
export const unlessRefused = <Result>(
  action: () => Result,
  tell?: (error: NodeJS.ErrnoException) => void,
): Result | undefined => unless([SystemFault], action, tell);
