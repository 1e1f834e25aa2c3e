// A host library that is older than what the program was linked to: `plan` and `doctor` tell of it beforehand.

import { beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { PlanReport } from "../../src/report/plan-data.ts";
import { HOST, type Pair, pair, RUNTIME } from "../support/pair.ts";
import { command } from "../support/run.ts";

const NEW = ["-DNEW", "-Wl,--version-script=new.map"];
const OLD = ["-Wl,--version-script=old.map"];
const versioned = "libversioned.so.1";
const plain = "libplain.so.1";
const library = `${RUNTIME}/libruntime.so.1`;

/** `flags` are of the host's library with versions; the other one is old. */
const older = (flags: string[]): Promise<Pair> =>
  pair(
    "symbols/what-an-older-host-library-lacks-is-told-beforehand",
    [
      { path: `${RUNTIME}/${versioned}`, sources: ["versioned.c"], flags: NEW },
      { path: `${RUNTIME}/${plain}`, sources: ["plain.c"], flags: ["-DNEW"] },
      { path: `${HOST}/${versioned}`, sources: ["versioned.c"], flags },
      { path: `${HOST}/${plain}`, sources: ["plain.c"] },
      { path: library, sources: ["library.c"], needs: [`${RUNTIME}/${versioned}`, `${RUNTIME}/${plain}`] },
      {
        path: "program",
        sources: ["program.c"],
        needs: [library, `${RUNTIME}/${versioned}`, `${RUNTIME}/${plain}`],
      },
    ],
    [versioned, plain],
  );

const words = (fixture: Pair, name: string, ...more: string[]): [string[], { env: Record<string, string> }] => [
  [name, "--json", ...more, ...fixture.flags(), fixture.program()],
  { env: { LD_LIBRARY_PATH: fixture.runtime } },
];

const lacking = ({ out }: Pair, what: string, soname: string, them: string): string =>
  `"${join(out, "program")}" wants the ${what} of "${join(out, HOST, soname)}", which does not define ${them}: is it older?`;

describe("what the program wants of an older library of the host's", () => {
  let fixture: Pair;
  let expected: [version: string, symbols: string];
  beforeAll(async () => {
    fixture = await older(OLD);
    expected = [
      lacking(fixture, "version VERSION_2", versioned, "it"),
      lacking(fixture, "symbol plain_first and 1 more", plain, "them"),
    ];
  });

  for (const mode of ["in-process", "attached"])
    test(`is among a plan's warnings, ${mode}`, async () => {
      const { stdout } = await command(...words(fixture, "plan", "--mode", mode));
      expect((JSON.parse(stdout) as PlanReport).warnings).toEqual(expected);
    });

  test("is found by the doctor, a version as a hindrance", async () => {
    const { stdout } = await command(...words(fixture, "doctor"));
    const found = [...stdout.matchAll(/"check": "host-age",\s*"level": "(\w+)",\s*"text": (".*")/g)];
    expect(found.map(([, level = "", text = ""]) => [level, JSON.parse(text)])).toEqual([
      ["hindrance", expected[0]],
      ["warning", expected[1]],
    ]);
  });
});

test("of one that is as new nothing is said", async () => {
  const fixture = await older(NEW);
  const { stdout } = await command(...words(fixture, "plan"));
  const { warnings } = JSON.parse(stdout) as PlanReport;
  expect(warnings).toEqual([lacking(fixture, "symbol plain_first and 1 more", plain, "them")]);
});
