// Whatever number is in a header, of the program or of what it needs: it is explained, or one line says what is wrong.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ElfError } from "../../../lib/elf/error.ts";
import { LinkError } from "../../../lib/link-error.ts";
import { ProgramError } from "../../../src/diagnostics/errors.ts";
import { explain } from "../../../src/explain/explain.ts";
import { linkable } from "../../../src/explain/link-program.ts";
import { ElfBytes } from "../../support/elf-bytes.ts";
import { FIXED, freestanding, ownSearch } from "../../support/freestanding.ts";
import { command } from "../../support/run.ts";

const EXTREMES = [0n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 62n, 2n ** 63n, 2n ** 64n - 1n];
const PT_PHDR = 6;

let directory = "";
beforeAll(async () => {
  const built = await freestanding("what-cannot-be-linked-is-told-of", [
    { path: "liblibrary.so", sources: ["library.c"], flags: ["-Wl,--version-script=library.map"] },
    { path: "program", sources: ["program.c"], needs: ["liblibrary.so"], runpath: "$ORIGIN" },
    { path: "fixed", sources: ["program.c"], needs: ["liblibrary.so"], runpath: "$ORIGIN", flags: FIXED },
  ]);
  directory = mkdtempSync(join(tmpdir(), "capsule-test-headers-"));
  cpSync(built, directory, { recursive: true, verbatimSymlinks: true });
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** What the command would say: the explanation, or its one line. */
function outcome(name: string): { data: string } | { line: string } {
  try {
    const search = ownSearch();
    const program = linkable(search, join(directory, name));
    return { data: JSON.stringify(explain(search, program, [name], 1)) };
  } catch (error) {
    if (error instanceof ElfError || error instanceof LinkError || error instanceof ProgramError)
      return { line: error.message };
    throw error;
  }
}

describe("a number that no program has, in any field,", () => {
  for (const [target, program] of [
    ["program", "program"],
    ["liblibrary.so", "program"],
  ] as const)
    test(`of ${target}, gives no other error`, () => {
      const path = join(directory, target);
      const elf = new ElfBytes(path);
      const original = Buffer.from(elf.bytes);
      const wrong: string[] = [];
      const counts = { explained: 0, refused: 0 };
      for (const { name, offset, size } of elf.fields())
        for (const extreme of EXTREMES) {
          original.copy(elf.bytes);
          elf.set(offset, size, BigInt.asUintN(8 * size, extreme));
          elf.save(path);
          const tell = (text: string) => wrong.push(`${name} = ${extreme.toString(16)}: ${text}`);
          try {
            const told = outcome(program);
            if ("data" in told) {
              counts.explained++;
              // what BigInt() and JSON make of numbers that are none
              if (/Infinity|NaN|null|e\+\d/.test(told.data)) tell("a number that is none");
            } else {
              counts.refused++;
              if (told.line.includes("\n")) tell(told.line);
            }
          } catch (error) {
            tell(String(error));
          }
        }
      original.copy(elf.bytes);
      elf.save(path);
      expect(wrong).toEqual([]);
      expect(counts.explained).toBeGreaterThan(100);
      expect(counts.refused).toBeGreaterThan(100);
    });
});

describe.each(["program", "fixed"])("of a program (%s) whose", (name) => {
  test.each([
    [
      "entry is nowhere",
      (elf: ElfBytes) => elf.setHeader("e_entry", 2n ** 63n),
      "ELF header: e_entry is in no segment",
    ],
    [
      "headers are nowhere",
      (elf: ElfBytes) => elf.setSegment(PT_PHDR, "p_vaddr", 2n ** 62n),
      "program headers: they are in no segment that may be read",
    ],
  ])("%s that is the one line, before it runs", async (_, damage, fault) => {
    const path = join(directory, `${name}-damaged`);
    cpSync(join(directory, name), path);
    const elf = new ElfBytes(path);
    damage(elf);
    elf.save(path);
    for (const words of [[path], ["--explain", path]]) {
      const { stdout, stderr, exitCode } = await command(["link", ...words], {});
      expect([stdout, stderr, exitCode]).toEqual(["", `capsule: Cannot read "${path}": ${fault}\n`, 125]);
    }
  });
});
