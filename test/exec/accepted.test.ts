// Files that ld.so loads and nobody would expect to be like that, on either side of the border: they are linked as others
// are. What can be odd about one is in test/lib/elf/accepted.test.ts.

import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as elf from "../../lib/elf/constants.ts";
import { toOffset } from "../../lib/memory/numbers.ts";
import { Liar } from "../lib/elf/liar.ts";
import { expectLines } from "../support/expect.ts";
import type { Output } from "../support/fixtures.ts";
import { HOST, Pair, pair, RUNTIME } from "../support/pair.ts";

setDefaultTimeout(120_000);

const host = `${HOST}/libhost.so.1`;
const runtime = `${RUNTIME}/libruntime.so.1`;
const silent = `${HOST}/libsilent.so.1`;
const outputs: Output[] = [
  { path: silent, sources: ["silent.c"], flags: ["-nostdlib", "-Wl,--hash-style=gnu"] },
  {
    path: host,
    sources: ["library.c"],
    needs: [silent],
    runpath: "$ORIGIN",
    flags: ["-DNAME=host", "-DNUMBER=42", "-Wl,--hash-style=both"],
  },
  {
    ...{ path: runtime, sources: ["library.c"], needs: [host] },
    flags: ["-DNAME=runtime", "-DNUMBER=7", "-Wl,--hash-style=both"],
  },
  { path: "program", sources: ["program.c"], needs: [host, runtime], flags: ["-Wl,--hash-style=both"] },
  { path: "opener", sources: ["opener.c"] },
];

const directory = mkdtempSync(join(tmpdir(), "capsule-accepted-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let count = 0;

/** A copy of the build in which files are changed. */
async function changed(files: readonly string[], change: (file: Liar) => void): Promise<Pair> {
  const { out } = await pair("loading/what-ld-so-accepts-is-accepted", outputs);
  const copy = join(directory, `${++count}`);
  cpSync(out, copy, { recursive: true, verbatimSymlinks: true });
  for (const name of files) {
    const file = new Liar(join(copy, name));
    change(file);
    writeFileSync(join(copy, name), file.bytes);
  }
  return new Pair(copy, ["libhost.so.1"]);
}

async function expectAsNatively(built: Pair): Promise<void> {
  for (const run of [built.native, built.capsule]) {
    expectLines(await run.call(built), ["host 42, runtime 7"]);
    expectLines(await run.call(built, [], {}, "opener"), ["runtime 7", "host 42"]);
  }
}

const oddities: [string, (file: Liar) => void][] = [
  ["fewer strings than there are", (file) => file.set(elf.DT_STRSZ, file.entry(elf.DT_STRSZ).d_val - 40)],
  ["more strings than there can be", (file) => file.set(elf.DT_STRSZ, 2 ** 40)],
  ["a DT_HASH that is nowhere", (file) => file.set(elf.DT_HASH, 0x7fff_0000)],
  ["not how many versions it needs", (file) => file.set(elf.DT_VERNEEDNUM, 0)],
  [
    "RELRO that begins before its segment",
    (file) => {
      const relro = file.segment(elf.PT_GNU_RELRO);
      Object.assign(relro, { p_vaddr: relro.p_vaddr - 4, p_memsz: relro.p_memsz + 4 });
    },
  ],
  [
    "sizes and places that no loader looks at",
    (file) => {
      file.set(elf.DT_SYMENT, 23);
      Object.assign(file.segment(elf.PT_DYNAMIC), { p_offset: toOffset(0), p_filesz: 16 });
    },
  ],
];

describe("what is odd in a file is accepted as ld.so accepts it:", () => {
  const places = { "an isolated library": [host], "the program and its library": [runtime, "program"] };
  for (const [place, files] of Object.entries(places))
    test.each(oddities)(`in ${place}, %s`, async (_, change) => {
      await expectAsNatively(await changed(files, change));
    });

  test("in a library, program headers at the end of the file", async () => {
    await expectAsNatively(await changed([host, runtime], (file) => file.moveHeaders()));
  });

  test("in a library that an isolated one needs, a hash table without buckets", async () => {
    await expectAsNatively(await changed([silent], (file) => file.setWord(file.table(elf.DT_GNU_HASH), 0)));
  });

  test("an isolated library that is not looked for in the default directories needs ld.so", async () => {
    const built = await changed([host], (file) => {
      const spare = file.entry(elf.DT_VERNEEDNUM);
      Object.assign(spare, { d_tag: elf.DT_FLAGS_1, d_val: elf.DF_1_NODEFLIB });
    });
    expect(new Liar(join(built.out, host)).entry(elf.DT_FLAGS_1).d_val).toBe(elf.DF_1_NODEFLIB);
    await expectAsNatively(built);
  });
});
