// Pages of this process's memory.

import { LinkError } from "../link-error.ts";
import { type Address, hex, type Offset, toAddress } from "../memory/numbers.ts";
import { PROT_READ, PROT_WRITE } from "./patch.ts";
import { type System, SystemError } from "./system.ts";

const [MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS] = [1, 2, 0x10, 0x20] as const;
const [MAP_NORESERVE, MAP_FIXED_NOREPLACE] = [0x4000, 0x10_0000] as const;
const NO_FILE = -1;

export class Pages {
  constructor(readonly system: System) {}

  /** Zeroed pages: private, or shared with children made by fork(). Throws LinkError. */
  allocate(length: number, isShared = false): Address {
    const flags = MAP_ANONYMOUS | (isShared ? MAP_SHARED : MAP_PRIVATE);
    const at = this.system.call("mmap", 0, length, PROT_READ | PROT_WRITE, flags, NO_FILE);
    if (at < 0) throw new LinkError(`Cannot map ${length} bytes`, { cause: new SystemError("mmap", -at) });
    return toAddress(at);
  }

  /** Unmaps pages. */
  free(start: Address, length: number): void {
    this.system.call("munmap", start, length);
  }

  /** Reserves inaccessible pages, anywhere or at an address where nothing is mapped. Throws LinkError. */
  reserve(length: number, at?: Address): Address {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at === undefined ? 0 : MAP_FIXED_NOREPLACE);
    const found = this.system.call("mmap", at, length, 0, flags, NO_FILE);
    if (at === undefined && found < 0) throw new LinkError(`Cannot reserve ${length} bytes: there is no room`);
    if (at !== undefined && found !== at)
      throw new LinkError(`Cannot reserve ${length} bytes at ${hex(at)}: they are taken`);
    return toAddress(found);
  }

  /** Maps pages of zeroes, replacing what is there. Throws LinkError. */
  mapZeroes(start: Address, length: number, protection: number): void {
    const flags = MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS;
    if (this.system.call("mmap", start, length, protection, flags, NO_FILE) !== start)
      throw new LinkError(`Cannot map ${length} bytes at ${hex(start)}`);
  }

  /** Maps pages of a file privately, replacing what is there. Throws LinkError. */
  mapFile(start: Address, length: number, protection: number, descriptor: number, offset: Offset): void {
    if (this.system.call("mmap", start, length, protection, MAP_PRIVATE | MAP_FIXED, descriptor, offset) !== start)
      throw new LinkError(`Cannot map ${length} bytes of a file at ${hex(start)}`);
  }
}
