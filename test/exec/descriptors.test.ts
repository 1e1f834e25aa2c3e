// A descriptor is a number that programs and those who start them agree on: none of ours may be among them, and a
// program may close all of them.

import { beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expectBoth } from "../support/both.ts";
import { expectLines } from "../support/expect.ts";
import type { Output } from "../support/fixtures.ts";
import { lines } from "../support/lines.ts";
import { HOST, hostAndProgram, type Pair, pair, RUNTIME } from "../support/pair.ts";
import { capsuleCommand, type Outcome, run } from "../support/run.ts";

describe("descriptors are numbered as natively", () => {
  let numbered: Pair;

  beforeAll(async () => {
    numbered = await pair("process/descriptors-are-numbered-as-natively", [
      ...hostAndProgram(),
      { path: "reader", sources: ["reader.c"] },
    ]);
  });

  const shown = (next: number, given: number[]) => [
    `the next in the host's constructor: ${next}`,
    `the next in a constructor: ${next}`,
    `open: ${next}, dup: ${next + 1}, pipe: ${next + 2} and ${next + 3}, socket: ${next + 4}`,
    `the next of the host: ${next}`,
    `in /proc/self/fd: ${given.length}`,
    ...given.map((number) => `given: ${number}`),
  ];

  /** Both started by a shell, which opens and closes descriptors for them as it is told. */
  async function bothIn(redirections: string, program = "program", args: string[] = []): Promise<Outcome[]> {
    const shell = ["sh", "-c", `exec "$@" ${redirections}`, "sh"];
    const path = numbered.program(program);
    const LD_LIBRARY_PATH = join(numbered.out, HOST);
    return [
      await run([...shell, path, ...args], { env: { LD_LIBRARY_PATH } }),
      await run([...shell, ...capsuleCommand(numbered.flags(), path, args)]),
    ];
  }

  test("from the first one on", () => expectBoth(numbered, [], shown(3, [0, 1, 2])));

  test("behind those that were passed on", async () => {
    for (const outcome of await bothIn("3</dev/null 4</dev/null")) expectLines(outcome, shown(5, [0, 1, 2, 3, 4]));
  });

  test("among those that were passed on", async () => {
    for (const outcome of await bothIn("5</dev/null"))
      expect(lines(outcome.stdout).slice(0, 3)).toEqual([
        "the next in the host's constructor: 3",
        "the next in a constructor: 3",
        "open: 3, dup: 4, pipe: 6 and 7, socket: 8",
      ]);
  });

  // Bun opens /dev/null in its place as it starts.
  test.todo("when standard input is closed", async () => {
    for (const outcome of await bothIn("0<&-"))
      expect(lines(outcome.stdout).slice(0, 2)).toEqual([
        "the next in the host's constructor: 0",
        "the next in a constructor: 0",
      ]);
  });

  test("and what was passed on can be read", async () => {
    const directory = mkdtempSync(join(tmpdir(), "capsule-test-"));
    writeFileSync(join(directory, "letter"), "for descriptor 5");
    for (const outcome of await bothIn(`5<"${directory}/letter"`, "reader", ["5"]))
      expectLines(outcome, ["read: for descriptor 5"]);
    rmSync(directory, { recursive: true });
  });
});

describe("a program that has closed its descriptors can open libraries:", () => {
  let closing: Pair;

  beforeAll(async () => {
    const plugin = (path: string, name: string, place: string): Output => ({
      path,
      sources: ["plugin.c"],
      flags: [`-DNAME=${name}`, `-DPLACE="${place}"`],
    });
    closing = await pair(
      "process/a-program-that-closes-its-descriptors-can-open-libraries",
      [
        plugin(`${RUNTIME}/libplugin.so.1`, "plugin", "of the runtime"),
        plugin(`${HOST}/liblate.so.1`, "late", "of the host"),
        plugin(`${HOST}/libdriver.so.1`, "driver", "of the host"),
        ...hostAndProgram(),
      ],
      ["libhost.so.1", "liblate.so.1"],
    );
  });

  const missing = "libnowhere.so.1: cannot open shared object file: No such file or directory";
  const shown = (when: string) => [
    `${when}, the runtime's plug-in: of the runtime`,
    `${when}, an isolated library: of the host`,
    `${when}, the host's plug-in: of the host`,
    `${when}, one that is missing: ${missing}`,
  ];
  const expected = [...shown("in main"), ...shown("in a thread"), "the next: 3"];

  for (const way of [
    "one by one",
    "by close_range",
    "by closefrom",
    "as listed in /proc/self/fd",
    "by overwriting them",
  ]) {
    test(way, () => expectBoth(closing, [way], expected));
  }

  test("the standard ones, too", async () => {
    const directory = mkdtempSync(join(tmpdir(), "capsule-test-"));
    for (const side of ["native", "capsule"] as const) {
      const report = join(directory, side);
      const outcome = await closing[side](["by close_range", report]);
      expect(outcome).toMatchObject({ stdout: "", stderr: "", exitCode: 0 });
      expect(lines(readFileSync(report, "utf8"))).toEqual(expected);
    }
    rmSync(directory, { recursive: true });
  });
});

describe("few descriptors suffice for many threads that open libraries:", () => {
  let few: Pair;

  beforeAll(async () => {
    const numbers = Array.from({ length: 8 }, (_, i) => i);
    const plugin = (path: string, number: number): Output => ({
      path,
      sources: ["plugin.c"],
      flags: [`-DNUMBER=${number}`],
    });
    few = await pair("process/few-descriptors-suffice-for-many-threads", [
      ...numbers.map((i) => plugin(`${RUNTIME}/libplugin${i}.so.1`, i)),
      ...numbers.map((i) => plugin(`${HOST}/libdriver${i}.so.1`, i)),
      ...hostAndProgram(),
    ]);
  });

  for (const limit of ["8", "5", "4"]) test(`${limit} of them`, () => expectBoth(few, [limit], ["right answers: 256"]));
});
