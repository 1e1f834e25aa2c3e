// Where the program's pages are from, as /proc/self/maps tells.

import { describe, expect, test } from "bun:test";
import { expectLines } from "../support/expect.ts";
import { lines } from "../support/lines.ts";
import { HOST, type Pair, pair } from "../support/pair.ts";

/** Linked in different ways: each has other pages that differ from the file's, or are read-only. */
const layouts: { words: string; flags: string[]; constants?: string; relocated?: string }[] = [
  { words: "code and constants in segments of their own", flags: ["-Wl,-z,separate-code"] },
  { words: "code and constants in one segment", flags: ["-Wl,-z,noseparate-code"], constants: "r-xp" },
  { words: "lazy binding", flags: ["-Wl,-z,lazy"] },
  { words: "no RELRO", flags: ["-Wl,-z,norelro"], relocated: "rw-p" },
];

describe("a program is mapped from its own file, with", () => {
  for (const { words, flags, constants = "r--p", relocated = "r--p" } of layouts) {
    test(words, async () => {
      const program = await buildWith(flags);
      const expected = [
        "code, to a constructor: r-xp of its own file",
        `ELF header: ${constants} of its own file`,
        "code: r-xp of its own file",
        `constant: ${constants} of its own file`,
        `relocated constant: ${relocated} of its own file`,
        "data: rw-p of its own file",
        "values: text 3 3 7",
      ];
      expect(lines((await program.native()).stdout)).toEqual(expected);
      expectLines(await program.capsule(), expected);
    });
  }
});

function buildWith(flags: string[]): Promise<Pair> {
  const host = `${HOST}/libhost.so.1`;
  return pair("hosting/a-program-is-mapped-from-its-own-file", [
    { path: host, sources: ["host.c"] },
    {
      path: "program",
      sources: ["program.c"],
      needs: [host],
      // which capsule spells out, so that the string table moves
      runpath: "$ORIGIN/lib",
      flags: ['-DPROGRAM="{out}/program"', "-O1", ...flags],
    },
  ]);
}
