/** The minor version of the glibc that programs get here: 36 for 2.36. */
export const glibc = Number(/2\.(\d+)/.exec(Bun.spawnSync(["getconf", "GNU_LIBC_VERSION"]).stdout.toString())?.[1]);
