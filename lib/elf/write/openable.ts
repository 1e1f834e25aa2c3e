// A copy of a shared object that dlopen accepts: the file's own bytes without DF_1_NOOPEN (ld -z nodlopen), with which
// glibc refuses every dlopen and loads the object only at the start of a program. Sections and all else stay as they
// are, for debuggers.

import { writeU64 } from "../../memory/layout.ts";
import { toOffset } from "../../memory/numbers.ts";
import { DF_1_NOOPEN, DT_FLAGS_1, PT_DYNAMIC } from "../constants.ts";
import { Dyn } from "../dyn.ts";
import { openImage } from "../file.ts";

/** Throws what reading the file throws, and ElfError. */
export function openableCopy(path: string): Uint8Array {
  using image = openImage(path);
  const view = image.file.view(toOffset(0), image.file.size, "file");
  const start = image.segment(PT_DYNAMIC)?.p_offset ?? 0;
  for (const { tag, value, at } of image.dynamic.entries)
    if (tag === DT_FLAGS_1 && (value & DF_1_NOOPEN) !== 0)
      writeU64(view, start + at + Dyn.offsetOf.d_val, value - DF_1_NOOPEN);
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
