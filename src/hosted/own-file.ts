// Maps the program's own file in place of its copy, once glibc has relocated the copy. The bytes stay the same, but
// code that looks for the program in /proc/self/maps (binreloc, for a program's data; profilers) finds it, as natively.

import { DT_TEXTREL } from "../../lib/elf/constants.ts";
import type { LoadedImage } from "../../lib/elf/loaded.ts";
import { bytesAt } from "../../lib/memory/live.ts";
import { type Address, add, alignDown, alignUp, PAGE_SIZE } from "../../lib/memory/numbers.ts";
import { PROT_READ, PROT_WRITE, protect, protectionOfFlags } from "../../lib/process/patch.ts";
import { RegularFile } from "../../lib/regular-file.ts";
import type { ProgramImage } from "./image.ts";
import type { Run } from "./run.ts";

export function mapOwnFile(run: Run, copy: LoadedImage, segments: ProgramImage["segments"]): void {
  const { libc, program, trace } = run;
  if (copy.dynamic.get(DT_TEXTREL) !== undefined) {
    trace.log("program", () => "its copy stays mapped: glibc is still writing to its code (DT_TEXTREL)");
    return;
  }
  using file = new RegularFile(program.path);
  for (const { load, isChanged } of segments) {
    const { p_vaddr, p_offset, p_filesz, p_flags } = load;
    if (p_filesz === 0) continue;
    const start = alignDown(copy.addressOf(p_vaddr), PAGE_SIZE);
    const length = alignUp(add(copy.addressOf(p_vaddr), p_filesz), PAGE_SIZE) - start;
    const protection = protectionOfFlags(p_flags);
    const isWritable = (protection & PROT_WRITE) !== 0;
    const map = (how: number) =>
      libc.pages.mapFile(start, length, how, file.descriptor, alignDown(p_offset, PAGE_SIZE));
    if (!isWritable && !isChanged) {
      map(protection);
      continue;
    }
    const bytes = bytesAt(start, length).slice();
    map(PROT_READ | PROT_WRITE);
    restore(start, bytes);
    if (!isWritable) libc.run(protect([{ start, length, protection }]));
  }
}

/** Unchanged pages stay mapped from the file, so they take no memory of this process, as natively. */
function restore(start: Address, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += PAGE_SIZE) {
    const page = bytes.subarray(at, at + PAGE_SIZE);
    const own = bytesAt(add(start, at), page.length);
    if (!Buffer.from(own.buffer, own.byteOffset, own.length).equals(page)) own.set(page);
  }
}
