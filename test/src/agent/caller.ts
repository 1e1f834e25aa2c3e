// Machine code of ours, run for real in a process of its own: see caller.c.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Address, toAddress } from "../../../lib/memory/numbers.ts";
import type { Code } from "../../../lib/x86-64/assembler.ts";
import { run, type Scratch } from "../../lib/elf/scratch.ts";
import { type Running, start } from "../../support/run.ts";

/** Where the code will stand: caller.c's BASE. */
export const BASE = 0x1000_0000;

export type CallerCommand =
  | `${"" | "unaligned " | "forked " | "repeated "}call${"" | " without descriptors" | " with a timer"}`
  | "threads"
  | "getenv"
  | "start"
  | "exit"
  | "forked exit";

/** What a caller maps besides: a file, at the address that it has in our own process. */
export interface Pages {
  readonly file: string;
  readonly at: Address;
}

export class Caller {
  readonly #program: string;
  readonly #symbols: ReadonlyMap<string, number>;

  constructor(readonly scratch: Scratch) {
    const source = readFileSync(join(import.meta.dir, "caller.c"), "utf8");
    // without PIE, so that addresses are known before it runs
    const flags = ["-no-pie", "-fno-pie", "-O1", "-fno-omit-frame-pointer", "-pthread", "-Wall", "-Wextra", "-Werror"];
    this.#program = scratch.compile("caller", source, ...flags);
    const lines = run(["nm", this.#program]).matchAll(/^([0-9a-f]{16}) \w (\w+)$/gm);
    this.#symbols = new Map(Array.from(lines, ([, value = "", name = ""]) => [name, Number.parseInt(value, 16)]));
  }

  /** Of a function or object of caller.c. */
  addressOf(symbol: string): Address {
    const address = this.#symbols.get(symbol);
    if (address === undefined) throw new Error(`caller.c has no "${symbol}"`);
    return toAddress(address);
  }

  start(
    code: Code,
    command: CallerCommand,
    label: string,
    args: string[] = [],
    { env = {}, pages, by = [] }: { env?: Record<string, string>; pages?: Pages; by?: readonly string[] } = {},
  ): Running {
    const offset = code.labels.get(label);
    if (offset === undefined) throw new Error(`The code has no label "${label}"`);
    const file = this.scratch.write(`code-${crypto.randomUUID()}`, code.bytes);
    const shared = pages ? `${pages.at} ${pages.file}` : "";
    return start([...by, this.#program, file, shared, command, `${offset}`, ...args], { env });
  }

  /** Runs it to its end; what it has printed. Throws where it does not end well. */
  async run(...list: Parameters<Caller["start"]>): Promise<string[]> {
    await using child = this.start(...list);
    return await ended(child);
  }
}

/** The lines that a child has printed when it has ended. Throws where it does not end well. */
export async function ended(child: Running): Promise<string[]> {
  const { stdout, stderr, exitCode, signal } = await child.end();
  if (exitCode !== 0) throw new Error(`It ended with ${signal ?? exitCode}:\n${stdout}${stderr}`);
  return stdout.split("\n").slice(0, -1);
}
