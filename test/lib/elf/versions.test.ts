import { describe, expect, test } from "bun:test";
import { StringTable } from "../../../lib/elf/strings.ts";
import { readVerdefs, readVerneeds, readVersionParents, Versym, verdefsSize } from "../../../lib/elf/versions.ts";
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

const verdefs = (...bytes: number[][]) => readVerdefs("libtest.so", viewOf(...bytes), strings);
const verneeds = (...bytes: number[][]) => readVerneeds("libtest.so", viewOf(...bytes), strings);

describe("readVerdefs()", () => {
  test("reads index, name and whether it is the file's own", () => {
    const bytes = [...verdef(1, 1, 20, 28), ...verdaux(LIBX), ...verdef(0, 2, 20, 0), ...verdaux(X_1)];
    expect(verdefs(...bytes)).toEqual([
      { index: 1, name: "libx.so.1", isBase: true, isWeak: false },
      { index: 2, name: "X_1", isBase: false, isWeak: false },
    ]);
  });

  test("does not expect the names next to the definitions", () => {
    // as lld lays them out: all definitions first
    const bytes = [...verdef(0, 2, 40, 20), ...verdef(0, 3, 28, 0), ...verdaux(X_1), ...verdaux(X_2)];
    expect(verdefs(...bytes).map(({ name }) => name)).toEqual(["X_1", "X_2"]);
  });

  test("takes the hidden bit off the index", () => {
    expect(verdefs(...verdef(0, 0x8002, 20, 0), ...verdaux(X_1))).toEqual([
      { index: 2, name: "X_1", isBase: false, isWeak: false },
    ]);
  });

  test("stops at the end of the list, and of each definition takes the first name, whatever vd_cnt says", () => {
    const bytes = [...verdef(0, 2, 20, 28), ...verdaux(X_1), ...verdef(0, 3, 20, 0), ...verdaux(X_2)];
    expect(verdefs(...bytes)).toHaveLength(2);
    const counted = (count: number) => bytes.map((field, i) => (i === 3 ? half(count) : field));
    for (const count of [0, 0xffff]) expect(verdefs(...counted(count)).map(({ name }) => name)).toEqual(["X_1", "X_2"]);
  });

  test("throws for a list that leads out of its segment", () => {
    const fault = faultOf(() => verdefs(...verdef(0, 2, 20, 28), ...verdaux(X_1)));
    expect(fault).toMatchObject({ path: "libtest.so", structure: "DT_VERDEF" });
    expect(fault.fault).toBe("record 2 reaches beyond its segment");
    expect(faultOf(() => verdefs(...verdef(0, 2, 20, 0xffffffff), ...verdaux(X_1))).structure).toBe("DT_VERDEF");
  });

  test("throws for a name that is outside, in the segment or in the strings", () => {
    expect(faultOf(() => verdefs(...verdef(0, 2, 0xffffffff, 0))).structure).toBe("DT_VERDEF");
    expect(faultOf(() => verdefs(...verdef(0, 2, 20, 0), ...verdaux(4000))).structure).toBe("string table");
  });

  test("throws for definitions that overlap", () => {
    const bytes = [...verdef(0, 2, 20, 1), ...verdaux(X_1), new Array<number>(100).fill(1)];
    expect(faultOf(() => verdefs(...bytes)).fault).toBe("record 1 overlaps the next one");
  });

  test("throws for every length that cuts the list off", () => {
    const bytes = [...verdef(1, 1, 20, 28), ...verdaux(LIBX), ...verdef(0, 2, 20, 0), ...verdaux(X_1)].flat();
    for (let length = 0; length < bytes.length; length++)
      expect(faultOf(() => verdefs(bytes.slice(0, length))).structure).toBe("DT_VERDEF");
  });
});

