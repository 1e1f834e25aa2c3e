// Everything that a program and a host library may do with dlopen and its family, they may do in a capsule.

import { describe, setDefaultTimeout, test } from "bun:test";
import { expectOfSide, SIDES, type SideLibrary, sides } from "../support/sides.ts";

setDefaultTimeout(60_000);

/** What both sides do alike, and print. */
interface Alike {
  words: string;
  folder: string;
  libraries: SideLibrary[];
  expected: string[];
}

const alike: Alike[] = [
  {
    words: "RTLD_NOLOAD tells what is open",
    folder: "noload-tells-what-is-open",
    libraries: [{ name: "plugin" }],
    expected: [
      "before: not open",
      "dlerror: nothing",
      "while: open",
      "the same handle: yes",
      "held by what RTLD_NOLOAD gave: open",
      "after: not open",
      "dlerror: nothing",
    ],
  },
  {
    words: "RTLD_NODELETE keeps a library",
    folder: "nodelete-keeps-a-library",
    libraries: [{ name: "plugin" }],
    expected: [
      ...["constructor", "count: 1", "destructor"],
      ...["constructor", "count: 1", "destructor"],
      ...["constructor", "count: 1"],
      ...["count: 2"],
      ...["end", "destructor"],
    ],
  },
  {
    words: "RTLD_GLOBAL lends symbols to what is opened later, and RTLD_LOCAL does not",
    folder: "global-lends-its-symbols-and-local-does-not",
    libraries: [{ name: "lender" }, { name: "borrower" }],
    expected: [
      ...["local, by RTLD_DEFAULT: not found", "local, by name: not found", "one handle: yes"],
      ...["made global, by RTLD_DEFAULT: found", "made global, by name: lent"],
    ],
  },
  {
    words: "RTLD_DEEPBIND prefers a library's own symbols",
    folder: "deepbind-prefers-its-own-symbols",
    libraries: [
      { name: "common", source: "colour.c", flags: ['-DCOLOUR="common"'] },
      { name: "own", source: "colour.c", flags: ['-DCOLOUR="its own"'] },
      { name: "plugin", needs: ["own"] },
    ],
    expected: [
      "as usual: called common, pointed to common",
      "RTLD_DEEPBIND: called its own, pointed to its own",
      "RTLD_DEEPBIND, lazily: called its own, pointed to its own",
    ],
  },
  {
    words: "RTLD_NOW misses a function at once, and RTLD_LAZY does not",
    folder: "now-misses-a-function-at-once-and-lazy-does-not",
    libraries: [{ name: "plugin" }, { name: "user", needs: ["plugin"] }],
    expected: [
      "plug-in, now: undefined symbol",
      "plug-in, lazily: 42",
      "what it needs, now: undefined symbol",
      "what it needs, lazily: 42",
    ],
  },
];

for (const { words, folder, libraries, expected } of alike)
  describe(words, () => {
    for (const side of SIDES)
      test(`for the ${side}'s side`, async () => {
        await expectOfSide(await sides(`loading/${folder}`, libraries), side, expected);
      });
  });
