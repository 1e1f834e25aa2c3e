import { test } from "bun:test";

/** The minor version of the glibc that programs get here: 36 for 2.36. */
export const glibc = Number(/2\.(\d+)/.exec(Bun.spawnSync(["getconf", "GNU_LIBC_VERSION"]).stdout.toString())?.[1]);

/** What an attached program has by the launch's auditor, which withdraws from older ones (src/plan/glibc/auditing.ts). */
export const audited = test.skipIf(glibc < 35);
