// The caller's own line in the stack of an error. It would be missing where the error comes from another process, or from so
// deep that JavaScript, which keeps ten frames, has cut it off.

/** The frames above a function, one a line. */
export function framesAbove(own: (...list: never) => unknown): string {
  const here: { stack?: string } = {};
  Error.captureStackTrace(here, own);
  return (here.stack ?? "").split("\n").slice(1).join("\n");
}

/** An error that comes from elsewhere, with these frames as its stack. */
export function calledFrom(error: Error, frames: string): Error {
  error.stack = `${error.name}: ${error.message}\n${frames}`;
  return error;
}

/** Does something for a function of the library, and has the caller in the stack of errors. */
export function forCaller<Result>(own: (...list: never) => unknown, action: () => Result): Result {
  const frames = framesAbove(own);
  try {
    return action();
  } catch (error) {
    const [first = ""] = frames.split("\n");
    if (error instanceof Error && !error.stack?.includes(first)) error.stack = `${error.stack ?? error}\n${frames}`;
    throw error;
  }
}
