// What is called before a program is entered, and when it has returned.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DT } from "../../support/elf-bytes.ts";
import { expectLines } from "../../support/expect.ts";
import { freestanding } from "../../support/freestanding.ts";
import { lines } from "../../support/lines.ts";
import { expectAsNative, link, WAYS } from "../../support/linked.ts";
import { damageFile } from "../../support/workshop.ts";

setDefaultTimeout(60_000);

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "capsule-link-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe.each(WAYS)("of a program, %s,", (_, flags) => {
  const built = (folder: string, own: string[] = [], libraries: string[] = []): Promise<string> =>
    freestanding(folder, [
      { path: "liblibrary.so", sources: ["library.c"], flags: libraries },
      {
        ...{ path: "program", sources: ["program.c"], needs: ["liblibrary.so"], runpath: "$ORIGIN" },
        flags: [...flags, ...own],
      },
    ]);

  describe("before it is entered", () => {
    const ordered = (libraries: string[] = []) => built("functions-are-called-in-their-order", [], libraries);

    test("its own DT_PREINIT_ARRAY is called, then the constructors of others", async () => {
      const { stdout } = await expectAsNative(join(await ordered(), "program"));
      expect(lines(stdout)).toEqual(["before all", "the library begins", "the program"]);
    });

    test("the DT_PREINIT_ARRAY of a library counts for nothing", async () => {
      const copy = join(directory, `preinit-${flags.length}`);
      cpSync(await ordered(), copy, { recursive: true });
      damageFile(join(copy, "liblibrary.so"), (elf) => {
        elf.retagDynamic(DT.INIT_ARRAY, DT.PREINIT_ARRAY);
        elf.retagDynamic(DT.INIT_ARRAYSZ, DT.PREINIT_ARRAYSZ);
      });
      const { stdout } = await expectAsNative(join(copy, "program"));
      expect(lines(stdout)).toEqual(["before all", "the program"]);
    });
  });

  // Natively it would die: that there is somebody to return to is more than the ABI says.
  describe("when it has returned, destructors are called,", () => {
    const ENDED = ["the program ends", "the library ends"];
    const returned = async (word: string) =>
      link([join(await built("a-program-may-return-from-its-entry"), "program"), word]);

    test("once", async () => {
      expectLines(await returned("at once"), ENDED);
    });

    test("or, where it has not, once by what it is given in rdx, if that is anything", async () => {
      const outcome = await returned("by exit(2)");
      expectLines(outcome, outcome.stdout === "" ? [] : ENDED);
    });
  });
});
