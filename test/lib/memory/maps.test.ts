import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { addressOf } from "../../../lib/memory/live.ts";
import { findMapping, parseMaps, readMaps } from "../../../lib/memory/maps.ts";
import { toAddress, toOffset } from "../../../lib/memory/numbers.ts";

const TEXT = `\
00200000-01a39000 r--p 00000000 fe:00 1515610                            /usr/bin/game
01a40000-0684a000 r-xp 01838000 fe:00 1515610                            /usr/bin/game
7f3b4c407000-7f3b4c408000 ---p 00000000 00:00 0 
7f3b8c673000-7f3b8c6e7000 rw-s 00010000 fe:00 339704                     /tmp/a name with  spaces (deleted)
7ffd95979000-7ffd9599a000 rw-p 00000000 00:00 0                          [stack]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`;

describe("parseMaps()", () => {
  test("reads every line", () => {
    const mappings = parseMaps(TEXT);
    expect(mappings).toHaveLength(6);
    expect(mappings[1]).toEqual({
      start: toAddress(0x01a40000),
      end: toAddress(0x0684a000),
      readable: true,
      writable: false,
      executable: true,
      shared: false,
      offset: toOffset(0x01838000),
      inode: 1515610,
      path: "/usr/bin/game",
    });
  });

  test("keeps the spaces of a path", () => {
    expect(parseMaps(TEXT)[3]).toMatchObject({ shared: true, path: "/tmp/a name with  spaces (deleted)" });
  });

  test("gives anonymous memory an empty path", () => {
    expect(parseMaps(TEXT)[2]).toMatchObject({ path: "", readable: false, writable: false, executable: false });
  });

  test("does not lose a path that holds a carriage return or another line terminator", () => {
    const line = (path: string) => `1000-2000 r--p 00000000 fe:00 7                          ${path}\n`;
    const paths = ["/tmp/carriage\rreturn", "/tmp/line\u2028separator", "/tmp/escaped\\012newline"];
    expect(parseMaps(paths.map(line).join("")).map(({ path }) => path)).toEqual(paths);
  });

  test("understands every line that the kernel has for us", () => {
    const text = readFileSync("/proc/self/maps", "utf8");
    expect(parseMaps(text)).toHaveLength(text.trimEnd().split("\n").length);
  });

  test("is empty for a process without memory", () => {
    expect(parseMaps("")).toEqual([]);
  });
});

describe("readMaps()", () => {
  test("is in ascending order, without overlaps", () => {
    const mappings = readMaps();
    expect(mappings.length).toBeGreaterThan(5);
    for (const [i, { start, end }] of mappings.entries()) {
      expect(start).toBeLessThan(end);
      expect(start).toBeGreaterThanOrEqual(mappings[i - 1]?.end ?? 0);
    }
  });

  test("finds the memory of a buffer, readable and writable", () => {
    const buffer = new Uint8Array(1 << 16);
    expect(findMapping(readMaps(), addressOf(buffer))).toMatchObject({ readable: true, writable: true });
  });

  test("throws for a process that is not there", () => {
    expect(() => readMaps(2 ** 30)).toThrow("ENOENT");
  });
});

describe("findMapping()", () => {
  const mappings = parseMaps(TEXT);
  const find = (address: number) => {
    const mapping = findMapping(mappings, toAddress(address));
    return mapping ? mappings.indexOf(mapping) : -1;
  };

  test("includes the start, not the end", () => {
    expect(find(0x00200000)).toBe(0);
    expect(find(0x01a38fff)).toBe(0);
    expect(find(0x01a39000)).toBe(-1);
    expect(find(0x01a40000)).toBe(1);
    expect(find(0x7ffd95979000)).toBe(4);
  });

  test("finds nothing before, between and behind the mappings", () => {
    expect(find(0)).toBe(-1);
    expect(find(0x7f0000000000)).toBe(-1);
    expect(find(0x7fffffffffff)).toBe(-1);
    expect(findMapping([], toAddress(0))).toBeUndefined();
  });
});
