// Ranges of this process's own memory: nobody else has what has been given, however much of it an alignment takes.

import { expect, test } from "bun:test";
import { OwnSpace } from "../../../lib/link/own-space.ts";
import { PAGE_SIZE } from "../../../lib/memory/numbers.ts";
import { Libc } from "../../../lib/process/libc.ts";
import { mappingsOf } from "../../support/maps.ts";

test.each([1, PAGE_SIZE, 0x10000, 0x200000])(
  "a range is aligned to %d bytes, and reserved from end to end",
  (alignment) => {
    const space = new OwnSpace(new Libc());
    const length = 5 * PAGE_SIZE;
    const starts = Array.from({ length: 8 }, () => Number(space.reserve(length, alignment))).sort(
      (one, two) => one - two,
    );
    const mappings = mappingsOf(process.pid);
    for (const [i, start] of starts.entries()) {
      expect(start % Math.max(alignment, PAGE_SIZE)).toBe(0);
      expect(start).toBeGreaterThanOrEqual((starts[i - 1] ?? -length) + length);
      const inside = mappings.filter((mapping) => mapping.start < start + length && mapping.end > start);
      expect(inside.map(({ permissions }) => permissions)).toEqual(inside.map(() => "---p"));
      expect(inside[0]?.start).toBeLessThanOrEqual(start);
      expect(inside.at(-1)?.end).toBeGreaterThanOrEqual(start + length);
    }
  },
);
