// The shared set: libraries of which the process has one copy, whatever trees
// meet in it. A second libc is measurably broken (pthread keys collide, errno and
// environ differ, free() across aborts), and a second unwinder makes a C++
// exception that crosses the border abort.

const GLIBC = [
  "libc.so.6",
  "libm.so.6",
  "libmvec.so.1",
  "libpthread.so.0",
  "libdl.so.2",
  "librt.so.1",
  "libutil.so.1",
  "libresolv.so.2",
  "libanl.so.1",
  "libBrokenLocale.so.1",
  "libthread_db.so.1",
];

/** glibc gives a new namespace its own entry of the same ld.so. */
export const LOADER = "ld-linux-x86-64.so.2";
export const UNWINDER = "libgcc_s.so.1";

const SHARED: ReadonlySet<string> = new Set([...GLIBC, LOADER, UNWINDER]);

export const isShared = (soname: string): boolean => SHARED.has(soname);
