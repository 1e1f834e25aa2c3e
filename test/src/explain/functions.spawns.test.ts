// What is called before a program is entered, and when it has returned.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DT } from "../../support/elf-bytes.ts";
import { expectLines } from "../../support/expect.ts";
import { freestanding } from "../../support/freestanding.ts";
import { lines } from "../../support/lines.ts";
import { expectAsNative, link, WAYS } from "../../support/linked.ts";
import { damageFile } from "../../support/workshop.ts";

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

    test("it dies of a constructor that is nowhere", async () => {
      const { signal } = await expectAsNative(join(await ordered(["-DNULL_ENTRY"]), "program"));
      expect(signal).toBe("SIGSEGV");
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

    test("once, even if it has had them called itself", async () => {
      expectLines(await returned("with its destructors called"), ENDED);
    });

    test("and nothing of this command is in need of a descriptor that it has closed", async () => {
      expectLines(await returned("without descriptors"), ENDED);
    });

    test("with the thread pointer that it has given itself", async () => {
      expectLines(await returned("with a thread pointer"), ENDED);
    });

    test("in a process that it has forked, too, which ends with that", async () => {
      expectLines(await returned("in a child"), [...ENDED, "the child: 0", ...ENDED]);
    });
  });

  describe("a function that is chosen at the start is there", () => {
    const chosen = async (of: string): Promise<string> =>
      join(await built("a-chosen-function-is-wherever-its-address-is", [`-D${of}`], [`-D${of}`]), "program");

    test("in the copy of a variable", async () => {
      const { stdout } = await expectAsNative(await chosen("IN_A_VARIABLE"));
      expect(lines(stdout)).toEqual(["shown: 7", "own: 7", "the program"]);
    });

    test("in thread-local data, from its first value on", async () => {
      const { stdout } = await expectAsNative(await chosen("PER_THREAD"));
      expect(lines(stdout)).toEqual(["in a thread: 7", "in a thread: 7", "the program"]);
    });

    test("as a constructor", async () => {
      const { stdout } = await expectAsNative(await chosen("AS_A_CONSTRUCTOR"));
      expect(lines(stdout)).toEqual(["the chosen one begins", "the program"]);
    });
  });
});
