// Replaces this process's program by another.

import { addressOf, cString } from "../memory/live.ts";
import { System } from "./system.ts";

const [F_GETFD, F_SETFD, FD_CLOEXEC, CLONE_FS] = [1, 2, 1, 0x200] as const;

export class Exec {
  constructor(readonly system = new System()) {}

  /** Keeps a descriptor open across exec. */
  passOn(descriptor: number): void {
    this.system.call("fcntl", descriptor, F_SETFD, 0);
  }

  /** Is it open, but closed on exec? */
  isClosed(descriptor: number): boolean {
    return this.system.call("fcntl", descriptor, F_GETFD, 0) === FD_CLOEXEC;
  }

  /** Executes a program in this process. Returns, with errno, only if the kernel refuses. */
  execute(path: string, list: readonly Uint8Array[], environment: readonly Uint8Array[]): number {
    const program = cString(path);
    const [argv, envp] = [vectorOf(list), vectorOf(environment)];
    // During exec, the kernel refuses to create threads that share the working directory and umask with the calling
    // thread (EAGAIN). Bun threads that tried have aborted the process, so this thread stops sharing them.
    this.system.call("unshare", CLONE_FS);
    return -this.system.call("execve", addressOf(program), addressOf(argv.pointers), addressOf(envp.pointers));
  }
}

/** Pointers to C strings, NULL-terminated, and the strings, which the caller keeps while the pointers are used. */
export function vectorOf(texts: readonly Uint8Array[]): { pointers: BigUint64Array; strings: Uint8Array[] } {
  const strings = texts.map((text) => Buffer.concat([text, Uint8Array.of(0)]));
  return { pointers: BigUint64Array.from([...strings.map((string) => BigInt(addressOf(string))), 0n]), strings };
}
