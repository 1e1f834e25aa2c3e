// Notes (gABI, "Note Section"): name, type and descriptor, each padded to 4 bytes.

import { layout, u32 } from "../memory/layout.ts";
import { alignUp } from "../memory/numbers.ts";

export const Nhdr = layout("Elf64_Nhdr", { n_namesz: u32, n_descsz: u32, n_type: u32 });

export interface Note {
  readonly name: string;
  readonly type: number;
  readonly descriptor: Uint8Array;
}

/** The notes of a PT_NOTE segment, up to the first one that is truncated. */
export function* readNotes(view: DataView): Generator<Note> {
  for (let at = 0; at + Nhdr.size <= view.byteLength; ) {
    const { n_namesz, n_descsz, n_type } = Nhdr.at(view, at);
    const nameAt = at + Nhdr.size;
    const descriptorAt = nameAt + alignUp(n_namesz, 4);
    // The last note's padding may lie outside the segment.
    if (descriptorAt + n_descsz > view.byteLength) return;
    const bytes = (from: number, length: number) => new Uint8Array(view.buffer, view.byteOffset + from, length);
    const name = new TextDecoder().decode(bytes(nameAt, Math.max(0, n_namesz - 1)));
    yield { name, type: n_type, descriptor: bytes(descriptorAt, n_descsz) };
    at = descriptorAt + alignUp(n_descsz, 4);
  }
}
