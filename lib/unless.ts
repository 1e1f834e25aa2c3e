// Errors that are an answer: for example, a file that is no library has no dependencies.

/** Returns what `action` returns, or undefined if it throws an error of one of these classes. */
export function unless<Result>(kinds: readonly ErrorClass[], action: () => Result): Result | undefined {
  try {
    return action();
  } catch (error) {
    if (kinds.some((kind) => error instanceof kind)) return undefined;
    throw error;
  }
}

// biome-ignore lint/suspicious/noExplicitAny: each class has parameters of its own
type ErrorClass = abstract new (...list: any[]) => Error;

/** Stands for system errors, which are of no class of their own: see system-error.ts. */
export abstract class SystemFault extends Error {
  static override [Symbol.hasInstance](error: unknown): boolean {
    return (error as NodeJS.ErrnoException).code !== undefined;
  }
}
