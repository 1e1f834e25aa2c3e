// The programs that are measured, each as a command natively and one in each mode, on the same host tree.
//
// Natively on a foreign Mesa is possible only because no versions clash between these two releases: the host tree's
// libraries go first on the library path, by a directory of links that leaves the glibc family out.

import { readdirSync, symlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { isShared } from "../src/profiles/shared-set.ts";
import { cacheDirectory, madeOnce } from "../test/support/cache.ts";
import type { Display } from "../test/support/display.ts";
import { build } from "../test/support/fixtures.ts";
import { capsuleCommand, WAYS, type Way } from "./command.ts";
import { type Command, sample } from "./sample.ts";

export interface Subject {
  readonly name: string;
  /** Without options, natively too. */
  readonly argv: readonly string[];
  /** `args`: more arguments for the program; `options`: more for `capsule exec`, which a native run has no use for. */
  command(way: Way, args?: readonly string[], options?: readonly string[]): Command;
}

export interface Subjects {
  readonly glxinfo: Subject;
  /** Linked to the host tree's libGL.so.1 and libX11.so.6. */
  readonly idle: Subject;
  /** Of bench/starts: starts programs. */
  readonly runner: Subject;
  /** Linked to libc alone: nobody's affair, and a path. */
  readonly nothing: string;
}

export const LIBRARIES = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"];

/** `temporary` is a directory for what runs in the capsule. */
export async function makeSubjects(host: string, display: Display, temporary: string): Promise<Subjects> {
  // What programs and capsule keep there: our own, so that nothing else that runs meanwhile writes to it.
  const common = {
    ...display.env,
    XDG_CACHE_HOME: join(cacheDirectory(), "bench", "cache"),
    TMPDIR: temporary,
  };
  const native = {
    LD_LIBRARY_PATH: await linksTo(host),
    LIBGL_DRIVERS_PATH: join(host, "usr/lib/x86_64-linux-gnu/dri"),
  };
  const subject = (name: string, argv: readonly string[]): Subject => ({
    name,
    argv,
    command: (way, args = [], options = []) =>
      way === "native"
        ? { argv: [...argv, ...args], env: { ...common, ...native } }
        : {
            argv: capsuleCommand(["--host", host, "--mode", way, ...options], [...argv, ...args]),
            env: common,
          },
  });
  const starts = await build("../bench/starts", [
    { path: "runner", sources: ["runner.c"] },
    { path: "nothing", sources: ["nothing.c"] },
  ]);
  return {
    glxinfo: subject("glxinfo -B", ["glxinfo", "-B"]),
    idle: subject("idle program", [await idleProgram(host)]),
    runner: subject("runner", [join(starts, "runner")]),
    nothing: join(starts, "nothing"),
  };
}

/** Runs glxinfo in all ways and returns the version of Mesa that they show. Throws if they differ. */
export function sameMesa({ glxinfo }: Subjects): string {
  const versions = WAYS.map(
    (way) => /^OpenGL version string: .* Mesa (\S+)$/m.exec(sample(glxinfo.command(way), true).stdout)?.[1],
  );
  const [version] = versions;
  if (version === undefined || versions.some((other) => other !== version))
    throw new Error(`Mesa is ${WAYS.map((way, i) => `${versions[i]} ${way}`).join(", ")}`);
  return version;
}

/** So that no development packages are needed. */
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
