// A file's segments as a loader maps them, in a buffer that stands for the memory of a process.

import { openImage } from "../../../lib/elf/file.ts";
import { LoadedImage } from "../../../lib/elf/loaded.ts";
import type { Memory } from "../../../lib/memory/live.ts";
import { type Address, alignUp, PAGE_SIZE } from "../../../lib/memory/numbers.ts";

export interface InMemory {
  readonly image: LoadedImage;
  readonly memory: Memory;
  /** The memory itself, from `loadBias` on. */
  readonly content: Uint8Array;
}

/** With `isCopied`, what is read is a copy, as it is of another process's memory. */
export function inMemory(path: string, loadBias: Address, isCopied = false): InMemory {
  using file = openImage(path);
  const content = new Uint8Array(alignUp(file.end, PAGE_SIZE));
  for (const { p_vaddr, p_filesz } of file.loads) {
    const { buffer, byteOffset } = file.bytes.view(p_vaddr, p_filesz, "segment");
    content.set(new Uint8Array(buffer, byteOffset, p_filesz), p_vaddr);
  }
  const view = (at: Address, length: number): DataView => {
    const shown = new DataView(content.buffer, at - loadBias, length);
    return isCopied ? new DataView(content.slice(shown.byteOffset, shown.byteOffset + length).buffer) : shown;
  };
  const memory: Memory = isCopied ? { view, isCopied } : { view };
  return { image: new LoadedImage(path, loadBias, file.ehdr, [...file.phdrs], memory), memory, content };
}
