// /proc/PID/maps: which ranges are mapped, with which protection, and from which file.

import { readFileSync } from "node:fs";
import { type Address, type Offset, toAddress, toOffset } from "./numbers.ts";

export interface Mapping {
  readonly start: Address;
  readonly end: Address;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly executable: boolean;
  readonly shared: boolean;
  readonly offset: Offset;
  /** 0 for anonymous memory. */
  readonly inode: number;
  /**
   * A file, `[stack]` and the like, or "" for anonymous memory, as the kernel writes it (`\012` for a newline, a final
   * ` (deleted)`).
   */
  readonly path: string;
}

// The kernel escapes only newlines: a path may hold any other line terminator, hence `s`.
const LINE = /^([0-9a-f]+)-([0-9a-f]+) (.)(.)(.)(.) ([0-9a-f]+) \S+ (\d+) *(.*)$/s;

export function parseMaps(text: string): Mapping[] {
  const mappings: Mapping[] = [];
  for (const line of text.split("\n")) {
    const match = LINE.exec(line);
    if (!match) continue;
    const [, start = "", end = "", r, w, x, s, offset = "", inode = "", path = ""] = match;
    mappings.push({
      start: toAddress(Number.parseInt(start, 16)),
      end: toAddress(Number.parseInt(end, 16)),
      readable: r === "r",
      writable: w === "w",
      executable: x === "x",
      shared: s === "s",
      offset: toOffset(Number.parseInt(offset, 16)),
      inode: Number(inode),
      path,
    });
  }
  return mappings;
}

/** The mappings of a process, by ascending address. Throws what reading /proc throws. */
export function readMaps(pid: number | "self" = "self"): Mapping[] {
  return parseMaps(readFileSync(`/proc/${pid}/maps`, "utf8"));
}

/** The mapping that contains `address`, by binary search. */
export function findMapping(mappings: readonly Mapping[], address: Address): Mapping | undefined {
  let low = 0;
  let high = mappings.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const mapping = mappings[middle] as Mapping;
    if (address < mapping.start) high = middle - 1;
    else if (address >= mapping.end) low = middle + 1;
    else return mapping;
  }
  return undefined;
}
