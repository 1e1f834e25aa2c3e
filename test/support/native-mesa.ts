// What makes a program use a host tree's Mesa natively: possible where its own libraries get on with those that
// Mesa needs, as between Debian 11 and 12. It is the model for the same program in a capsule.

import { existsSync, readdirSync, symlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { cacheDirectory, madeOnce } from "./cache.ts";

const LIBRARIES = "usr/lib/x86_64-linux-gnu";
/** What comes from the tree although the machine has it, too; of everything else the machine's own copy does. */
const GRAPHICS = /^lib(GL|EGL|OpenGL|glapi|gbm|drm|X|xcb|xshmfence)/;
/** Packages for developers bring these links; without them here, the machine's own would come to be used. */
const DEVELOPMENT = { "libGL.so": "libGL.so.1", "libEGL.so": "libEGL.so.1", "libOpenGL.so": "libOpenGL.so.0" };

export async function nativeMesa(host: string): Promise<Record<string, string>> {
  return {
    LD_LIBRARY_PATH: await linksTo(host),
    LIBGL_DRIVERS_PATH: join(host, LIBRARIES, "dri"),
    DRIRC_CONFIGDIR: join(host, "usr/share/drirc.d"),
  };
}

function linksTo(host: string): Promise<string> {
  const names = Object.keys(DEVELOPMENT).join("-");
  return madeOnce(join(cacheDirectory(), "native-mesa", `${basename(host)}-${names}`), async (directory) => {
    for (const name of readdirSync(join(host, LIBRARIES))) {
      if (!name.includes(".so") || (!GRAPHICS.test(name) && existsSync(join("/", LIBRARIES, name)))) continue;
      symlinkSync(join(host, LIBRARIES, name), join(directory, name));
    }
    // by the names that glmark2 and PyOpenGL ask for
    for (const [name, soname] of Object.entries(DEVELOPMENT))
      symlinkSync(join(host, LIBRARIES, soname), join(directory, name));
  });
}
