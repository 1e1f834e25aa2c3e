// What makes a program use a host tree's Mesa natively: possible where its own libraries get on with those that
// Mesa needs, as between Debian 11 and 12. It is the model for the same program in a capsule.

import { existsSync, readdirSync, symlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { cacheDirectory, madeOnce } from "./cache.ts";

const LIBRARIES = "usr/lib/x86_64-linux-gnu";
/** What comes from the tree although the machine has it, too; of everything else the machine's own copy does. */
const GRAPHICS = /^lib(GL|EGL|OpenGL|glapi|gbm|drm|X|xcb|xshmfence)/;

export async function nativeMesa(host: string): Promise<Record<string, string>> {
  return {
    LD_LIBRARY_PATH: await linksTo(host),
    LIBGL_DRIVERS_PATH: join(host, LIBRARIES, "dri"),
    DRIRC_CONFIGDIR: join(host, "usr/share/drirc.d"),
  };
}

function linksTo(host: string): Promise<string> {
  return madeOnce(join(cacheDirectory(), "native-mesa", basename(host)), async (directory) => {
    for (const name of readdirSync(join(host, LIBRARIES))) {
      if (!name.includes(".so") || (!GRAPHICS.test(name) && existsSync(join("/", LIBRARIES, name)))) continue;
      symlinkSync(join(host, LIBRARIES, name), join(directory, name));
    }
    // by the name that glmark2 asks for
    symlinkSync(join(host, LIBRARIES, "libGL.so.1"), join(directory, "libGL.so"));
  });
}
