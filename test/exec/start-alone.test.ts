// What ld.so does at the start of a process, and dlopen for nobody: programs that want it are attached by auto, and
// refused in-process, with the reason and before anything of them runs.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { expectBoth } from "../support/both.ts";
import { expectLines, expectSame } from "../support/expect.ts";
import { glibc } from "../support/glibc.ts";
import { lines } from "../support/lines.ts";
import { HOST, hostAndProgram, type Pair, pair, RUNTIME } from "../support/pair.ts";
import { capsule, type Outcome, type RunOptions } from "../support/run.ts";

const host = `${HOST}/libhost.so.1`;
const privateOne = `${HOST}/libprivate.so.1`;
const runtime = `${RUNTIME}/libruntime.so.1`;

function inMode(mode: string, fixture: Pair, options: RunOptions = {}): Promise<Outcome> {
  const env = { LD_LIBRARY_PATH: fixture.runtime, ...options.env };
  return capsule([...fixture.flags(), "--mode", mode], fixture.program(), [], { ...options, env });
}

/** As natively where it is attached, by auto, too; in-process it is refused, and `mentions` say why. */
async function expectAttached(fixture: Pair, ...mentions: string[]): Promise<void> {
  const model = await fixture.native();
  expect(model).toMatchObject({ exitCode: 0, stderr: "" });
  for (const mode of ["attached", "auto"]) expectSame(await inMode(mode, fixture), model);
  expectRefused(await inMode("in-process", fixture), ...mentions);
}

function expectRefused({ exitCode, stdout, stderr }: Outcome, ...mentions: string[]): void {
  expect([exitCode, stdout, lines(stderr).length]).toEqual([126, "", 1]);
  for (const text of ["capsule: Cannot host", ...mentions]) expect(stderr).toContain(text);
}

describe("a library that is linked with -z nodlopen", () => {
  const NODLOPEN = ["-Wl,-z,nodlopen"];
  const needing = (own: string[]) =>
    pair(
      "loading/what-may-only-be-needed-is-needed",
      [
        { path: privateOne, sources: ["private.c"], flags: NODLOPEN },
        { path: host, sources: ["host.c"], needs: [privateOne], flags: NODLOPEN },
        { path: `${HOST}/liblate.so.1`, sources: ["runtime.c"], flags: NODLOPEN },
        { path: runtime, sources: ["runtime.c"], flags: own },
        { path: "program", sources: ["program.c"], needs: [host, runtime], flags: ["-Wl,-z,nodlopen"] },
      ],
      ["libhost.so.1", "liblate.so.1"],
    );

  test("may be isolated, and needed by one that is, and keeps its path", async () => {
    const fixture = await needing([]);
    await expectBoth(
      fixture,
      [],
      [
        `host: ${join(fixture.out, host)}`,
        `private: ${join(fixture.out, privateOne)}, of ${join(fixture.out, HOST)}`,
        "host: opens it once more: the same",
        "runtime: 7",
      ],
    );
  });

  test("is still refused to who opens it", async () => {
    const fixture = await needing([]);
    const shown = async (outcome: Promise<Outcome>) => lines((await outcome).stdout).at(-1);
    for (const outcome of [fixture.native(["liblate.so.1"]), fixture.capsule(["liblate.so.1"])])
      expect(await shown(outcome)).toBe("liblate.so.1: refused");
  });

  test("has the program attached if that needs it of its own side", async () => {
    const fixture = await needing(NODLOPEN);
    await expectAttached(fixture, join(fixture.out, runtime), "DF_1_NOOPEN");
  });
});

describe("a library that wants an executable stack", () => {
  const MARKED = ["-Wl,-z,execstack"];
  const expected = ["main: 11", "in a thread: 21"];

  test("may be what an isolated one needs", async () => {
    const fixture = await pair("loading/a-library-may-want-an-executable-stack", [
      { path: privateOne, sources: ["private.c"], flags: MARKED },
      { path: host, sources: ["host.c"], needs: [privateOne] },
      { path: "program", sources: ["program.c"], needs: [host] },
    ]);
    expectLines(await fixture.native(), expected);
    for (const mode of ["attached", "auto"]) expectLines(await inMode(mode, fixture), expected);
    const inProcess = await inMode("in-process", fixture);
    // Since 2.41 there has to be one from the start.
    if (glibc < 41 && !process.env.CAPSULE_TEST_GLIBC) expectLines(inProcess, expected);
    else if (inProcess.exitCode !== 0) expectRefused(inProcess, join(fixture.out, privateOne), "executable stack");
  });
});

test("2 GiB of zeroes and more, of a program and of an isolated library, are there", async () => {
  const flags = ["-DSIZE=0x90000000UL", "-mcmodel=large"];
  const fixture = await pair(
    "data/more-than-two-gibibytes-of-zeroes",
    hostAndProgram().map((output) => ({ ...output, flags })),
  );
  await expectBoth(fixture, [], ["main: 2 1 5", "host: 34", "destructor: 1"]);
});

test("data that begins at a multiple of 2 MiB does so (before glibc 2.35, in a program that is attached)", async () => {
  const [library, program] = hostAndProgram();
  if (!library || !program) throw new Error("There are two");
  const flags = ["-DSIZE=0x200000", "-Wl,-z,max-page-size=0x200000"];
  const fixture = await pair("data/what-has-to-be-aligned-is", [library, { ...program, flags }]);
  const expected = ["host: 42, content: 1, beyond alignment: 0"];
  expectLines(await fixture.native(), expected);
  for (const mode of ["attached", "auto"]) expectLines(await inMode(mode, fixture), expected);
  const inProcess = await inMode("in-process", fixture);
  if (glibc < 35 && !process.env.CAPSULE_TEST_GLIBC) expectRefused(inProcess, "aligned to 2097152 bytes");
  else expectLines(inProcess, expected);
});

describe("an auditor", () => {
  const audited = (flags: string[]) =>
    pair("attached/an-auditor-is-told-of-the-program", [
      { path: "auditor.so", sources: ["auditor.c"] },
      { path: host, sources: ["host.c"] },
      { path: "program", sources: ["program.c"], needs: [host], flags },
    ]);

  // Before glibc 2.32 ld.so passes over it.
  for (const option of ["audit", "depaudit"])
    test(`that the program names (--${option}) is told of it`, async () => {
      const fixture = await audited([`-Wl,--${option},{out}/auditor.so`]);
      if (glibc >= 32) expectLines(await fixture.native(), ["auditor: told of the program", "program: 42"]);
      await expectAttached(fixture, join(fixture.out, "auditor.so"));
    });

  test("of LD_AUDIT has the program attached, or refused where glibc cannot", async () => {
    const fixture = await audited([]);
    const env = { LD_AUDIT: join(fixture.out, "auditor.so") };
    const refused = await inMode("in-process", fixture, { env });
    expect([refused.exitCode, refused.stderr.includes("LD_AUDIT is set")]).toEqual([126, true]);
    for (const mode of ["attached", "auto"]) {
      const { exitCode, stdout, stderr } = await inMode(mode, fixture, { env });
      const last = lines(stdout).slice(-2);
      // What runs the command is told of, too.
      if (glibc >= 32)
        expect([exitCode, last, stderr]).toEqual([0, ["auditor: told of the program", "program: 42"], ""]);
      else expect([exitCode, stderr.includes("before 2.32"), last.includes("program: 42")]).toEqual([126, true, false]);
    }
  });
});
