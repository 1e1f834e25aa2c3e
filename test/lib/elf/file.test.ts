// Bytes of files: what of them is read, and when the file is closed.

import { afterAll, describe, expect, test } from "bun:test";
import { readdirSync, readlinkSync } from "node:fs";
import { FileBytes, openImage } from "../../../lib/elf/file.ts";
import { toOffset } from "../../../lib/memory/numbers.ts";
import { unlessRefused } from "../../../lib/system-error.ts";
import { faultOf } from "./bytes.ts";
import { Scratch } from "./scratch.ts";
import { smallImage } from "./small-image.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

/** How many of our descriptors are of a file. */
const descriptorsOf = (path: string): number =>
  readdirSync("/proc/self/fd").filter((name) => unlessRefused(() => readlinkSync(`/proc/self/fd/${name}`)) === path)
    .length;

describe("a file", () => {
  const path = scratch.write("small.so", smallImage().bytes);

  test("is open until it is disposed of, once", () => {
    const image = openImage(path);
    expect(descriptorsOf(path)).toBe(1);
    image[Symbol.dispose]();
    image[Symbol.dispose]();
    expect(descriptorsOf(path)).toBe(0);
  });

  test("is closed where its headers are not those of an image", () => {
    const odd = scratch.write("odd.so", new Uint8Array(100));
    expect(() => openImage(odd)).toThrow();
    expect(descriptorsOf(odd)).toBe(0);
  });

  test("is no directory", () => {
    expect(faultOf(() => new FileBytes(scratch.directory)).fault).toBe("not a regular file");
    expect(descriptorsOf(scratch.directory)).toBe(0);
  });
});

describe("FileBytes.view()", () => {
  // Longer than what is read at once, and no multiple of it.
  const content = Uint8Array.from({ length: 20_000 }, (_, i) => (i * 7 + (i >>> 8)) & 0xff);
  const path = scratch.write("bytes", content);
  using file = new FileBytes(path);
  const view = (offset: number, length: number): Uint8Array => {
    const { buffer, byteOffset, byteLength } = file.view(toOffset(offset), length, "bytes");
    return new Uint8Array(buffer, byteOffset, byteLength);
  };
  const read = [
    [0, 1],
    [8191, 1],
    [8192, 1],
    [8190, 4],
    [100, 8092],
    [100, 8093],
    [8192, 8192],
    [0, 20_000],
    [16_384, 3616],
    [19_999, 1],
    [20_000, 0],
    [5, 0],
  ] as const;
  const found = read.map(([offset, length]) => view(offset, length));

  test.each(read.map(([offset, length], i) => [offset, length, i] as const))(
    "from %d on %d bytes",
    (offset, length, i) => {
      expect(found[i]).toEqual(content.slice(offset, offset + length));
    },
  );

  test("throws for what the file does not have", () => {
    using open = new FileBytes(path);
    for (const [offset, length] of [
      [20_000, 1],
      [19_999, 2],
      [-1, 1],
      [0, 20_001],
      [Number.NaN, 1],
    ] as const)
      expect(faultOf(() => open.view(toOffset(offset), length, "bytes")).fault).toContain(
        "reach beyond the end of the file",
      );
  });

  test("finds a string up to its end, or the end of what is looked at", () => {
    using open = new FileBytes(scratch.write("strings", new TextEncoder().encode("ab\0cdef")));
    expect(open.stringAt(toOffset(0), 7, "strings")).toBe("ab");
    expect(open.stringAt(toOffset(3), 3, "strings")).toBe("cde");
    expect(open.stringAt(toOffset(2), 1, "strings")).toBe("");
  });
});
