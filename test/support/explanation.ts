// Explanations made by hand, for whatever shows them: a small program as a tutorial would have it, and a large one.

import type {
  ExplainedFunction,
  ExplainedObject,
  ExplainedRelocation,
  Explanation,
} from "../../src/explain/explanation.ts";

const hex = (value: number): string => `0x${value.toString(16)}`;

/** An object of the usual segments, each of so many bytes. */
function object(index: number, name: string, bias: number, options: Partial<ExplainedObject>, page = 0x1000) {
  const at = (pages: number): string => hex(bias + pages * page);
  const segments = ["r--", "r-x", "r--", "rw-"].map((protection, number) => ({
    start: at(number),
    end: at(number + 1),
    protection,
    offset: hex(number * page),
  }));
  return {
    index,
    name,
    path: `/srv/example/${name}`,
    why: index === 0 ? undefined : "RUNPATH $ORIGIN",
    needs: [],
    loadBias: hex(bias),
    start: at(0),
    end: at(5),
    segments: [...segments, { start: at(4), end: at(5), protection: "rw-", offset: undefined }],
    relro: { start: at(3), end: at(4) },
    tls: undefined,
    relative: 3,
    ...options,
  } satisfies ExplainedObject;
}

const PROGRAM = 0x555555554000;
const LIBRARY = 0x7ffff7fb8000;

const functions = (...of: [number, string, string | undefined][]): ExplainedFunction[] =>
  of.map(([index, from, symbol], number) => ({
    object: index,
    from,
    address: hex((index === 0 ? PROGRAM : LIBRARY) + 0x1100 + number * 0x20),
    symbol,
  }));

const inObject = (index: number, type: string, vaddr: number, more: Partial<ExplainedRelocation>) =>
  ({
    object: index,
    table: type === "R_X86_64_JUMP_SLOT" ? "DT_JMPREL" : "DT_RELA",
    type,
    at: hex((index === 0 ? PROGRAM : LIBRARY + (index - 1) * 0x8000) + vaddr),
    vaddr: hex(vaddr),
    symbol: undefined,
    version: undefined,
    addend: "0x0",
    definer: undefined,
    value: undefined,
    copied: undefined,
    resolver: undefined,
    searched: [],
    ...more,
  }) satisfies ExplainedRelocation;

const NO = "does not have it";
const HAS = "has it";

/** Two libraries, ten relocations; of each kind one. */
export function smallExplanation(more: Partial<Explanation> = {}): Explanation {
  return {
    program: "/srv/example/main",
    context: {
      arguments: ["./main", "one", "two words"],
      environment: 23,
      auxiliary: [
        { name: "AT_PHDR", value: hex(PROGRAM + 0x40), meaning: "where the program headers are" },
        { name: "AT_PHNUM", value: "13", meaning: "how many program headers there are" },
        { name: "AT_PAGESZ", value: "4096", meaning: "bytes of a page" },
        { name: "AT_BASE", value: "0x7ffff7fc3000", meaning: "the linker's load bias" },
        { name: "AT_ENTRY", value: hex(PROGRAM + 0x1060), meaning: "the program's first instruction" },
        { name: "AT_RANDOM", value: undefined, meaning: "where 16 random bytes are" },
        { name: "AT_NULL", value: "0", meaning: undefined },
      ],
      loadBias: { headersAt: hex(PROGRAM + 0x40), vaddr: "0x40", bias: hex(PROGRAM) },
    },
    objects: [
      object(0, "main", PROGRAM, { needs: [1, 2] }),
      object(1, "libgreet.so", LIBRARY, { needs: [2] }),
      object(2, "libcount.so.1", LIBRARY + 0x8000, {
        tls: { module: 1, offset: 16, size: 12, image: { start: hex(LIBRARY + 0xbf00), end: hex(LIBRARY + 0xbf08) } },
      }),
    ],
    relocations: [
      inObject(1, "R_X86_64_GLOB_DAT", 0x3ff8, {
        symbol: "gCalled",
        definer: 0,
        value: hex(PROGRAM + 0x4028),
        searched: [{ object: 0, answer: HAS }],
      }),
      inObject(1, "R_X86_64_64", 0x3f00, {
        symbol: "greeting",
        addend: "0x8",
        definer: 1,
        value: hex(LIBRARY + 0x3400 + 8),
        searched: [
          { object: 0, answer: NO },
          { object: 1, answer: HAS },
        ],
      }),
      inObject(1, "R_X86_64_JUMP_SLOT", 0x3fd0, {
        symbol: "count",
        version: "COUNT_1.0",
        definer: 2,
        value: hex(LIBRARY + 0x8000 + 0x1040),
        searched: [
          { object: 0, answer: NO },
          { object: 1, answer: NO },
          { object: 2, answer: HAS },
        ],
      }),
      inObject(1, "R_X86_64_IRELATIVE", 0x3fd8, { addend: "0x1080", resolver: hex(LIBRARY + 0x1080) }),
      inObject(2, "R_X86_64_DTPMOD64", 0x3fc0, { symbol: "calls", definer: 2, value: "0x1" }),
      inObject(2, "R_X86_64_GLOB_DAT", 0x3fe8, {
        symbol: "gCalled",
        definer: 0,
        value: hex(PROGRAM + 0x4028),
        searched: [{ object: 0, answer: HAS }],
      }),
      inObject(2, "R_X86_64_GLOB_DAT", 0x3ff0, {
        symbol: "__gmon_start__",
        value: "0x0",
        searched: [0, 1, 2].map((asked) => ({ object: asked, answer: NO })),
      }),
      inObject(0, "R_X86_64_JUMP_SLOT", 0x4018, {
        symbol: "get_greet",
        definer: 1,
        value: hex(LIBRARY + 0x1020),
        searched: [
          { object: 0, answer: NO },
          { object: 1, answer: HAS },
        ],
      }),
      inObject(0, "R_X86_64_JUMP_SLOT", 0x4020, {
        symbol: "get_greet2",
        definer: 1,
        value: hex(LIBRARY + 0x1050),
        searched: [
          { object: 0, answer: NO },
          { object: 1, answer: HAS },
        ],
      }),
      inObject(0, "R_X86_64_COPY", 0x4028, {
        symbol: "gCalled",
        definer: 1,
        copied: { from: hex(LIBRARY + 0x4020), length: 4 },
        searched: [{ object: 1, answer: HAS }],
      }),
    ],
    warnings: [],
    initializers: functions(
      [2, "DT_INIT_ARRAY[0]", undefined],
      [1, "DT_INIT_ARRAY[0]", "libinit"],
      [0, "DT_INIT", "_init"],
    ),
    initializerCount: 3,
    entry: { object: 0, from: "e_entry", address: hex(PROGRAM + 0x1060), symbol: "_start" },
    finalizers: functions([0, "DT_FINI_ARRAY[0]", undefined], [1, "DT_FINI_ARRAY[0]", "libfini"]),
    finalizerCount: 2,
    isOnlyShown: undefined,
    ...more,
  };
}

