// The names of the files that glibc installs.

import type { Library } from "../elf/library.ts";
import type { FileKind } from "../regular-file.ts";

export const LIBC = "libc.so.6";
/** Has dlopen and its family before glibc 2.34. */
export const LIBDL = "libdl.so.2";
export const LOADER = "ld-linux-x86-64.so.2";
/** The path of ld.so in x86-64 programs (psABI). */
export const LOADER_PATH = `/lib64/${LOADER}`;
/** With all that is for debuggers, it has some megabytes. */
export const LD_SO: FileKind = { name: "ld.so", most: 64 << 20 };

/** What some version of glibc installs besides libc and ld.so; a tree need not have all of it. */
export const GLIBC: readonly string[] = [
  LIBC,
  "libm.so.6",
  "libmvec.so.1",
  "libpthread.so.0",
  LIBDL,
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
/** Modules for users and hosts, which libc opens by name. Other projects have them too (systemd, NIS). */
export const NSS_MODULE = /^libnss_\w+\.so\.2$/;
/** A character set module, by its path. */
const GCONV_MODULE = /\/gconv\/[^/]+\.so$/;

/** Is it a module that glibc itself opens and that uses glibc's private interfaces? */
export const isPlugIn = ({ soname, path, isOfGlibc }: Library): boolean =>
  isOfGlibc && (NSS_MODULE.test(soname) || GCONV_MODULE.test(path));
