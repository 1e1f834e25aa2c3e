// Bytes of files: what of them is read, and when the file is closed.

import { afterAll, describe, expect, test } from "bun:test";
import { readdirSync, readlinkSync, truncateSync } from "node:fs";
import { FileBytes, openImage } from "../../../lib/elf/file.ts";
import { toOffset, toVaddr } from "../../../lib/memory/numbers.ts";
import { unlessRefused } from "../../../lib/unless.ts";
import { faultOf, word, xword } from "./bytes.ts";
import { Scratch } from "./scratch.ts";
import { changed, smallImage } from "./small-image.ts";

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

describe("a file that is nearly all hole", () => {
  const path = scratch.write("sparse", "some bytes");
  truncateSync(path, 8 * 2 ** 30);
  const MIB = 1 << 20;

  test("may be read as far as one that is compressed may need, all its tables together", () => {
    using file = new FileBytes(path);
    const read = (offset: number, length: number) => file.view(toOffset(offset), length, "table").byteLength;
    expect(read(0, 8 * MIB)).toBe(8 * MIB);
    // One table again, or more of it, is one table.
    expect(read(0, 8 * MIB)).toBe(8 * MIB);
    expect(read(0, 9 * MIB)).toBe(9 * MIB);
    expect(read(4 * 2 ** 30, 6 * MIB)).toBe(6 * MIB);
    expect(faultOf(() => read(2 ** 30, 2 * MIB))).toMatchObject({
      structure: "table",
      fault: `its ${2 * MIB} bytes are too many to read: with its other tables, they are more than ${16 * MIB}`,
    });
  });

  test("is not read piece by piece, either", () => {
    using file = new FileBytes(path);
    let read = 0;
    const all = () => {
      for (; read < 32 * MIB; read += 4096) file.view(toOffset(read), 4, "strings");
    };
    expect(faultOf(all).fault).toContain("too many to read");
    expect(read).toBe(16 * MIB);
  });

  test("is not copied, if it claims to be larger than any program", () => {
    using file = new FileBytes(path);
    expect(faultOf(() => file.copy(2 ** 30 + 1, "PT_LOAD")).fault).toContain("too many to copy");
    expect(`${Buffer.from(file.copy(10, "PT_LOAD"))}`).toBe("some bytes");
  });
});

describe("a segment in a file", () => {
  const FAR = 0x10_0000;
  const small = smallImage();
  const { length } = small.bytes;

  /** An image with a segment in place of its notes that begins with the file, and bytes of it by their distance. */
  function bytesWith(filesz: number, memsz: number) {
    const header = [word(1), word(4), xword(0), xword(FAR), xword(FAR), xword(filesz), xword(memsz), xword(4096)];
    const content = changed(small.at("phdrs") + 3 * 56, ...header);
    const image = openImage(scratch.write("far.so", content));
    const bytes = (from: number, length: number): number[] => {
      const { buffer, byteOffset, byteLength } = image.bytes.view(toVaddr(FAR + from), length, "bytes");
      return [...new Uint8Array(buffer, byteOffset, byteLength)];
    };
    const [none, fault] = [new Array<number>(8).fill(0), (from: number) => faultOf(() => bytes(from, 8)).fault];
    return { image, bytes, fault, none, content, [Symbol.dispose]: () => image[Symbol.dispose]() };
  }

  test("has zeroes behind its bytes, where it has more memory", () => {
    using far = bytesWith(64, 0x2000);
    expect(far.bytes(56, 8)).toEqual([...far.content.slice(56, 64)]);
    expect(far.bytes(60, 8)).toEqual([...far.content.slice(60, 64), 0, 0, 0, 0]);
    expect(far.bytes(64, 8)).toEqual(far.none);
  });

  test("has zeroes up to the end of its memory, and the file's bytes behind it in the same page", () => {
    using far = bytesWith(64, 72);
    expect(far.bytes(60, 16)).toEqual([...far.content.slice(60, 64), ...far.none, ...far.content.slice(72, 76)]);
  });

  test("has the file's next bytes up to the end of the page, where it has not, and zeroes behind the file", () => {
    using far = bytesWith(64, 64);
    expect(far.bytes(60, 8)).toEqual([...far.content.slice(60, 68)]);
    expect(far.bytes(length - 4, 8)).toEqual([...far.content.slice(length - 4), 0, 0, 0, 0]);
    expect(far.bytes(4088, 8)).toEqual(far.none);
    expect(far.fault(4089)).toContain("reach beyond its segment");
    expect(far.fault(4096)).toContain("is in no segment of the file");
  });

  test("is cut off where the file has fewer pages", () => {
    using far = bytesWith(0x3000, 0x3000);
    expect(far.bytes(4088, 8)).toEqual(far.none);
    expect(far.fault(4092)).toContain(`reach beyond the end of the file (${length} bytes)`);
    expect(far.fault(0x3000 - 4)).toContain(`is beyond the end of the file (${length} bytes)`);
  });

  test("has room to the end of what the file fills", () => {
    using far = bytesWith(64, 64);
    expect([0, 64, 4095, 4096].map((from) => far.image.bytes.room(toVaddr(FAR + from)))).toEqual([4096, 4032, 1, 0]);
    const rest = (from: number, end: number) =>
      far.image.bytes.rest(toVaddr(FAR + from), "rest", toVaddr(end)).byteLength;
    expect(rest(0, Number.MAX_SAFE_INTEGER)).toBe(64);
    expect(rest(16, FAR + 40)).toBe(24);
    expect(rest(64, Number.MAX_SAFE_INTEGER)).toBe(4032);
  });
});
