// Host libraries come as somebody else's distribution has built them.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { expectLines } from "../support/expect.ts";
import { type HostVariant, helper, LIBRARIES, notgl, shown, shownByHandle } from "../support/notgl.ts";
import { HOST, pair, RUNTIME } from "../support/pair.ts";
import { capsule, native } from "../support/run.ts";

interface Variant extends HostVariant {
  words: string;
  /** What readelf shows of such a library, and what it does not. */
  has?: RegExp;
  lacks?: RegExp;
  /** Why it cannot be tested here. */
  skipped?: string | undefined;
}

/** binutils ≥ 2.38; an older one ignores the option. glibc before 2.36 would not load the library, either. */
const canPack = Bun.spawnSync(["ld", "--help"]).stdout.includes("pack-relative-relocs");

const variants: Variant[] = [
  { words: "stripped", isStripped: true, lacks: /\.symtab/ },
  { words: "bound at start", flags: ["-Wl,-z,now"], has: /\(FLAGS\) +BIND_NOW/ },
  { words: "bound lazily", flags: ["-Wl,-z,lazy"], lacks: /BIND_NOW/ },
  { words: "without relocations of a PLT", flags: ["-fno-plt"], lacks: /\(JMPREL\)/ },
  { words: "with a SysV hash table only", flags: ["-Wl,--hash-style=sysv"], has: /\(HASH\)/, lacks: /\(GNU_HASH\)/ },
  { words: "with a GNU hash table only", flags: ["-Wl,--hash-style=gnu"], has: /\(GNU_HASH\)/, lacks: /\(HASH\)/ },
  {
    words: "with packed relative relocations",
    flags: ["-Wl,-z,pack-relative-relocs"],
    has: /\(RELR\)/,
    skipped: canPack ? undefined : "this linker makes none",
  },
  { words: "bound to their own symbols", flags: ["-Wl,-Bsymbolic"], has: /SYMBOLIC/ },
  { words: "without RELRO", flags: ["-Wl,-z,norelro"], lacks: /GNU_RELRO/ },
];

describe("an isolated library and its helper come from the host tree when its libraries are", () => {
  for (const { words, has, lacks, skipped, ...variant } of variants) {
    test.skipIf(skipped !== undefined)(skipped === undefined ? words : `${words} (${skipped})`, async () => {
      const family = await notgl(variant);
      const { stdout: dump } = await native("readelf", ["-ldSW", join(family.red, LIBRARIES, "libnotgl.so.0")]);
      if (has !== undefined) expect(dump).toMatch(has);
      if (lacks !== undefined) expect(dump).not.toMatch(lacks);

      const env = { LD_LIBRARY_PATH: family.reference };
      const flags = ["--host", family.red, "--isolate", "libnotgl.so.0,libnotgles.so.1"];
      expectLines(await capsule(flags, family.programs.linkedToBoth, [], { env }), [
        ...shown("notgl", "red"),
        ...shown("notgles", "red"),
        `the program's own helper: ${helper("reference")}`,
      ]);
      expectLines(await capsule(flags, family.programs.linkedToNone, [], { env }), [
        ...shownByHandle("notgl", "red"),
        ...shownByHandle("notgles", "red"),
        "closed and opened 9 times",
      ]);
    });
  }
});

test("each caller gets its own version", async () => {
  const folder = "notgl/each-caller-gets-its-own-version";
  const runtime = `${RUNTIME}/libversioned.so.1`;
  const before = "before/libversioned.so.1";
  const callers = ["old", "current", "unversioned"].map((name) => `${RUNTIME}/lib${name}.so.1`);
  const [old = "", current = "", unversioned = ""] = callers;
  const versions = await pair(
    folder,
    [
      { path: runtime, sources: ["versioned.c"], flags: ["-DCOLOUR=reference", "-Wl,--version-script=older.map"] },
      {
        path: `${HOST}/libversioned.so.1`,
        sources: ["versioned.c"],
        flags: ["-DCOLOUR=red", "-DNEWER", "-Wl,--version-script=newer.map"],
      },
      { path: before, sources: ["unversioned.c"] },
      { path: old, sources: ["caller.c"], needs: [runtime], flags: ["-DCALLER=old", "-DVERSION=V1"] },
      { path: current, sources: ["caller.c"], needs: [runtime], flags: ["-DCALLER=current"] },
      { path: unversioned, sources: ["caller.c"], needs: [before], flags: ["-DCALLER=unversioned"] },
      { path: "program", sources: ["program.c"], needs: [...callers, runtime] },
    ],
    ["libversioned.so.1"],
  );
  const shownBy = (colour: string, newest: number) => [
    `linked to V1: ${colour}, version 1`,
    `linked to V2: ${colour}, version 2`,
    `linked before there were versions: ${colour}, version 1`,
    `the program: ${colour}, version 2`,
    `in all: ${colour}`,
    `dlsym: ${colour}, version ${newest}`,
    `dlvsym V1: ${colour}, version 1`,
    `dlvsym V2: ${colour}, version 2`,
    `dlvsym V3: ${newest === 3 ? `${colour}, version 3` : "not found"}`,
  ];
  expectLines(
    await native(versions.program(), [], { env: { LD_LIBRARY_PATH: versions.runtime } }),
    shownBy("reference", 2),
  );
  expectLines(await versions.native(), shownBy("red", 3));
  expectLines(await versions.capsule(), shownBy("red", 3));
});
