// A program that ld.so has loaded and relocated, and that waits: its memory is the model of a link.

import { closeSync, openSync, readSync } from "node:fs";
import { SimulatedSpace } from "../../lib/link/simulated-space.ts";
import { type Mapping, readMaps } from "../../lib/memory/maps.ts";
import { type Address, alignDown, PAGE_SIZE, toAddress } from "../../lib/memory/numbers.ts";
import { environment } from "./run.ts";

export class PausedProcess implements AsyncDisposable {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "ignore">;
  readonly #memory: number;
  readonly #pages = new Map<number, DataView>();
  readonly mappings: readonly Mapping[];

  private constructor(child: Bun.Subprocess<"pipe", "pipe", "ignore">) {
    this.#child = child;
    this.#memory = openSync(`/proc/${child.pid}/mem`, "r");
    this.mappings = readMaps(child.pid);
  }

  /**
   * Starts a program that writes a byte and then reads from its input, where nothing comes. It is given `input` before.
   */
  static async start(argv: string[], env: Record<string, string> = {}, input = ""): Promise<PausedProcess> {
    const child = Bun.spawn(argv, { env: environment(env), stdin: "pipe", stdout: "pipe", stderr: "ignore" });
    child.stdin.write(input);
    child.stdin.flush();
    const reader = child.stdout.getReader();
    const { done } = await reader.read();
    if (done) throw new Error(`"${argv.join(" ")}" has ended with ${await child.exited}`);
    return new PausedProcess(child);
  }

  /** Where a file's first page is. Throws where it has none. */
  startOf(path: string): Address {
    const mapping = this.mappings.find((candidate) => candidate.path === path && candidate.offset === 0);
    if (!mapping) throw new Error(`"${path}" is not mapped`);
    return mapping.start;
  }

  read(at: Address, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    const count = readSync(this.#memory, bytes, 0, length, at);
    if (count !== length) throw new Error(`${count} of ${length} bytes can be read at 0x${at.toString(16)}`);
    return bytes;
  }

  /** 64 bits; of pages that do not change any more. */
  word(at: Address): bigint {
    const page = alignDown(at, PAGE_SIZE);
    let view = this.#pages.get(page);
    if (!view) {
      view = new DataView(this.read(page, PAGE_SIZE).buffer);
      this.#pages.set(page, view);
    }
    return view.getBigUint64(at - page, true);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    closeSync(this.#memory);
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}

/** A simulation's objects where a process has them, in the order in which they are mapped. */
export class SpaceOf extends SimulatedSpace {
  readonly #starts: Address[];

  constructor(starts: readonly Address[]) {
    super();
    this.#starts = [...starts];
  }

  override reserve(length: number, alignment: number, at?: Address): Address {
    const start = this.#starts.shift();
    return super.reserve(length, alignment, at ?? toAddress(start ?? 0));
  }
}
