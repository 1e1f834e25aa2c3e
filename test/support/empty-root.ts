// A root directory with nothing in it but glibc, some programs, and what ld.so finds for them: no Bun, no packages, no
// shell, no sources.

import { copyFileSync, existsSync, mkdirSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { lines } from "./lines.ts";
import { type Outcome, type RunOptions, repository, run } from "./run.ts";

export class EmptyRoot {
  constructor(readonly path: string) {}

  /** Makes it, with this machine's glibc, whole, as no program alone needs it. For all users. */
  static async make(path: string): Promise<EmptyRoot> {
    const root = new EmptyRoot(path);
    mkdirSync(path);
    const { stdout } = await run(["dpkg", "-L", "libc6", "libgcc-s1"]);
    for (const file of lines(stdout)) if (/^\/lib\S*\/[^/]+\.so[.\d]*$/.test(file)) root.#copy(file);
    return root;
  }

  /** Copies a program to `as`, with the libraries of this machine that it is linked to. */
  async add(program: string, as: string): Promise<void> {
    this.#copy(program, as);
    const { stdout } = await run(["ldd", program]);
    for (const [library] of stdout.matchAll(/\/\S+\.so[.\d]*/g))
      if (!existsSync(this.path + library)) this.#copy(library);
  }

  #copy(file: string, as = file): void {
    const copy = join(this.path, as);
    mkdirSync(dirname(copy), { recursive: true });
    copyFileSync(realpathSync(file), copy);
  }

  /** Runs a command in there, read-only but for /tmp. `shown` are directories of this machine. */
  run(
    command: string[],
    shown: readonly string[],
    { user = 0, env = {}, ...options }: RunOptions & { user?: number } = {},
  ): Promise<Outcome> {
    const variables = {
      ...env,
      HOME: "/",
      XDG_CACHE_HOME: "",
      IN_ROOT_SHOWN: shown.join(":"),
      IN_ROOT_USER: `${user}`,
    };
    return run([join(repository, "test/support/in-root"), this.path, ...command], { ...options, env: variables });
  }
}
