// Most fixtures are a program and a library of the host tree, "libhost.so.1", sometimes with a library of the runtime
// between them. Natively the host tree's directory is simply on the library path; in the capsule it is not, so there
// the program cannot even start unless capsule gives it the library.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { build, type Output } from "./fixtures.ts";
import { capsule, native, type Outcome, type RunOptions } from "./run.ts";

export const HOST = "host/usr/lib/x86_64-linux-gnu";
export const RUNTIME = "runtime";

export class Pair {
  readonly out: string;
  /** The host tree. */
  readonly host: string;
  /** For LD_LIBRARY_PATH; need not exist. */
  readonly runtime: string;
  private readonly isolated: string[];

  constructor(out: string, isolated: string[]) {
    this.out = out;
    this.host = join(out, "host");
    this.runtime = join(out, RUNTIME);
    this.isolated = isolated;
  }

  program(name = "program"): string {
    return join(this.out, name);
  }

  flags(): string[] {
    return ["--host", this.host, "--isolate", this.isolated.join(",")];
  }

  native(args: string[] = [], options: RunOptions = {}, program = "program"): Promise<Outcome> {
    const LD_LIBRARY_PATH = `${join(this.out, HOST)}:${this.runtime}`;
    return native(this.program(program), args, { ...options, env: { LD_LIBRARY_PATH, ...options.env } });
  }

  capsule(args: string[] = [], options: RunOptions = {}, program = "program"): Promise<Outcome> {
    const path: Record<string, string> = existsSync(this.runtime) ? { LD_LIBRARY_PATH: this.runtime } : {};
    return capsule(this.flags(), this.program(program), args, { ...options, env: { ...path, ...options.env } });
  }
}

/** Builds fixtures/`folder` as listed; `isolated` are the sonames that capsule is told to isolate. */
export async function pair(folder: string, outputs: Output[], isolated = ["libhost.so.1"]): Promise<Pair> {
  return new Pair(await build(folder, outputs), isolated);
}

/** The usual two: host.c and program.c, the second linked to the first. */
export function hostAndProgram(language: "c" | "cc" = "c"): Output[] {
  const library = `${HOST}/libhost.so.1`;
  return [
    { path: library, sources: [`host.${language}`] },
    { path: "program", sources: [`program.${language}`], needs: [library] },
  ];
}
