// What stands in for a library can be linked to as that, and leads nowhere.

import { afterAll, describe, expect, test } from "bun:test";
import { openImage } from "../../../../lib/elf/file.ts";
import { stubLibraryOf } from "../../../../lib/elf/write/stub-library.ts";
import { Assembler } from "../../../../lib/x86-64/assembler.ts";
import { run } from "../../../support/run.ts";
import { Scratch } from "../scratch.ts";
import { loadedFile } from "../specimens.ts";
import { readelf } from "./parse.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

const LIBC = loadedFile("libc.so.6");

function stubLibrary(path: string, needed: string[] = []) {
  using image = openImage(path);
  return scratch.write("stub library.so", stubLibraryOf(image, needed));
}

describe("a stub library for libc", () => {
  test("has its soname and its versions", () => {
    const file = stubLibrary(LIBC, ["ld-linux-x86-64.so.2"]);
    using image = openImage(file);
    using libc = openImage(LIBC);
    expect(image.soname).toBe("libc.so.6");
    expect(image.needed).toEqual(["ld-linux-x86-64.so.2"]);
    expect(image.verdefs).toEqual(libc.verdefs);
    expect(readelf(file, "-d")).toContain("Library soname: [libc.so.6]");
  });

  test("finds every function that libc exports, in each of its versions, at no address of its own", () => {
    using image = openImage(stubLibrary(LIBC));
    using libc = openImage(LIBC);
    let count = 0;
    for (const sym of libc.symbols) {
      const name = libc.symbols.nameOf(sym);
      const indexes = [...libc.findAll(name)];
      if (indexes.length === 0 || (sym.st_info & 15) === 6) continue;
      expect([...image.findAll(name)]).toEqual(indexes);
      for (const index of indexes) {
        const shown = image.symbols.at(index);
        expect(shown.st_value as number).toBe(1);
        // An IFUNC would be called.
        expect(shown.st_info & 15).not.toBe(10);
        expect(image.versionOf(index)).toBe(libc.versionOf(index));
      }
      count++;
    }
    expect(count).toBeGreaterThan(1500);
  });

  test("runs its code when ld.so relocates it, before the program does anything", async () => {
    const to = new Assembler().label("leave").systemCall("exit_group", 42).align(4096);
    const dataAt = to.length;
    const code = to.label("slot").quad(0).assemble();
    using image = openImage(LIBC);
    const own = { code, dataAt, resolver: "leave", imports: ["__libc_stack_end", "slot"] as const };
    const bytes = stubLibraryOf(image, ["ld-linux-x86-64.so.2"], own);
    const directory = scratch.path("reexecStub");
    await Bun.write(`${directory}/libc.so.6`, bytes);
    const outcome = await run(["/usr/bin/env", `LD_LIBRARY_PATH=${directory}`, "/bin/echo", "never"]);
    expect(outcome).toMatchObject({ stdout: "", stderr: "", exitCode: 42 });
  });
});
