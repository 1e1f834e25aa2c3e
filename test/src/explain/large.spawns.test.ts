// Much of something, for which a link takes about the time and the memory that it takes natively.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { freestanding } from "../../support/freestanding.ts";
import { lines } from "../../support/lines.ts";
import { expectAsNative, link, shown, WAYS } from "../../support/linked.ts";
import { native } from "../../support/run.ts";

/** Milliseconds, of a machine that is busy; bytes more than natively: Bun alone has 50 MiB. */
const [TIME, MEMORY] = [3_000, 256 << 20];
const MANY = 300;
/** The kernel refuses what is more than it has. */
const LARGEST = Math.min(20e9, Math.floor(totalmem() / 4096) * 2048);

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "capsule-link-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe.each(WAYS)("of a program, %s,", (_, flags) => {
  test.each([
    ["1 GB that is zero", ["-DLENGTH=1000000000ul"]],
    ["as much that is zero as there can be", [`-DLENGTH=${LARGEST}ul`]],
    ["1 GiB of a thread's", ["-DLENGTH=0x40000000ul", "-DPER_THREAD"]],
  ] as const)("%s", async (_, more) => {
    const out = await freestanding("what-is-zero-is-there", [
      { path: "liblibrary.so", sources: ["library.c"] },
      {
        ...{ path: "program", sources: ["large.c"], needs: ["liblibrary.so"], runpath: "$ORIGIN" },
        flags: [...flags, ...more],
      },
    ]);
    const program = join(out, "program");
    const [model, linked] = [await native(program), await link([program], { timeout: TIME })];
    expect([shown(linked), model.stdout]).toEqual([shown(model), "last: 5\n"]);
    expect(linked.maxRss).toBeLessThan(model.maxRss + MEMORY);
  });

  test(`${MANY} libraries`, async () => {
    const nameOf = (number: number) => `libnumber${`${number}`.padStart(3, "0")}.so`;
    const library = (folder: string, number: number, needs: string[]) => ({
      ...{ path: `${folder}/${nameOf(number)}`, sources: ["library.c"], needs },
      flags: [`-DNAME="${nameOf(number)}"`],
    });
    const out = await freestanding("there-may-be-many-libraries", [
      library("last", MANY - 1, []),
      library("next", 1, []),
      library("first", 0, [`next/${nameOf(1)}`]),
      { path: "program", sources: ["program.c"], needs: [`first/${nameOf(0)}`], rpath: "$ORIGIN", flags },
    ]);
    const many = mkdtempSync(join(directory, "many-"));
    const model = readFileSync(join(out, "first", nameOf(0)), "latin1");
    // Each needs the next.
    for (let number = 0; number < MANY - 1; number++) {
      const text = model.replaceAll(nameOf(1), nameOf(number + 1)).replaceAll(nameOf(0), nameOf(number));
      writeFileSync(join(many, nameOf(number)), text, "latin1");
    }
    copyFileSync(join(out, "last", nameOf(MANY - 1)), join(many, nameOf(MANY - 1)));
    copyFileSync(join(out, "program"), join(many, "program"));
    const { stdout } = await expectAsNative(join(many, "program"));
    const names = Array.from({ length: MANY }, (_, number) => nameOf(number));
    expect(lines(stdout)).toEqual([...names.toReversed(), "the program"]);
  });
});
