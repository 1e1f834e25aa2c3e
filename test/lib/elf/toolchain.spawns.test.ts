// Libraries as the linkers of this machine write them, with options that change how a file
// is laid out, and as editors of ELF files leave them: what its ld.so opens, we accept.

import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync } from "node:fs";
import { specimen } from "./liar.ts";
import { expectReadable, openedByLdSo } from "./opener.ts";
import { run, Scratch } from "./scratch.ts";

setDefaultTimeout(120_000);

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

/** By what cc has to be told (-fuse-ld), and the command. */
const LINKERS = { bfd: "ld.bfd", gold: "ld.gold", lld: "ld.lld", mold: "mold" };

/** Most are known to some linkers only, and to some only since a version. */
const OPTIONS = [
  ...["--hash-style=sysv", "--hash-style=gnu", "--hash-style=none", "-Bsymbolic", "-z,now", "-z,norelro"],
  ...["-z,separate-code", "-z,noseparate-code", "-z,separate-loadable-segments", "--no-rosegment", "-z,rodynamic"],
  ...["-z,pack-relative-relocs", "--pack-dyn-relocs=relr", "--pack-dyn-relocs=android", "-z,max-page-size=0x200000"],
  ...["-Ttext-segment=0x10000000", "-Ttext-segment=0x7f0000000000", "--image-base=0x10000000", "-Tdata=0x900000"],
  ...["-n", "-N", "-z,nosectionheader", "-z,nocombreloc", "-z,interpose", "--spare-dynamic-tags=30", "--strip-all"],
  ...["--defsym=far=blue+0x1000000", "--defsym=below=blue-0x1000000", "--section-start=.text=0x200000"],
];

/** Of data that is all zeroes, thread-local and other (mold 1.10 has RELRO begin before its segment then). */
const ZEROES = `
static __thread int red[20];
int one = 1, *two = &one;
int blue(void) { red[1] = 1; return red[1] * *two; }
`;
const SILENT = "static int x;";

const nameOf = (text: string): string => text.replace(/[^\w.-]+/g, "_");

/** What `make` makes; undefined where the tool does not know how. */
function attempt(make: () => string): string | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}

/** Each that ld.so opens, we accept; returns how many those are. */
function expectAccepted(files: readonly string[]): number {
  const native = openedByLdSo(scratch, files);
  expect(native).toHaveLength(files.length);
  const opened = files.filter((_, i) => native[i] === "1" || native[i] === "opened");
  for (const file of opened) {
    const faults: unknown[] = [];
    try {
      expectReadable(scratch, file);
    } catch (error) {
      faults.push((error as Error).message);
    }
    expect([file, ...faults]).toEqual([file]);
  }
  return opened.length;
}

describe("what a linker writes:", () => {
  for (const [linker, command] of Object.entries(LINKERS)) {
    const isThere = Bun.which(command) !== null;
    test.skipIf(!isThere)(`${linker}${isThere ? "" : " (not installed)"}`, () => {
      const use = `-fuse-ld=${linker}`;
      const shared = ["-shared", "-fPIC", "-nostdlib", use];
      const made = OPTIONS.map((option) =>
        attempt(() => specimen(scratch, `${linker}${nameOf(option)}.so`, use, `-Wl,${option}`)),
      );
      made.push(
        specimen(scratch, `${linker}.so`, use),
        scratch.compile(`${linker}-zeroes.so`, ZEROES, ...shared),
        ...["sysv", "gnu"].map((style) =>
          scratch.compile(`${linker}-silent-${style}.so`, SILENT, ...shared, `-Wl,--hash-style=${style}`),
        ),
      );
      expect(expectAccepted(made.filter((file) => file !== undefined))).toBeGreaterThan(12);
    });
  }
});

const LONG = `/${"long/".repeat(80)}`;
const EDITORS: Readonly<Record<string, (file: string) => string[][]>> = {
  patchelf: (file) =>
    [
      ["--add-needed", "libm.so.6"],
      ["--set-rpath", "/short"],
      ["--set-rpath", LONG],
      ["--force-rpath", "--set-rpath", LONG],
      ["--add-needed", "libm.so.6", "--set-rpath", LONG],
      ["--add-needed", "libm.so.6", "--set-rpath", LONG, "--page-size", "65536"],
      ["--set-soname", "libanother.so.with.a.name.that.did.not.fit.in.before.so.1"],
      ["--replace-needed", "libc.so.6", "libc.so.6"],
      ["--remove-needed", "libnone.so"],
      ["--clear-symbol-version", "puts"],
      ["--no-default-lib"],
      ["--shrink-rpath"],
    ].map((options) => ["patchelf", ...options, file]),
  chrpath: (file) => [["chrpath", "--delete", file]],
  strip: (file) => [["strip", file]],
  objcopy: (file) =>
    [
      [],
      ["--remove-section", ".comment"],
      ["--remove-section", ".gnu.version"],
      ["--weaken"],
      ["--compress-debug-sections"],
      ["--change-addresses", "0x1000000"],
    ].map((options) => ["objcopy", ...options, file]),
  "llvm-strip": (file) => [["llvm-strip", "--strip-sections", file]],
  "llvm-objcopy": (file) => [["llvm-objcopy", "--add-section", ".more=/etc/passwd", file]],
  "eu-strip": (file) => [["eu-strip", "--strip-sections", file]],
};

describe("what an editor leaves:", () => {
  for (const [editor, commands] of Object.entries(EDITORS)) {
    const isThere = Bun.which(editor) !== null;
    test.skipIf(!isThere)(`${editor}${isThere ? "" : " (not installed)"}`, () => {
      const linkers = Object.entries(LINKERS).filter(([, command]) => Bun.which(command) !== null);
      const edited = linkers.flatMap(([linker]) => {
        const whole = specimen(scratch, `${linker}-to-edit.so`, `-fuse-ld=${linker}`, "-Wl,-rpath,/some/where");
        return commands("").map((_, i) => {
          const file = scratch.path(`${editor}-${i}-${linker}.so`);
          cpSync(whole, file);
          return attempt(() => {
            run(commands(file)[i] ?? []);
            return file;
          });
        });
      });
      expect(expectAccepted(edited.filter((file) => file !== undefined))).toBeGreaterThan(0);
    });
  }
});
