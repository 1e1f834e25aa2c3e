// A table as 32-bit words, for loops over every entry: libLLVM has 380,000 relocations, and reading a structure over a
// view costs ten times as much as reading an array.

/** Copied if unaligned. Bytes after the last whole word are left out. */
export function wordsOf(view: DataView, size = view.byteLength): Uint32Array {
  const length = Math.floor(size / 4);
  if (view.byteOffset % 4 === 0) return new Uint32Array(view.buffer, view.byteOffset, length);
  return new Uint32Array(view.buffer.slice(view.byteOffset, view.byteOffset + length * 4));
}
