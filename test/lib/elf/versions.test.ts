import { describe, expect, test } from "bun:test";
import { StringTable } from "../../../lib/elf/strings.ts";
import { readVerdefs, readVerneeds, Versym, verdefsSize } from "../../../lib/elf/versions.ts";
import { faultOf, half, text, viewOf, word } from "./bytes.ts";

const TABLE = viewOf(text(""), text("libx.so.1"), text("X_1"), text("X_2"));
const [LIBX, X_1, X_2] = [1, 11, 15];
const strings = new StringTable("libtest.so", TABLE.byteLength, (at, length) => new DataView(TABLE.buffer, at, length));

const verdef = (flags: number, index: number, aux: number, next: number) => [
  ...[half(1), half(flags), half(index), half(1), word(0), word(aux), word(next)],
];
const verdaux = (name: number) => [word(name), word(0)];
const verneed = (count: number, aux: number, next: number, file = LIBX) => [
  ...[half(1), half(count), word(file), word(aux), word(next)],
];
const vernaux = (flags: number, index: number, name: number, next: number) => [
  ...[word(0), half(flags), half(index), word(name), word(next)],
];

const verdefs = (count: number, ...bytes: number[][]) => readVerdefs("libtest.so", viewOf(...bytes), count, strings);
const verneeds = (count: number, ...bytes: number[][]) => readVerneeds("libtest.so", viewOf(...bytes), count, strings);

describe("readVerdefs()", () => {
  test("reads index, name and whether it is the file's own", () => {
    const bytes = [...verdef(1, 1, 20, 28), ...verdaux(LIBX), ...verdef(0, 2, 20, 0), ...verdaux(X_1)];
    expect(verdefs(2, ...bytes)).toEqual([
      { index: 1, name: "libx.so.1", isBase: true, isWeak: false },
      { index: 2, name: "X_1", isBase: false, isWeak: false },
    ]);
  });

  test("does not expect the names next to the definitions", () => {
    // as lld lays them out: all definitions first
    const bytes = [...verdef(0, 2, 40, 20), ...verdef(0, 3, 28, 0), ...verdaux(X_1), ...verdaux(X_2)];
    expect(verdefs(2, ...bytes).map(({ name }) => name)).toEqual(["X_1", "X_2"]);
  });

  test("takes the hidden bit off the index", () => {
    expect(verdefs(1, ...verdef(0, 0x8002, 20, 0), ...verdaux(X_1))).toEqual([
      { index: 2, name: "X_1", isBase: false, isWeak: false },
    ]);
  });

  test("stops at the end of the list, whatever DT_VERDEFNUM says, and at DT_VERDEFNUM, whatever the list says", () => {
    const bytes = [...verdef(0, 2, 20, 28), ...verdaux(X_1), ...verdef(0, 3, 20, 0), ...verdaux(X_2)];
    expect(verdefs(4_000_000_000, ...bytes)).toHaveLength(2);
    expect(verdefs(1, ...bytes)).toHaveLength(1);
    expect(verdefs(0, ...bytes)).toHaveLength(0);
  });

  test("throws for a list that leads out of its segment", () => {
    const fault = faultOf(() => verdefs(4_000_000_000, ...verdef(0, 2, 20, 28), ...verdaux(X_1)));
    expect(fault).toMatchObject({ path: "libtest.so", structure: "DT_VERDEF" });
    expect(fault.fault).toBe("record 2 of 4000000000 reaches beyond its segment");
    expect(faultOf(() => verdefs(2, ...verdef(0, 2, 20, 0xffffffff), ...verdaux(X_1))).structure).toBe("DT_VERDEF");
  });

  test("throws for a name that is outside, in the segment or in the strings", () => {
    expect(faultOf(() => verdefs(1, ...verdef(0, 2, 0xffffffff, 0))).structure).toBe("DT_VERDEF");
    expect(faultOf(() => verdefs(1, ...verdef(0, 2, 20, 0), ...verdaux(4000))).structure).toBe("string table");
  });

  test("throws for definitions that overlap", () => {
    const bytes = [...verdef(0, 2, 20, 1), ...verdaux(X_1), new Array<number>(100).fill(1)];
    expect(faultOf(() => verdefs(4_000_000_000, ...bytes)).fault).toBe("record 1 of 4000000000 overlaps the next one");
  });

  test("throws for every length that cuts the list off", () => {
    const bytes = [...verdef(1, 1, 20, 28), ...verdaux(LIBX), ...verdef(0, 2, 20, 0), ...verdaux(X_1)].flat();
    for (let length = 0; length < bytes.length; length++)
      expect(faultOf(() => verdefs(2, bytes.slice(0, length))).structure).toBe("DT_VERDEF");
  });
});