describe("verdefsSize()", () => {
  const size = (...bytes: number[][]) => verdefsSize("libtest.so", viewOf(...bytes));

  test("reaches to the end of the last record, whichever that is", () => {
    const rest = new Array<number>(50).fill(0);
    expect(size(...verdef(0, 2, 20, 28), ...verdaux(X_1), ...verdef(0, 3, 20, 0), ...verdaux(X_2), rest)).toBe(56);
    expect(size(...verdef(0, 2, 48, 20), ...verdef(0, 3, 20, 0), ...verdaux(X_1), ...verdaux(X_2), rest)).toBe(56);
  });

  const counted = (count: number, aux = 20) => [half(1), half(0), half(2), half(count), word(0), word(aux), word(0)];
  const name = (next: number) => [word(X_1), word(next)];

  test.each([
    ["as many names as it counts", 1, [name(8), name(0)], 28],
    ["at least one name", 0, [name(8), name(0)], 28],
    ["the names that are linked", 2, [name(16), name(0), name(0)], 44],
    ["no name behind the last of the list", 3, [name(8), name(0), name(0)], 36],
    ["no name that is cut off", 2, [name(8), [word(X_1)]], 28],
  ] as const)("counts %s", (_, count, names, expected) => {
    expect(size(...counted(count), ...names.map((fields) => [...fields].flat()))).toBe(expected);
  });

  test("has a definition whole, even where its name lies within it", () => {
    expect(size(...counted(1, 4))).toBe(20);
  });

  test("is not long in coming where definitions share one long list of names", () => {
    const [COUNT, NAMES] = [2000, 2000];
    const hostile = [
      ...Array.from({ length: COUNT }, (_, i) => [
        ...[half(1), half(0), half(2), half(0xffff), word(0), word((COUNT - i) * 20), word(i + 1 < COUNT ? 20 : 0)],
      ]).flat(),
      ...Array.from({ length: NAMES }, (_, i) => [word(X_1), word(i + 1 < NAMES ? 8 : 0)]).flat(),
    ];
    expect(faultOf(() => size(...hostile)).fault).toContain("too many names");
  });

  test("throws for records that lead out of the segment", () => {
    expect(faultOf(() => size(...verdef(0, 2, 20, 0))).structure).toBe("DT_VERDEF");
    expect(faultOf(() => size(...verdef(0, 2, 20, 28), ...verdaux(X_1))).structure).toBe("DT_VERDEF");
  });
});

test("readVersionParents() has for each version those behind its own name", () => {
  const parents = (...bytes: number[][]) => readVersionParents("libtest.so", viewOf(...bytes), strings);
  const names = [word(X_2), word(8), word(X_1), word(8), word(LIBX), word(0)];
  expect(parents(...verdef(0, 2, 20, 28), ...verdaux(X_1), ...verdef(0, 3, 20, 0), ...names)).toEqual([
    [],
    ["X_1", "libx.so.1"],
  ]);
});

describe("readVerneeds()", () => {
  const bytes = [
    ...[...verneed(2, 16, 48), ...vernaux(0, 5, X_1, 16), ...vernaux(2, 6, X_2, 0)],
    ...[...verneed(1, 16, 0), ...vernaux(0, 0x8007, X_1, 0)],
  ];

  test("reads file, name, index and weakness, of all files", () => {
    expect(verneeds(...bytes)).toEqual([
      { file: "libx.so.1", index: 5, name: "X_1", nameOffset: X_1, isWeak: false },
      { file: "libx.so.1", index: 6, name: "X_2", nameOffset: X_2, isWeak: true },
      { file: "libx.so.1", index: 7, name: "X_1", nameOffset: X_1, isWeak: false }, // without the hidden bit
    ]);
  });

  test("stops at the end of the lists, whatever the counts say", () => {
    expect(verneeds(...bytes)).toHaveLength(3);
    expect(verneeds(...verneed(0xffff, 16, 0), ...vernaux(0, 5, X_1, 0))).toHaveLength(1);
    expect(verneeds(...verneed(0, 16, 0), ...vernaux(0, 5, X_1, 0))).toHaveLength(1);
  });

  test("throws for every length that cuts a list off", () => {
    const flat = bytes.flat();
    for (let length = 0; length < flat.length; length++)
      expect(faultOf(() => verneeds(flat.slice(0, length)))).toMatchObject({ structure: "DT_VERNEED" });
  });

  test("throws for lists that overlap, and for names outside", () => {
    expect(faultOf(() => verneeds(...verneed(1, 16, 8), ...vernaux(0, 5, X_1, 0))).fault).toContain("overlaps");
    expect(faultOf(() => verneeds(...verneed(2, 16, 0), ...vernaux(0, 5, X_1, 2))).fault).toContain("overlaps");
    expect(faultOf(() => verneeds(...verneed(1, 16, 0, 4000), ...vernaux(0, 5, X_1, 0))).structure).toBe(
      "string table",
    );
    expect(faultOf(() => verneeds(...verneed(1, 16, 0), ...vernaux(0, 5, 4000, 0))).structure).toBe("string table");
  });

  test("throws where files share one long list, which would make billions of versions of a few kilobytes", () => {
    const FILES = 2000;
    const NAMES = 2000;
    const hostile = [
      ...Array.from({ length: FILES }, (_, i) => verneed(0xffff, (FILES - i) * 16, i + 1 < FILES ? 16 : 0)).flat(),
      ...Array.from({ length: NAMES }, (_, i) => vernaux(0, 5, X_1, i + 1 < NAMES ? 16 : 0)).flat(),
    ];
    const started = performance.now();
    expect(faultOf(() => verneeds(...hostile)).fault).toContain("more versions");
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

  test("asks elsewhere for the entries that it does not reach", () => {
    const longer = new Versym(viewOf(half(0)), (symbol) => viewOf(half(0x8000 + symbol)));
    expect([longer.at(0), longer.at(4), longer.isHidden(4)]).toEqual([0, 4, true]);
  });
});
