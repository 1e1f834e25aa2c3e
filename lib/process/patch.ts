// Writing to memory owned by others: the one way to do it. Writes are collected, checked against the mappings, and only
// then made. Read-only pages (RELRO) are writable only during the write and get back exactly their previous protection.

import { PF_R, PF_W, PF_X } from "../elf/constants.ts";
import { LinkError } from "../link-error.ts";
import { findMapping, type Mapping, readMaps } from "../memory/maps.ts";
import { type Address, add, alignDown, alignUp, hex, PAGE_SIZE, toAddress } from "../memory/numbers.ts";
import type { Linking, Process } from "./process.ts";

export const [PROT_READ, PROT_WRITE, PROT_EXEC] = [1, 2, 4] as const;

type Permissions = Pick<Mapping, "readable" | "writable" | "executable">;

export const protectionOf = ({ readable, writable, executable }: Permissions): number =>
  (readable ? PROT_READ : 0) | (writable ? PROT_WRITE : 0) | (executable ? PROT_EXEC : 0);

/** Of a segment, by its p_flags. */
export const protectionOfFlags = (flags: number): number =>
  protectionOf({
    readable: (flags & PF_R) !== 0,
    writable: (flags & PF_W) !== 0,
    executable: (flags & PF_X) !== 0,
  });

/** Writes that are made together or, if one of them cannot be, not at all. */
export class Patch {
  readonly #writes: Write[] = [];
  /** Pages that get a new protection afterwards. */
  readonly #installed: Window[] = [];

  get length(): number {
    return this.#writes.length;
  }

  set(at: Address, bytes: Uint8Array): void {
    this.#writes.push({ at, bytes });
  }

  /** Writes code to zeroed writable pages and makes them executable afterwards. */
  install(code: Uint8Array, start: Address): void {
    this.set(start, code);
    this.#installed.push({ start, length: alignUp(code.length, PAGE_SIZE), protection: PROT_READ | PROT_EXEC });
  }

  /** 64 bits: an address, or a vaddr, which may be negative. */
  setPointer(at: Address, value: number): void {
    this.set(at, new Uint8Array(new BigInt64Array([BigInt(value)]).buffer));
  }

  /**
   * Makes the writes, with one window per mapping. Throws, with nothing written, if an address is not mapped. Returns
   * how many windows had to be opened.
   */
  *apply(process: Process, mappings: readonly Mapping[] = readMaps(process.task)): Linking<number> {
    const pieces = this.#writes.flatMap((write) => [...inMappings(write, mappings)]);
    const windows = [...Map.groupBy(pieces, ({ mapping }) => mapping)].flatMap(([mapping, together]) =>
      mapping.writable
        ? []
        : [
            windowOf(
              mapping,
              together.map(({ write }) => write),
            ),
          ],
    );
    const closed = [...windows, ...this.#installed];
    // Without PROT_EXEC: none of our pages is ever writable and executable at once.
    try {
      yield* protect(windows.map((window) => ({ ...window, protection: PROT_READ | PROT_WRITE })));
      for (const { write } of pieces) process.write(write.at, write.bytes);
    } finally {
      yield* protect(closed);
    }
    return windows.length;
  }
}

interface Write {
  readonly at: Address;
  readonly bytes: Uint8Array;
}

/** A large object may begin in a file's last page and continue in the next mapping. */
function* inMappings(
  { at, bytes }: Write,
  mappings: readonly Mapping[],
): Generator<{ mapping: Mapping; write: Write }> {
  for (let done = 0; done < bytes.length; ) {
    const mapping = findMapping(mappings, add(at, done));
    if (!mapping) throw new Error(`Cannot write ${bytes.length} bytes at ${hex(at)}: they are not all mapped`);
    const end = Math.min(bytes.length, mapping.end - at);
    yield { mapping, write: { at: add(at, done), bytes: bytes.subarray(done, end) } };
    done = end;
  }
}

interface Window {
  /** Whole pages. */
  readonly start: Address;
  readonly length: number;
  /** The protection to set afterwards. */
  readonly protection: number;
}

function windowOf(mapping: Mapping, writes: readonly Write[]): Window {
  const start = alignDown(toAddress(Math.min(...writes.map(({ at }) => at))), PAGE_SIZE);
  const end = Math.max(...writes.map(({ at, bytes }) => at + bytes.length));
  return { start, length: alignUp(toAddress(end), PAGE_SIZE) - start, protection: protectionOf(mapping) };
}

/** Changes the protection of whole pages. Throws LinkError if the kernel refuses. */
export function* protect(windows: readonly Window[]): Linking<void> {
  if (windows.length === 0) return;
  const results = yield windows.map(({ start, length, protection }) => ({
    name: "mprotect" as const,
    arguments: [start, length, protection],
  }));
  const refused = windows[results.findIndex((result) => result !== 0)];
  if (refused) throw new LinkError(`Cannot change the protection of ${refused.length} bytes at ${hex(refused.start)}`);
}

/** Like Patch.install, applied at once. */
export function* install(process: Process, code: Uint8Array, start: Address): Linking<void> {
  const patch = new Patch();
  patch.install(code, start);
  yield* patch.apply(process);
}

/** Copies bytes to memory that is already writable. */
export function copy(process: Process, from: Address, to: Address, length: number): void {
  const { buffer, byteOffset } = process.memory.view(from, length);
  process.write(to, new Uint8Array(buffer, byteOffset, length));
}
