// Which file a name leads to, on either side, and what is said when it cannot be had: as in ld.so.

import { beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expectLines } from "../support/expect.ts";
import type { Output } from "../support/fixtures.ts";
import { lines } from "../support/lines.ts";
import { NEEDED, needed, ownCopies } from "../support/needed.ts";
import { HOST, Pair, pair, RUNTIME } from "../support/pair.ts";
import { expectOfSide, SIDES, sides } from "../support/sides.ts";

describe("who is needed is the file that was found, whatever it says of itself", () => {
  const expected = [
    `bare: host, /host/usr/lib/x86_64-linux-gnu/libbare.so`,
    `other: host, /host/usr/lib/x86_64-linux-gnu/libother.so.1`,
    "2 loaded",
    "by name: open",
    "the program ends, 42",
    "its library ends",
  ];

  for (const [words, more] of [
    ["where the program's side has nothing of that name", []],
    ["where the program's side has libraries of the same names", ownCopies],
  ] as const)
    for (const program of ["linked", "opens"])
      test(`${words}, and the isolated library is ${program === "linked" ? "needed" : "opened"}`, async () => {
        const names = await pair(NEEDED, [...needed, ...more]);
        expectLines(await names.native([], {}, program), expected);
        expectLines(await names.capsule([], {}, program), expected);
      });
});

describe("what is open serves who needs it by name, though it was opened by its path", () => {
  const directory = "plugins";
  for (const side of SIDES)
    test(`on the ${side}'s side`, async () => {
      const names = await sides("loading/what-is-open-serves-who-needs-it-by-name", [
        { name: "one", directory },
        { name: "two", directory, needs: ["one"] },
        { name: "three", directory, needs: ["two"] },
      ]);
      await expectOfSide(names, side, [
        "two: not opened",
        ...["by its soname: the same", "in a child: 41", "two: 41", "three: 42"],
        ...["closed: not open", "two: not opened"],
      ]);
    });
});

describe("a plug-in in parts gets the isolated library", () => {
  let parts: Pair;

  beforeAll(async () => {
    const host = `${HOST}/libhost.so.1`;
    const { out } = await pair("loading/a-plugin-in-parts-gets-the-isolated-library", [
      { path: host, sources: ["host.c"], flags: ['-DPLACE="host"'] },
      { path: `${RUNTIME}/libhost.so.1`, sources: ["host.c"], flags: ['-DPLACE="runtime"'] },
      { path: "parts/libpart.so", sources: ["part.c"] },
      { path: "parts/plugin.so", sources: ["plugin.c"], needs: ["parts/libpart.so", host] },
      { path: `${RUNTIME}/libown.so`, sources: ["plugin.c"], needs: [host], flags: ["-DIS_WHOLE"] },
      { path: `${RUNTIME}/libdamaged.so`, sources: ["part.c"] },
      { path: "parts/damaged.so", sources: ["plugin.c"], needs: [`${RUNTIME}/libdamaged.so`, host] },
      { path: "program", sources: ["program.c"] },
    ]);
    const copy = mkdtempSync(join(tmpdir(), "capsule-test-"));
    cpSync(out, copy, { recursive: true, verbatimSymlinks: true });
    writeFileSync(join(copy, RUNTIME, "libdamaged.so"), "");
    parts = new Pair(copy, ["libhost.so.1"]);
    return () => rmSync(copy, { recursive: true });
  });

  /** Natively the host's comes first. */
  const expectAlike = async (args: string[], expected: string[]) => {
    const path = (directories: string[]) => ({ cwd: parts.out, env: { LD_LIBRARY_PATH: directories.join(":") } });
    expectLines(await parts.native(args, path([HOST, RUNTIME])), expected);
    expectLines(await parts.capsule(args, path([RUNTIME])), expected);
    expectLines(await parts.capsule(args, path([join(parts.out, RUNTIME)])), expected);
  };

  test("where no search leads to a part that is open", async () => {
    await expectAlike(["parts/libpart.so", "parts/plugin.so"], ["libpart.so: opened", "plugin.so: host"]);
  });

  test("where it is found on a relative library path", async () => {
    await expectAlike(["libown.so"], ["libown.so: host"]);
  });

  test("or none, where a part is damaged", async () => {
    await expectAlike(
      ["parts/damaged.so", "parts/libpart.so", "parts/plugin.so"],
      ["damaged.so: libdamaged.so: file too short", "libpart.so: opened", "plugin.so: host"],
    );
  });
});

