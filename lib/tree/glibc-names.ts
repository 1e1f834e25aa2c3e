// The names of what glibc installs.

export const LIBC = "libc.so.6";
export const LOADER = "ld-linux-x86-64.so.2";

/** What glibc installs beside libc and ld.so, in one version or another; a tree need not have all of them. */
export const GLIBC: readonly string[] = [
  LIBC,
  "libm.so.6",
  "libmvec.so.1",
  "libpthread.so.0",
  "libdl.so.2",
  "librt.so.1",
  "libutil.so.1",
  "libresolv.so.2",
  "libanl.so.1",
  "libnsl.so.1",
  "libBrokenLocale.so.1",
  "libthread_db.so.1",
  "libc_malloc_debug.so.0",
];
/** Its modules that tell of users and hosts, which libc opens by name. Others have such modules, too. */
export const NSS_MODULE = /^libnss_\w+\.so\.2$/;
