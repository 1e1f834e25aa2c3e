// Where a launch's libraries are in its directory, and what LD_LIBRARY_PATH can contain.

import { join } from "node:path";

export const LIBRARIES = "lib";

/** The first directory on LD_LIBRARY_PATH, in a serving directory. */
export const librariesIn = (directory: string): string => join(directory, LIBRARIES);

/** Can LD_LIBRARY_PATH contain this directory? It has no quoting, and ld.so expands $LIB. */
export const canBeOnPath = (directory: string): boolean => !/[:;$]/.test(directory);
