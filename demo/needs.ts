// Debian packages that the demonstrations and the tests need: installs what is missing, where this is Debian and we are
// root, and otherwise says what to install. `bun demo/needs.ts SET…` does it ahead of another command.

import { existsSync } from "node:fs";

interface Need {
  /** A command, or the absolute path of a file. */
  readonly what: string;
  readonly package: string;
}

const need = (what: string, name = what): Need => ({ what, package: name });

const COMPILER = [need("cc", "gcc"), need("/usr/include/stdio.h", "libc6-dev")];
const TREES = [need("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring")];
const DRIVERS = "/usr/lib/x86_64-linux-gnu/dri/swrast_dri.so";
const DISPLAY = [
  need("Xvfb", "xvfb"),
  need("glxinfo", "mesa-utils"),
  need("import", "imagemagick"),
  need(DRIVERS, "libgl1-mesa-dri"),
];

export const NEEDS = {
  /** Fixtures in C. */
  compiler: COMPILER,
  /** All tests but those with real programs. */
  tests: [
    ...COMPILER,
    need("c++", "g++"),
    need("readelf", "binutils"),
    need("ld.lld", "lld"),
    need("mold"),
    need("patchelf"),
    need("chrpath"),
    need("gdb"),
    need("/usr/bin/python3", "python3"),
    need("bwrap", "bubblewrap"),
    need("musl-gcc", "musl-tools"),
    need("/lib/ld-linux.so.2", "libc6-i386"),
    need("zsh"),
    need("fish"),
    need("/usr/share/bash-completion/bash_completion", "bash-completion"),
    need("mandoc"),
    need("groff"),
  ],
  /** OpenGL programs on a display of their own, on a tree of another release. */
  gl: [...TREES, ...DISPLAY],
  /** The tests with real programs. */
  real: [
    ...TREES,
    ...DISPLAY,
    need("/usr/lib/ioquake3/ioquake3", "ioquake3"),
    need("/usr/lib/openarena", "openarena"),
    need("/usr/share/vulkan/icd.d/lvp_icd.x86_64.json", "mesa-vulkan-drivers"),
    need("vulkaninfo", "vulkan-tools"),
    need("mangohud"),
    need("es2_info", "mesa-utils"),
    need("/usr/games/supertux2", "supertux"),
    need("/usr/games/armagetronad.real", "armagetronad"),
    need("/usr/games/foobillardplus", "foobillardplus"),
    need("/usr/games/warmux", "warmux"),
    need("glmark2", "glmark2-x11"),
    need("/usr/games/openarena", "openarena"),
    need("/usr/lib/x86_64-linux-gnu/libGLU.so.1", "libglu1-mesa"),
    need("bwrap", "bubblewrap"),
    need("/usr/bin/python3", "python3"),
    need("/usr/lib/python3/dist-packages/OpenGL", "python3-opengl"),
    need("/usr/lib/python3/dist-packages/pygame", "python3-pygame"),
    need("mono", "mono-runtime"),
    need("mcs", "mono-mcs"),
    // what fixtures that draw are linked to
    ...COMPILER,
    need("/usr/include/SDL/SDL.h", "libsdl1.2-dev"),
    need("/usr/include/SDL2/SDL.h", "libsdl2-dev"),
    need("/usr/include/EGL/egl.h", "libegl-dev"),
    need("/usr/include/X11/Xlib.h", "libx11-dev"),
    need("/usr/lib/x86_64-linux-gnu/libEGL_mesa.so.0", "libegl-mesa0"),
    // the name that glmark2 asks for
    need("/usr/lib/x86_64-linux-gnu/libGL.so", "libgl-dev"),
    need("strace"),
    // what shows pages
    need("chromium"),
    // what has an allocator of its own, and allocators to preload
    need("firefox-esr"),
    need("blender"),
    need("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2", "libjemalloc2"),
    need("/usr/lib/x86_64-linux-gnu/libmimalloc.so.2", "libmimalloc2.0"),
    need("/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
  ],
  bench: [...COMPILER, ...TREES, ...DISPLAY, need("glmark2", "glmark2-x11"), need("strace")],
} as const;

/** Returns when all is there. Ends the process where it cannot be had. */
export function ensure(needs: readonly Need[]): void {
  const names = [...new Set(missing(needs).map((need) => need.package))];
  if (names.length === 0) return;
  const list = names.join(" ");
  if (Bun.which("apt-get") === null || process.getuid?.() !== 0)
    give(`These Debian packages are missing, and only root can install them: ${list}`);
  console.log(`Installing Debian packages: ${list}`);
  apt("update");
  apt("install", "-y", "--no-install-recommends", ...names);
  const rest = missing(needs).map(({ what }) => what);
  if (rest.length > 0) give(`Still missing with these packages installed: ${rest.join(" ")}`);
}

function missing(needs: readonly Need[]): Need[] {
  return needs.filter(({ what }) => (what.startsWith("/") ? !existsSync(what) : Bun.which(what) === null));
}

/** Quiet where all is well. */
function apt(...args: string[]): void {
  const { exitCode, stdout, stderr } = Bun.spawnSync(["apt-get", "-q", ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    stdin: "ignore",
  });
  if (exitCode !== 0) give(`apt-get ${args[0]} failed with exit code ${exitCode}:\n${stdout}${stderr}`);
}

function give(message: string): never {
  console.error(message);
  process.exit(1);
}

if (import.meta.main) {
  const sets: Readonly<Record<string, readonly Need[]>> = NEEDS;
  for (const name of Bun.argv.slice(2)) ensure(sets[name] ?? give(`There is no set "${name}"`));
}