describe("verdefsSize()", () => {
  const size = (count: number, ...bytes: number[][]) => verdefsSize("libtest.so", viewOf(...bytes), count);

  test("reaches to the end of the last record, whichever that is", () => {
    const rest = new Array<number>(50).fill(0);
    expect(size(2, ...verdef(0, 2, 20, 28), ...verdaux(X_1), ...verdef(0, 3, 20, 0), ...verdaux(X_2), rest)).toBe(56);
    expect(size(2, ...verdef(0, 2, 48, 20), ...verdef(0, 3, 20, 0), ...verdaux(X_1), ...verdaux(X_2), rest)).toBe(56);
    expect(size(0, rest)).toBe(0);
  });

  test("counts a definition without a name", () => {
    expect(size(1, half(1), half(0), half(2), half(0), word(0), word(0), word(0))).toBe(20);
  });

  test("throws for records that lead out of the segment", () => {
    expect(faultOf(() => size(1, ...verdef(0, 2, 20, 0))).structure).toBe("DT_VERDEF");
    expect(faultOf(() => size(2, ...verdef(0, 2, 20, 28), ...verdaux(X_1))).structure).toBe("DT_VERDEF");
  });
});

describe("readVerneeds()", () => {
  const bytes = [
    ...[...verneed(2, 16, 48), ...vernaux(0, 5, X_1, 16), ...vernaux(2, 6, X_2, 0)],
    ...[...verneed(1, 16, 0), ...vernaux(0, 0x8007, X_1, 0)],
  ];

  test("reads file, name, index and weakness, of all files", () => {
    expect(verneeds(2, ...bytes)).toEqual([
      { file: "libx.so.1", index: 5, name: "X_1", nameOffset: X_1, isWeak: false },
      { file: "libx.so.1", index: 6, name: "X_2", nameOffset: X_2, isWeak: true },
      { file: "libx.so.1", index: 7, name: "X_1", nameOffset: X_1, isWeak: false }, // without the hidden bit
    ]);
  });

  test("stops at the end of the lists, whatever the counts say", () => {
    expect(verneeds(4_000_000_000, ...bytes)).toHaveLength(3);
    expect(verneeds(1, ...verneed(0xffff, 16, 0), ...vernaux(0, 5, X_1, 0))).toHaveLength(1);
    expect(verneeds(1, ...verneed(0, 16, 0), ...vernaux(0, 5, X_1, 0))).toHaveLength(0);
  });

  test("throws for every length that cuts a list off", () => {
    const flat = bytes.flat();
    for (let length = 0; length < flat.length; length++)
      expect(faultOf(() => verneeds(2, flat.slice(0, length)))).toMatchObject({ structure: "DT_VERNEED" });
  });

  test("throws for lists that overlap, and for names outside", () => {
    expect(faultOf(() => verneeds(2, ...verneed(1, 16, 8), ...vernaux(0, 5, X_1, 0))).fault).toContain("overlaps");
    expect(faultOf(() => verneeds(1, ...verneed(2, 16, 0), ...vernaux(0, 5, X_1, 2))).fault).toContain("overlaps");
    expect(faultOf(() => verneeds(1, ...verneed(1, 16, 0, 4000), ...vernaux(0, 5, X_1, 0))).structure).toBe(
      "string table",
    );
    expect(faultOf(() => verneeds(1, ...verneed(1, 16, 0), ...vernaux(0, 5, 4000, 0))).structure).toBe("string table");
  });

  test("throws where files share one long list, which would make billions of versions of a few kilobytes", () => {
    const FILES = 2000;
    const NAMES = 2000;
    const hostile = [
      ...Array.from({ length: FILES }, (_, i) => verneed(0xffff, (FILES - i) * 16, i + 1 < FILES ? 16 : 0)).flat(),
      ...Array.from({ length: NAMES }, (_, i) => vernaux(0, 5, X_1, i + 1 < NAMES ? 16 : 0)).flat(),
    ];
    const started = performance.now();
    expect(faultOf(() => verneeds(FILES, ...hostile)).fault).toContain("more versions");
    expect(performance.now() - started).toBeLessThan(2000);
  });
});

describe("Versym", () => {
  const versym = new Versym(viewOf(half(0), half(1), half(2), half(0x8003)));

  test("separates the index from the hidden bit", () => {
    expect([0, 1, 2, 3].map((symbol) => versym.at(symbol))).toEqual([0, 1, 2, 3]);
    expect([0, 1, 2, 3].map((symbol) => versym.isHidden(symbol))).toEqual([false, false, false, true]);
  });

  test("says global and not hidden where it does not reach", () => {
    expect(versym.at(4)).toBe(1);
    expect(versym.isHidden(4)).toBe(false);
  });
});
