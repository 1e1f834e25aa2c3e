// Debian releases as runtimes and as hosts: their trees with programs of their own and
// all that a compiler wants of them, and fixtures built for one of them.

import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { GLIBC, LOADER, NSS_MODULE } from "../../lib/tree/glibc-names.ts";
import { cacheDirectory, madeOnce } from "./cache.ts";
import { type Suite, tree } from "./trees.ts";

export const RELEASES = ["bullseye", "bookworm", "trixie"] as const;

/** Which glibc a release has, and which GCC its C++ library is of. */
export const OF_RELEASE: Record<Suite, { glibc: string; gcc: number; mesa: string }> = {
  bullseye: { glibc: "2.31", gcc: 10, mesa: "llvmpipe (LLVM 11.0.1, 256 bits)" },
  bookworm: { glibc: "2.36", gcc: 12, mesa: "llvmpipe (LLVM 15.0.6, 256 bits)" },
  trixie: { glibc: "2.41", gcc: 14, mesa: "llvmpipe (LLVM 19.1.7, 256 bits)" },
};

/** A release's tree with Mesa, the programs of this test, and what programs are built with. */
export const releaseTree = (suite: Suite): Promise<string> =>
  tree(suite, ["mesa-utils", "vulkan-tools", "libc6-dev", `libstdc++-${OF_RELEASE[suite].gcc}-dev`]);

export const LIBRARIES = "usr/lib/x86_64-linux-gnu";

/** For this machine's compiler, to build for a release. */
export async function flagsFor(suite: Suite): Promise<string[]> {
  const root = await releaseTree(suite);
  const own = compilerVersion();
  const version = Math.min(OF_RELEASE[suite].gcc, own);
  // A newer release's headers are not for an older compiler; what those of the compiler's own want, the library has.
  const headers = version < own ? root : "";
  const include = [
    ...[`${headers}/usr/include/c++/${version}`, `${headers}/usr/include/x86_64-linux-gnu/c++/${version}`],
    ...[`${root}/usr/include`, `${root}/usr/include/x86_64-linux-gnu`],
  ];
  // In front of the compiler's own directories.
  const libraries = [await linkerScripts(suite, root), ...PLACES.map((place) => join(root, place))];
  return [
    ...["-nostdinc++", ...include.flatMap((directory) => ["-isystem", directory])],
    ...libraries.map((directory) => `-B${directory}`),
    `-L${root}/usr/lib/gcc/x86_64-linux-gnu/${OF_RELEASE[suite].gcc}`,
  ];
}

/** The release's own name the machine's files: they are for the release's root. */
function linkerScripts(suite: Suite, root: string): Promise<string> {
  return madeOnce(join(cacheDirectory(), "linker-scripts", basename(root)), async (directory) => {
    const find = (name: string) => PLACES.map((place) => join(root, place, name)).find((file) => existsSync(file));
    const loader = find(LOADER) ?? find(`ld-${OF_RELEASE[suite].glibc}.so`);
    writeFileSync(
      join(directory, "libc.so"),
      `GROUP(${find("libc.so.6")} ${find("libc_nonshared.a")} AS_NEEDED(${loader}))\n`,
    );
    for (const [link, soname] of [
      ["libm.so", "libm.so.6"],
      ...(suite === "bullseye" ? ["dl.so.2", "pthread.so.0", "rt.so.1"] : []).map((name) => [
        `lib${name.replace(/\.\d+$/, "")}`,
        `lib${name}`,
      ]),
    ] as [string, string][])
      symlinkSync(realpathSync(find(soname) ?? soname), join(directory, link));
  });
}

const PLACES = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];

const compilerVersion = (): number => Number.parseInt(Bun.spawnSync(["cc", "-dumpversion"]).stdout.toString(), 10);

/** A host tree with a release's glibc and C++ library, and a library of a fixture's. */
export async function smallHost(suite: Suite, library: string): Promise<string> {
  const root = await releaseTree(suite);
  const name = `${basename(root)}-${basename(join(library, "..", ".."))}`;
  return madeOnce(join(cacheDirectory(), "small-hosts", name), async (directory) => {
    mkdirSync(join(directory, LIBRARIES), { recursive: true });
    symlinkSync("usr/lib", join(directory, "lib"));
    mkdirSync(join(directory, "lib64"));
    for (const name of ["libstdc++.so.6", "libgcc_s.so.1", ...familyOf(root)])
      for (const place of PLACES) {
        const file = join(root, place, name);
        if (existsSync(file)) copyFileSync(realpathSync(file), join(directory, LIBRARIES, name));
      }
    // As Debian 11 has it: an absolute link, for the tree as root.
    symlinkSync(`/${LIBRARIES}/${LOADER}`, join(directory, "lib64", LOADER));
    cpSync(join(root, LIBRARIES, "gconv"), join(directory, LIBRARIES, "gconv"), { recursive: true });
    copyFileSync(library, join(directory, LIBRARIES, basename(library)));
  });
}

function familyOf(root: string): string[] {
  const found = PLACES.flatMap((place) => (existsSync(join(root, place)) ? readdirSync(join(root, place)) : []));
  return [...new Set([LOADER, ...GLIBC, ...found.filter((name) => NSS_MODULE.test(name))])];
}
