// The names of what glibc installs.

import type { Library } from "../elf/library.ts";

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
  "libnss_compat.so.2",
  "libnss_db.so.2",
  "libnss_dns.so.2",
  "libnss_files.so.2",
  "libnss_hesiod.so.2",
];
/** Modules that tell of users and hosts, which libc opens by name. Others have such modules, too (systemd, NIS). */
export const NSS_MODULE = /^libnss_\w+\.so\.2$/;
/** A module for a character set, by its path. */
const GCONV_MODULE = /\/gconv\/[^/]+\.so$/;

/** Does glibc open it by itself, and use what it keeps to itself? */
export const isPlugIn = ({ soname, path, isOfGlibc }: Library): boolean =>
  isOfGlibc && (NSS_MODULE.test(soname) || GCONV_MODULE.test(path));