describe("an isolated library that cannot be loaded is refused, with the reason", () => {
  let refused: Pair;
  const LIBRARIES: Record<string, string[]> = {
    good: [],
    missing: ["-DWANTS_LIBRARY"],
    damaged: ["-DWANTS_LIBRARY"],
    function: ["-DWANTS_FUNCTION"],
    variable: ["-DWANTS_VARIABLE"],
    nodlopen: ["-Wl,-z,nodlopen"],
  };
  const ISOLATED = Object.keys(LIBRARIES).map((name) => `lib${name}.so`);

  beforeAll(async () => {
    const helpers = ["absent", "broken"].map((name): Output => {
      return { path: `${HOST}/lib${name}.so`, sources: ["library.c"], flags: ["-DIS_HELPER"] };
    });
    const needs: Record<string, string[]> = { missing: [`${HOST}/libabsent.so`], damaged: [`${HOST}/libbroken.so`] };
    const host = Object.entries(LIBRARIES).map(([name, flags]): Output => {
      return { path: `${HOST}/lib${name}.so`, sources: ["library.c"], flags, needs: needs[name] ?? [] };
    });
    const runtime = Object.keys(LIBRARIES).map((name): Output => {
      return { path: `${RUNTIME}/lib${name}.so`, sources: ["library.c"], flags: ["-DIS_RUNTIMES"] };
    });
    const { out } = await pair("loading/what-cannot-be-loaded-is-refused-with-the-reason", [
      ...helpers,
      ...host,
      ...runtime,
      {
        path: `${RUNTIME}/plugin.so`,
        sources: ["library.c"],
        needs: [`${HOST}/libmissing.so`],
        flags: ["-DIS_HELPER"],
      },
      { path: "program", sources: ["program.c"] },
      { path: "linked", sources: ["program.c"], needs: [`${HOST}/libgood.so`], flags: ["-DIS_LINKED"] },
    ]);
    const copy = mkdtempSync(join(tmpdir(), "capsule-test-"));
    cpSync(out, copy, { recursive: true, verbatimSymlinks: true });
    rmSync(join(copy, HOST, "libabsent.so"));
    writeFileSync(join(copy, HOST, "libbroken.so"), "no library\n".repeat(20));
    refused = new Pair(copy, ISOLATED);
    return () => rmSync(copy, { recursive: true });
  });

  const REASONS: Record<string, string> = {
    "libmissing.so": "libabsent.so: cannot open shared object file: No such file or directory",
    "libdamaged.so": "libbroken.so: invalid ELF header",
    "libfunction.so": "libfunction.so: undefined symbol: nobodys_function",
    "libvariable.so": "libvariable.so: undefined symbol: nobodys_variable",
    "libnodlopen.so": "libnodlopen.so: shared object cannot be dlopen()ed",
    "plugin.so": "libabsent.so: cannot open shared object file: No such file or directory",
  };
  const withoutDirectories = (text: string) => lines(text).map((line) => line.replace(/\/\S*\//, ""));
  const expectAlike = async (program: string, args: string[], expected: string[]) => {
    for (const how of ["native", "capsule"] as const) {
      const { stdout, stderr, exitCode } = await refused[how](args, {}, program);
      expect([how, withoutDirectories(stdout), stderr, exitCode]).toEqual([how, [...expected, "goes on"], "", 0]);
    }
  };
  const refusals = Object.entries(REASONS).map(([name, reason]) => `${name}: refused, ${reason}`);

  test("before the program has had one, and each time", async () => {
    for (const [i, name] of Object.keys(REASONS).entries()) {
      const refusal = refusals[i] ?? "";
      await expectAlike("program", [name, name, "libgood.so", name], [refusal, refusal, "libgood.so: 1", refusal]);
    }
  });

  test("when the program has others", async () => {
    await expectAlike("linked", Object.keys(REASONS), ["linked: 1", ...refusals]);
  });

  test("where its file has gone meanwhile: it is not the runtime's then", async () => {
    for (const [program, args] of [
      ["program", ["libgood.so"]],
      ["program", ["libfunction.so", "libgood.so"]],
      ["linked", ["libvariable.so"]],
    ] as const) {
      const out = mkdtempSync(join(tmpdir(), "capsule-test-"));
      cpSync(refused.out, out, { recursive: true, verbatimSymlinks: true });
      const gone = new Pair(out, [...ISOLATED]);
      const last = args.at(-1) ?? "";
      const { stdout, stderr } = await gone.capsule([`remove:${join(out, HOST, last)}`, ...args], {}, program);
      const missing = `${last}: refused, ${last}: cannot open shared object file: No such file or directory`;
      expect([withoutDirectories(stdout).slice(-2), stderr]).toEqual([[missing, "goes on"], ""]);
      rmSync(out, { recursive: true });
    }
  });

  test("but for a function that nobody has only where functions are bound at once", async () => {
    const opened = ["libfunction.so: opened", refusals[3] ?? ""];
    await expectAlike("program", ["lazy", "libfunction.so", "libvariable.so"], opened);
    await expectAlike("linked", ["lazy", "libfunction.so", "libvariable.so"], ["linked: 1", ...opened]);
  });
});
