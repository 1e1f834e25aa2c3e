// What a program copies of a library's object is what both have of it.

import { expect, test } from "bun:test";
import type { LoadedImage } from "../../../lib/elf/loaded.ts";
import { toVaddr } from "../../../lib/memory/numbers.ts";
import { Trace } from "../../../src/diagnostics/trace.ts";
import { findCopies } from "../../../src/passes/copy-objects.ts";

/** An image at 4096 times its number, with one symbol. */
const imageOf = (number: number, st_size: number): LoadedImage =>
  ({
    path: `lib${number}`,
    symbols: { at: () => ({ st_size }), nameOf: () => "palette" },
    versionOf: () => undefined,
    findReferenced: (name: string) => (name === "palette" ? 1 : undefined),
    symbolAddress: () => 4096 * number + 8,
    addressOf: (vaddr: number) => 4096 * number + vaddr,
  }) as unknown as LoadedImage;

test.each([
  [16, 16, 16],
  [16, 8, 8],
  [8, 16, 8],
])("a program has room for %d bytes, the library %d: %d are copied", (room, there, size) => {
  const copied = [{ at: toVaddr(64), symbol: 1 }];
  const copies = findCopies(imageOf(1, room), copied, [imageOf(2, there), imageOf(3, 32)], new Trace([]));
  expect(copies as unknown[]).toEqual([{ from: 4096 * 2 + 8, to: 4096 + 64, size }]);
});
