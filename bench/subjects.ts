// The programs that are measured, each as a command natively and one in the capsule, on the same host tree.
//
// Natively on a foreign Mesa is possible only because no versions clash between these two releases: the host tree's
// libraries go first on the library path, by a directory of links that leaves the glibc family out.

import { readdirSync, symlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { isShared } from "../src/shared-set.ts";
import { cacheDirectory, madeOnce } from "../test/support/cache.ts";
import type { Display } from "../test/support/display.ts";
import { build } from "../test/support/fixtures.ts";
import { capsuleCommand } from "./command.ts";
import { type Command, sample } from "./sample.ts";

export interface Subject {
  readonly name: string;
  readonly native: Command;
  /** `more`: options for `capsule exec`; `args`: more arguments for the program. */
  capsule(more?: readonly string[], args?: readonly string[]): Command;
}

export const LIBRARIES = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"];

export async function subjects(host: string, display: Display): Promise<Subject[]> {
  // What programs and capsule keep there: our own, so that nothing else that runs meanwhile writes to it.
  const common = { ...display.env, XDG_CACHE_HOME: join(cacheDirectory(), "bench", "cache") };
  const native = {
    LD_LIBRARY_PATH: await linksTo(host),
    LIBGL_DRIVERS_PATH: join(host, "usr/lib/x86_64-linux-gnu/dri"),
  };
  const subject = (name: string, argv: string[]): Subject => ({
    name,
    native: { argv, env: { ...common, ...native } },
    capsule: (more = [], args = []) => ({
      argv: capsuleCommand(["--host", host, ...more], [...argv, ...args]),
      env: common,
    }),
  });
  return [subject("glxinfo -B", ["glxinfo", "-B"]), subject("idle program", [await idleProgram(host)])];
}

/** Runs glxinfo on either side and returns the version of Mesa that both show. Throws if they differ. */
export async function sameMesa([glxinfo]: readonly Subject[]): Promise<string> {
  if (!glxinfo) throw new Error("There is nothing to measure");
  const [native, capsule] = [glxinfo.native, glxinfo.capsule()].map(
    (command) => /^OpenGL version string: .* Mesa (\S+)$/m.exec(sample(command, true).stdout)?.[1],
  );
  if (native === undefined || native !== capsule)
    throw new Error(`Mesa is ${native} natively, ${capsule} in the capsule`);
  return native;
}

/** Linked to the host tree's libGL.so.1 and libX11.so.6, so that no development packages are needed. */
async function idleProgram(host: string): Promise<string> {
  const search = LIBRARIES.map((directory) => `-L${join(host, directory)}`);
  const flags = [...search, "-l:libGL.so.1", "-l:libX11.so.6"];
  return join(await build("../bench/idle", [{ path: "idle", sources: ["idle.c"], flags }]), "idle");
}

/** A directory of links to the host tree's libraries, but not to those that belong to the machine's own glibc. */
function linksTo(host: string): Promise<string> {
  return madeOnce(join(cacheDirectory(), "bench", `links-to-${basename(host)}`), async (directory) => {
    for (const from of LIBRARIES.map((path) => join(host, path))) {
      for (const name of readdirSync(from)) {
        if (!name.includes(".so") || isShared(name) || name.startsWith("libnss_")) continue;
        symlinkSync(join(from, name), join(directory, name));
      }
    }
  });
}
