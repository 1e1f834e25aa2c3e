// /proc/PID/maps of a child, for assertions about what it has mapped.

import { readFileSync } from "node:fs";
import { basename } from "node:path";

export interface Mapping {
  start: number;
  end: number;
  /** As in "r-xp". */
  permissions: string;
  offset: number;
  /** Empty for anonymous memory. */
  path: string;
}

export function mappingsOf(pid: number): Mapping[] {
  return readFileSync(`/proc/${pid}/maps`, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => {
      const match = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) \S+ \d+ *(.*)$/.exec(line);
      if (match === null) throw new Error(`Not a line of maps: ${line}`);
      const [, start = "", end = "", permissions = "", offset = "", path = ""] = match;
      return {
        start: Number.parseInt(start, 16),
        end: Number.parseInt(end, 16),
        permissions,
        offset: Number.parseInt(offset, 16),
        path,
      };
    });
}

export function isWritableAndExecutable({ permissions }: Mapping): boolean {
  return permissions.includes("w") && permissions.includes("x");
}

/** The files that are mapped under a name that fits. */
export function filesNamed(mappings: Mapping[], name: RegExp): string[] {
  const paths = mappings.map(({ path }) => path).filter((path) => path.startsWith("/") && name.test(basename(path)));
  return [...new Set(paths)].sort();
}

/** The pages that an ELF file asks to have read-only once it is relocated, and what they are in memory. */
export function relroPages(mappings: Mapping[]): { path: string; permissions: string[] }[] {
  const pages: { path: string; permissions: string[] }[] = [];
  let endOfImage = 0;
  for (const first of mappings) {
    // an image begins with its file's first bytes, and a small one may have them again further on
    if (first.offset !== 0 || !first.path.startsWith("/") || first.start < endOfImage) continue;
    if (first.path.endsWith(" (deleted)")) continue;
    const image = imageOf(readFileSync(first.path));
    if (image === undefined) continue;
    const bias = first.start - image.start;
    endOfImage = bias + image.end;
    if (image.relro === undefined) continue;
    // glibc protects whole pages, and rounds the end down
    const start = bias + wholePages(image.relro.start);
    const end = bias + wholePages(image.relro.end);
    const inside = mappings.filter((mapping) => mapping.start < end && mapping.end > start);
    if (start < end) pages.push({ path: first.path, permissions: inside.map(({ permissions }) => permissions) });
  }
  return pages;
}

const PT_LOAD = 1;
const PT_GNU_RELRO = 0x6474e552;

interface Range {
  start: number;
  end: number;
}

/** Where an ELF file wants to be in memory, and which part of that is RELRO. */
function imageOf(bytes: Buffer): (Range & { relro: Range | undefined }) | undefined {
  if (bytes.length < 64 || bytes.readUInt32BE(0) !== 0x7f454c46) return undefined;
  const segments = Array.from({ length: bytes.readUInt16LE(56) }, (_, i) => {
    const at = Number(bytes.readBigUInt64LE(32)) + 56 * i;
    const start = Number(bytes.readBigUInt64LE(at + 16));
    return { type: bytes.readUInt32LE(at), start, end: start + Number(bytes.readBigUInt64LE(at + 40)) };
  });
  const loaded = segments.filter(({ type }) => type === PT_LOAD);
  return {
    start: wholePages(Math.min(...loaded.map(({ start }) => start))),
    end: Math.max(...loaded.map(({ end }) => end)),
    relro: segments.find(({ type }) => type === PT_GNU_RELRO),
  };
}

function wholePages(address: number): number {
  return Math.floor(address / 4096) * 4096;
}
