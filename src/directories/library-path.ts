// Where the libraries of a launch lie in its directory, and what can stand on LD_LIBRARY_PATH.

import { join } from "node:path";

export const LIBRARIES = "lib";

/** What comes first on LD_LIBRARY_PATH, in a serving directory. */
export const librariesIn = (directory: string): string => join(directory, LIBRARIES);

/** Can a directory be named in LD_LIBRARY_PATH? Nothing can be quoted there, and ld.so puts something else for $LIB. */
export const canBeOnPath = (directory: string): boolean => !/[:;$]/.test(directory);
