// Pairs of releases of a library that differ as releases do, in two trees. What tells the newer one differs, too.

import { join } from "node:path";
import { type Binary, build } from "./fixtures.ts";

const FOLDER = "capture/two-copies-are-compared";

interface Release {
  readonly file?: string;
  readonly defines: string;
  readonly map?: string;
}

const PAIRS: Readonly<Record<string, readonly [Release, Release]>> = {
  unversionedabibreak: [{ defines: "SYM2" }, { defines: "SYM3" }],
  unversionednumber: [{ defines: "SYM2" }, { defines: "SYM2", file: "1.2.3" }],
  unversionedsymbols: [{ defines: "SYM2" }, { defines: "SYM2 SYM3" }],
  versionedabibreak: [
    { defines: "SYM2", map: "v1" },
    { defines: "SYM2", map: "v2" },
  ],
  versionedlikedbus: [
    { defines: "SYM2 PRIVATE1", map: "dbus-1" },
    { defines: "SYM2 SYM3 PRIVATE1", map: "dbus-2", file: "1.2.0" },
  ],
  versionedlikeglibc: [
    { defines: "SYM2", map: "v1" },
    { defines: "SYM2_AGAIN", map: "v1-v2-sym2" },
  ],
  versionednumber: [
    { defines: "SYM2", map: "v1" },
    { defines: "SYM2", map: "v1", file: "1.2.3" },
  ],
  versionedprivatenothidden: [
    { defines: "SYM2 PRIVATE1", map: "private-1", file: "1.1.1" },
    { defines: "SYM2 PRIVATE1 PRIVATE2", map: "private-2", file: "1.1.1" },
  ],
  versionedsymbols: [
    { defines: "SYM2", map: "v1" },
    { defines: "SYM2 SYM3", map: "v1" },
  ],
  versionedupgrade: [
    { defines: "SYM2", map: "v1" },
    { defines: "SYM2 SYM3", map: "v1-v2-sym3" },
  ],
};

export const LIBRARIES = Object.keys(PAIRS);

export const sonameOf = (name: string): string => `lib${name}.so.1`;

/** The two trees. */
export async function twoCopies(): Promise<{ readonly v1: string; readonly v2: string }> {
  const outputs = Object.entries(PAIRS).flatMap(([name, releases]) =>
    releases.map((release, i): Binary => {
      const { file = "1.0.0", defines, map } = release;
      return {
        path: `v${i + 1}/usr/lib/lib${name}.so.${file}`,
        soname: sonameOf(name),
        sources: ["library.c"],
        flags: [...defines.split(" ").map((word) => `-D${word}`), ...(map ? [`-Wl,--version-script=${map}.map`] : [])],
      };
    }),
  );
  const directory = await build(FOLDER, outputs);
  return { v1: join(directory, "v1"), v2: join(directory, "v2") };
}
