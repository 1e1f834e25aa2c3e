// What a program finds where it is mapped: protections, alignments, and zeroes.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PT } from "../../support/elf-bytes.ts";
import { freestanding } from "../../support/freestanding.ts";
import { lines } from "../../support/lines.ts";
import { expectAsNative, WAYS } from "../../support/linked.ts";
import { damageFile } from "../../support/workshop.ts";

const [PF_X, PF_W, PF_R] = [1, 2, 4] as const;

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "capsule-link-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** A copy of a build, to spoil. */
function copyOf(build: string): string {
  const copy = join(mkdtempSync(join(directory, "copy-")), "build");
  cpSync(build, copy, { recursive: true });
  return copy;
}

describe.each(WAYS)("of a program, %s,", (_, flags) => {
  const built = (folder: string, more: string[] = []): Promise<string> =>
    freestanding(folder, [
      { path: "liblibrary.so", sources: ["library.c"], flags: more },
      {
        ...{ path: "program", sources: ["program.c"], needs: ["liblibrary.so"], runpath: "$ORIGIN" },
        flags: [...flags, ...more],
      },
    ]);

  describe("what is relocated", () => {
    const PLACES = ["table", "slot", "library"];
    const program = async (...more: string[]) =>
      join(await built("what-is-relocated-may-be-read-only", more), "program");

    test.each(PLACES)("is read-only afterwards (%s)", async (place) => {
      const { stdout, signal } = await expectAsNative(await program("-Wl,-z,relro,-z,now"), [place]);
      expect([stdout, signal]).toEqual(["relocated\n", "SIGSEGV"]);
    });

    test.each(PLACES)("stays writable where nothing is to be read-only (%s)", async (place) => {
      const { stdout } = await expectAsNative(await program("-Wl,-z,norelro,-z,now"), [place]);
      expect(stdout).toBe("relocated\nwritten\n");
    });
  });

  describe("the stack", () => {
    const folder = "a-stack-runs-code-if-a-file-says-so";
    const RUNS = "on the stack\nruns: 42\n";
    const forgetful = async (...files: string[]): Promise<string> => {
      const copy = copyOf(await built(folder, ["-Wl,-z,noexecstack"]));
      for (const file of files) damageFile(join(copy, file), (elf) => elf.setSegment(PT.GNU_STACK, "p_type", PT.NULL));
      return join(copy, "program");
    };

    test("is no code, where no file says so", async () => {
      const program = join(await built(folder, ["-Wl,-z,noexecstack"]), "program");
      expect((await expectAsNative(program)).signal).toBe("SIGSEGV");
    });

    test("is code, where all say so", async () => {
      const program = join(await built(folder, ["-Wl,-z,execstack"]), "program");
      expect((await expectAsNative(program)).stdout).toBe(RUNS);
    });

    test.each(["program", "liblibrary.so"])("is code, where %s says so", async (file) => {
      const copy = copyOf(await built(folder, ["-Wl,-z,noexecstack"]));
      damageFile(join(copy, file), (elf) => elf.setSegment(PT.GNU_STACK, "p_flags", PF_R | PF_W | PF_X));
      await expectAsNative(join(copy, "program"));
    });

    test.each(["program", "liblibrary.so"])("is what it is natively, where %s does not say anything", async (file) => {
      await expectAsNative(await forgetful(file));
    });
  });

  describe("what asks for an alignment has it:", () => {
    const aligned = (alignment: number, page: number): Promise<string> => {
      const more = [`-DALIGNMENT=${alignment}ul`, `-DPAGE=${page}ul`, `-Wl,-z,max-page-size=${page}`];
      const library = (name: string) => ({
        path: `lib${name}.so`,
        sources: ["library.c"],
        flags: [...more, ...["start", "data", "zeroes"].map((of) => `-D${of.toUpperCase()}_OF=${name}_${of}`)],
      });
      return freestanding("everything-is-aligned-as-it-asks", [
        library("one"),
        library("two"),
        {
          ...{ path: "program", sources: ["program.c"], needs: ["libone.so", "libtwo.so"], runpath: "$ORIGIN" },
          flags: [...flags, ...more],
        },
      ]);
    };

    test.each([
      ["4 KiB, and data 64 KiB", 65536, 4096],
      ["64 KiB", 32, 65536],
      ["2 MiB", 32, 0x200000],
    ] as const)("segments %s", async (_, alignment, page) => {
      const { stdout } = await expectAsNative(join(await aligned(alignment, page), "program"));
      expect(lines(stdout).map((line) => line.replace(/.*: /, ""))).toEqual(Array(8).fill("0"));
    });

    test.each([64, 256, 4096, 8192, 65536])("data of a thread, %d bytes", async (alignment) => {
      // or ld begins what is to be read-only before the first segment
      const more = [`-DALIGNMENT=${alignment}ul`, "-Wl,-z,norelro"];
      const out = await freestanding("everything-is-aligned-as-it-asks", [
        { path: "liblibrary.so", sources: ["per-thread.c"], flags: [...more, "-DIN_A_LIBRARY"] },
        {
          ...{ path: "program", sources: ["per-thread.c"], needs: ["liblibrary.so"], runpath: "$ORIGIN" },
          flags: [...flags, ...more],
        },
      ]);
      const { stdout } = await expectAsNative(join(out, "program"));
      const each = (value: number) => ["off: 0", `value: ${value}`];
      expect(lines(stdout)).toEqual([...each(7), ...each(0), ...each(7), ...each(0)]);
    });
  });

  test("zeroes are there, and as read-only as their segment", async () => {
    const copy = copyOf(await built("what-is-zero-is-there", ["-Wl,-z,norelro"]));
    const program = join(copy, "program");
    expect((await expectAsNative(program, ["write"])).stdout).toBe("sum: 0\nwritten\n");
    damageFile(join(copy, "liblibrary.so"), (elf) => {
      elf.setLastSegment(PT.LOAD, "p_flags", PF_R);
      elf.setSegment(PT.DYNAMIC, "p_flags", PF_R);
    });
    expect((await expectAsNative(program)).stdout).toBe("sum: 0\nwritten\n");
    expect((await expectAsNative(program, ["write"])).signal).toBe("SIGSEGV");
  });
});
