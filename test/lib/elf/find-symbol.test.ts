// Which symbols of the right name count, and why the others do not.

import { describe, expect, test } from "bun:test";
import * as elf from "../../../lib/elf/constants.ts";
import { findSymbol, type Purpose, wantedSymbol } from "../../../lib/elf/find-symbol.ts";
import { GnuHash, gnuHash } from "../../../lib/elf/gnu-hash.ts";
import { StringTable } from "../../../lib/elf/strings.ts";
import { SymbolTable } from "../../../lib/elf/sym.ts";
import { Versym } from "../../../lib/elf/versions.ts";
import { half, text, viewOf, word, xword } from "./bytes.ts";

interface Given {
  readonly type?: number;
  readonly binding?: number;
  readonly visibility?: number;
  readonly section?: number;
  readonly value?: number;
  /** Its entry of the version table: 2 is V2 and so on. */
  readonly version?: number;
}

const STRINGS = viewOf(text("tone"));
const strings = new StringTable("libtone.so", 5, (at, length) => new DataView(STRINGS.buffer, at, length));
const HASH = gnuHash(new TextEncoder().encode("tone"));

/** An image whose symbols, from 1, are all called "tone". */
function imageWith(...symbols: Given[]) {
  const { STT_FUNC, STB_GLOBAL } = elf;
  const records = [{}, ...symbols].map((given: Given) => {
    const { type = STT_FUNC, binding = STB_GLOBAL, visibility = 0, section = 1, value = 0x1000 } = given;
    return [...word(0), (binding << 4) | type, visibility, ...half(section), ...xword(value), ...xword(0)];
  });
  const chain = symbols.map((_, i) => word((HASH & ~1) | (i === symbols.length - 1 ? 1 : 0)));
  const isVersioned = symbols.some(({ version }) => version !== undefined);
  return {
    gnuHash: new GnuHash("libtone.so", viewOf(...[1, 1, 1, 6].map(word), xword(-1), word(1), ...chain)),
    sysvHash: undefined,
    symbols: new SymbolTable(viewOf(...records), strings),
    versym: isVersioned
      ? new Versym(viewOf(...[{}, ...symbols].map(({ version = 1 }: Given) => half(version))))
      : undefined,
    versionOf: (symbol: number) => {
      const index = (symbols[symbol - 1]?.version ?? 1) & 0x7fff;
      return index > 1 ? `V${index}` : undefined;
    },
  };
}

const found = (purpose: Purpose | "dlsym", version: string | undefined, ...symbols: Given[]) =>
  findSymbol(imageWith(...symbols), wantedSymbol("tone", version), purpose);

test("a table that has no symbol of the name says so", () => {
  expect(findSymbol(imageWith({}), wantedSymbol("other"), "data")).toBe("no such name");
});

describe("findSymbol()", () => {
  const KINDS = [elf.STT_NOTYPE, elf.STT_OBJECT, elf.STT_FUNC, elf.STT_COMMON, elf.STT_TLS, elf.STT_GNU_IFUNC];
  test.each(Array.from({ length: 16 }, (_, type) => type))("takes code and data only: type %d", (type) => {
    expect(found("data", undefined, { type })).toBe(KINDS.includes(type) ? 1 : "no code or data");
  });

  test.each(Array.from({ length: 16 }, (_, binding) => binding))(
    "takes only what others may bind to: %d",
    (binding) => {
      const isExported = [elf.STB_GLOBAL, elf.STB_WEAK, elf.STB_GNU_UNIQUE].includes(binding);
      expect(found("data", undefined, { binding })).toBe(isExported ? 1 : "local");
    },
  );

  test.each([
    ["default", 0, 1],
    ["protected", elf.STV_PROTECTED, 1],
    ["hidden", elf.STV_HIDDEN, "hidden"],
    ["internal", elf.STV_INTERNAL, "hidden"],
  ] as const)("takes what is visible: %s", (_, visibility, expected) => {
    expect(found("data", undefined, { visibility })).toBe(expected);
  });

  // A PLT entry of the program's own is undefined, with a value.
  test.each<[string, Given, data: number | string, call: number | string]>([
    ["a function", {}, 1, 1],
    ["without a value", { value: 0 }, "undefined", "undefined"],
    ["absolute, of value 0", { value: 0, section: elf.SHN_ABS }, 1, 1],
    ["thread-local, of offset 0", { value: 0, type: elf.STT_TLS }, 1, 1],
    ["a program's PLT entry", { section: elf.SHN_UNDEF }, 1, "undefined"],
  ])("takes what is defined, for the purpose: %s", (_, symbol, data, call) => {
    const answers = (["data", "copy", "call", "dlsym"] as const).map((purpose) => found(purpose, undefined, symbol));
    expect<unknown>(answers).toEqual([data, data, call, call]);
  });

  const HIDDEN = 0x8000;
  test.each<[string, versions: number[], reference: number | string, dlsym: number | string]>([
    ["none", [1], 1, 1],
    ["none, and hidden", [HIDDEN + 1], 1, 1],
    ["the library's first", [2], 1, 1],
    ["the first, hidden", [HIDDEN + 2], 1, "another version"],
    ["a later one", [3], 1, 1],
    ["a later one, hidden", [HIDDEN + 3], "another version", "another version"],
    ["a hidden one before the default", [HIDDEN + 3, 4], 2, 2],
    ["the first before the default", [HIDDEN + 2, 3], 1, 2],
    ["two defaults", [3, 4], "another version", "another version"],
  ])("without a version takes one that it may: %s", (_, versions, reference, dlsym) => {
    const symbols = versions.map((version) => ({ version }));
    expect<unknown>([found("call", undefined, ...symbols), found("dlsym", undefined, ...symbols)]).toEqual([
      reference,
      dlsym,
    ]);
  });

  test.each<[string, versions: number[], answer: number | string]>([
    ["it", [HIDDEN + 2, HIDDEN + 3], 2],
    ["another", [2], "another version"],
    ["none", [1], 1],
    ["none, and hidden", [HIDDEN + 1], "another version"],
  ])("with a version takes that one, or a symbol without any: %s", (_, versions, answer) => {
    expect<unknown>(found("call", "V3", ...versions.map((version) => ({ version })))).toBe(answer);
  });

  test("goes on behind symbols that do not count, and tells of the last why", () => {
    expect(found("data", undefined, { type: elf.STT_SECTION }, {})).toBe(2);
    expect(found("data", undefined, { value: 0 }, { type: elf.STT_SECTION })).toBe("no code or data");
  });
});