/** Sixty libraries, one of them 1000 times as large as the others, that search for long. */
export function largeExplanation(relocations: number): Explanation {
  const count = 60;
  const biases: number[] = [];
  const objects = Array.from({ length: count }, (_, index) => {
    const bias = index === 0 ? PROGRAM : (biases.at(-1) ?? 0) + (index === 8 ? 140_000_000 : 0x200000);
    biases.push(index === 0 ? 0x7ffff0000000 : bias);
    const page = index === 7 ? 0x1900000 : 0x1000 * (1 + ((index * 7) % 40));
    const needs = index === 0 ? [1, 2, 3, 59] : [2 * index, 2 * index + 1].filter((other) => other < count);
    return object(
      index,
      index === 0 ? "large" : `libnumber-${index}.so.${index % 7}`,
      bias,
      { needs, relative: index * 211 },
      page,
    );
  });
  const starts = objects.map(({ start }) => Number(start));
  const types = ["R_X86_64_JUMP_SLOT", "R_X86_64_GLOB_DAT", "R_X86_64_64"];
  const rows = Array.from({ length: relocations }, (_, number): ExplainedRelocation => {
    const of = (number * 13) % count;
    const definer = (number * 17) % count;
    const slot = 0x3000 + (number % 500) * 8;
    return inObject(of, types[number % 3] ?? "", slot, {
      at: hex((starts[of] ?? 0) + slot),
      symbol: `_ZN8settings${number % 6000}_valueEPKcRKSt6vectorIiSaIiEE`,
      version: number % 4 === 0 ? "GLIBC_2.2.5" : undefined,
      definer,
      value: hex((starts[definer] ?? 0) + 0x1000 + (number % 4000)),
      searched: Array.from({ length: definer + 1 }, (_, asked) => ({
        object: asked,
        answer: asked === definer ? HAS : NO,
      })),
    });
  });
  return {
    ...smallExplanation(),
    program: "/usr/bin/large",
    objects,
    relocations: rows,
    initializers: Array.from({ length: 150 }, (_, number) => ({
      object: number % count,
      from: `DT_INIT_ARRAY[${number}]`,
      address: hex((starts[number % count] ?? 0) + 0x1000 + number * 16),
      symbol: number % 2 === 0 ? undefined : `start_${number}`,
    })),
    initializerCount: 2000,
    isOnlyShown: "it needs libc.so.6",
  };
}
