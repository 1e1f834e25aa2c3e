// Resolves files that the user names.

import { realpathSync } from "node:fs";
import { LinkError } from "../../lib/link-error.ts";
import { reasonOf } from "../../lib/tree/search.ts";

/**
 * The path of a file without symbolic links. Throws LinkError, whose message begins with `action`, if it does not exist
 * or cannot be reached.
 */
export const fileAt = (name: string, action = "Cannot find"): string =>
  reaching(name, action, () => realpathSync(name));

/** What `read` makes of a file. Throws LinkError as fileAt does. */
export function reaching<Result>(name: string, action: string, read: () => Result): Result {
  try {
    return read();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === undefined) throw cause;
    throw new LinkError(`${action} "${name}": ${reasonOf(code)}`, { object: name, cause });
  }
}
