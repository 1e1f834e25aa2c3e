// A table as 32-bit words, for loops that look at every entry of it: libLLVM has 380,000
// relocations, and a structure over a view costs ten times a word of an array.

/** Copied where it is not aligned. What is left behind the last whole word is not in it. */
export function wordsOf(view: DataView, size = view.byteLength): Uint32Array {
  const length = Math.floor(size / 4);
  if (view.byteOffset % 4 === 0) return new Uint32Array(view.buffer, view.byteOffset, length);
  return new Uint32Array(view.buffer.slice(view.byteOffset, view.byteOffset + length * 4));
}
