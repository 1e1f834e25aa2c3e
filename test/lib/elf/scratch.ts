// A temporary directory: hand-made images, and objects built from C sources.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export class Scratch implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "capsule-elf-"));

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  write(name: string, content: Uint8Array | string): string {
    writeFileSync(this.path(name), content);
    return this.path(name);
  }

  /** Compiles C into `name`; returns its path. Throws with the compiler's own words. */
  compile(name: string, source: string, ...options: string[]): string {
    const input = this.write(`${name}.c`, source);
    run(["cc", "-o", this.path(name), input, ...options]);
    return this.path(name);
  }
}

/** What a tool prints, in the C locale. Throws where it fails. */
export function run(command: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { env: { ...process.env, LC_ALL: "C" } });
  if (exitCode !== 0) throw new Error(`Cannot run "${command.join(" ")}": it ended with ${exitCode}\n${stderr}`);
  return stdout.toString();
}

/** Where the compiler would find a library, or undefined where it is not installed. */
export function installed(library: string): string | undefined {
  const path = run(["cc", `-print-file-name=${library}`]).trim();
  return path === library ? undefined : path;
}
