// The shared set: libraries of which the process has one copy, whatever trees it uses. A second libc is measurably
// broken (pthread keys collide, errno and environ differ, free() across aborts), and with a second unwinder a C++
// exception that crosses the border aborts.

import { GLIBC, LOADER } from "../../lib/tree/glibc-names.ts";

export { LOADER };
export const UNWINDER = "libgcc_s.so.1";

export const SHARED: readonly string[] = [...GLIBC, LOADER, UNWINDER];

const sonames: ReadonlySet<string> = new Set(SHARED);
export const isShared = (soname: string): boolean => sonames.has(soname);
