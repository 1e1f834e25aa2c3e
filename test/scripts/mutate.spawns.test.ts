// Mutation testing, on a tree of one function.

import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Checker } from "../../scripts/mutate/checker.ts";
import { Copy } from "../../scripts/mutate/copy.ts";
import { mutantsOf } from "../../scripts/mutate/mutations.ts";
import { executedLines } from "../../scripts/mutate/tests.ts";
import { mutate, type Options } from "../../scripts/mutate.ts";
import { repository } from "../support/run.ts";

const directory = mkdtempSync(join(tmpdir(), "capsule-mutated-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const TSCONFIG = {
  compilerOptions: { strict: true, types: [], module: "preserve", target: "esnext", noEmit: true },
  include: ["lib"],
};

let trees = 0;
function treeOf(files: Record<string, string>): string {
  const root = join(directory, `${trees++}`);
  for (const folder of ["lib", "src", "test/lib/far"]) mkdirSync(join(root, folder), { recursive: true });
  symlinkSync(join(repository, "node_modules"), join(root, "node_modules"));
  for (const [name, text] of Object.entries({ "tsconfig.json": JSON.stringify(TSCONFIG), ...files }))
    writeFileSync(join(root, name), text);
  return root;
}

/** What it prints for a tree. */
async function printed(root: string, options: Partial<Options> = {}): Promise<string[]> {
  const lines: string[] = [];
  const print = (line: string) => lines.push(line);
  const given = {
    root,
    paths: ["lib"],
    sample: Infinity,
    seed: 1,
    skip: 0,
    jobs: 1,
    tests: "quick",
    patienceMs: 5_000,
  } as const;
  await mutate({ ...given, print, ...options });
  return lines;
}

describe("mutantsOf()", () => {
  /** The code's changes, each as the whole code after it. */
  async function changed(code: string): Promise<string[]> {
    const root = treeOf({ "lib/code.ts": code });
    await using checker = new Checker(root);
    const [parsed] = await Array.fromAsync(checker.parse(["lib/code.ts"]));
    const mutants = parsed ? mutantsOf(...parsed) : [];
    return mutants.map(({ text, start, end, replacement }) => text.slice(0, start) + replacement + text.slice(end));
  }

  test.each([
    ["a < b;", ["; ", "a <= b;"]],
    ["x = a === b;", [";", "x = a !== b;"]],
    ["if (a < 0) b();", ["if (!(a < 0)) b();", "if (a <= 0) b();", "if (a < 1) b();", "if (a < 0) ;"]],
    ["if (!a) b();", ["if (a) b();", "if (!a) ;"]],
    ["x = a && b || true;", [";", "x = a && b && true;", "x = a || b || true;", "x = a && b || false;"]],
    ["x = 16;", [";", "x = 17;", "x = 15;", "x = 0;"]],
    ["x = 0xffn;", [";", "x = 256n;", "x = 254n;", "x = 0n;"]],
    ["x = 1e300;", [";", "x = 0;"]],
    ["x = a ?? b;", [";", "x = a;"]],
    ["x = Math.min(a, b);", [";", "x = Math.max(a, b);"]],
    ["x = a & b | c << d;", [";", "x = a & b & c << d;", "x = a | b | c << d;", "x = a & b | c >> d;"]],
    ['x = "a" + b - c;', [";", 'x = "a" + b + c;']],
    ["for (; a; i++) ;", ["for (; !(a); i++) ;", "for (; a; i--) ;"]],
    ["a.toString();", [";"]],
    ["type A = 1 | 2;", []],
    ['import { a } from "./a.ts";', []],
  ])("%s", async (code, expected) => {
    expect((await changed(code)).sort()).toEqual(expected.map((text) => text.trim()).sort());
  });
});

test("executedLines() are those of which lcov counts an execution", () => {
  const lcov =
    "TN:\nSF:lib/a.ts\nDA:1,1\nDA:2,0\nDA:10,12\nLF:3\nend_of_record\nTN:\nSF:lib/b.ts\nDA:7,3\nend_of_record\n";
  const lines = executedLines(lcov);
  expect(lines.get("lib/a.ts")).toEqual(new Set([1, 10]));
  expect(lines.get("lib/b.ts")).toEqual(new Set([7]));
});

const CLAMP = `
export function clamp(value: number, low: number, high: number | undefined): number {
  const most = high ?? 100;
  if (value < low) return low;
  for (let i = 0; i !== 3; i++) ;
  return Math.min(value, most);
}

export function twice(a: number): number {
  return a + a;
}
`;
const CLAMP_TEST = `
import { expect, test } from "bun:test";
import { clamp } from "../../lib/clamp.ts";

test("clamp", () => {
  expect(clamp(1, 2, 3)).toBe(2);
  expect(clamp(4, 2, 3)).toBe(3);
});
`;

describe("mutate", () => {
  const root = treeOf({ "lib/clamp.ts": CLAMP, "test/lib/clamp.test.ts": CLAMP_TEST });

  test("tells what no test notices, which tests were run, and what no test executes", async () => {
    const lines = await printed(root);
    expect(lines).toContain("lib/clamp.ts:4: < → <=, in if (value < low) return low;\n    test/lib/clamp.test.ts");
    expect(lines).toContain("lib/clamp.ts:10: + → -, in return a + a;\n    no test");
    // Negated conditions and the other bound are noticed, a loop without end is late, and "most" may not be undefined.
    const told = lines.slice(1, -1).map((line) => line.slice(0, line.indexOf(", in")));
    expect(told.filter((line) => line.includes(":4:") || line.includes(":6:"))).toEqual(["lib/clamp.ts:4: < → <="]);
    expect(told).not.toContain("lib/clamp.ts:3: high ?? 100 → high");
    expect(lines.at(-1)).toMatch(/^lib: \d+ killed, [1-9] late, 1 refused, \d+ survived, 1 unmet$/);
  });

  test("leaves the tree as it was", () => expect(readFileSync(join(root, "lib/clamp.ts"), "utf8")).toBe(CLAMP));

  test("takes as many as were asked for, and the same ones for the same seed", async () => {
    const [first, again, other] = [
      await printed(root, { sample: 4 }),
      await printed(root, { sample: 4, jobs: 2 }),
      await printed(root, { sample: 4, seed: 2 }),
    ];
    expect(first[0]).toStartWith("4 mutants in 1 files");
    expect(again.sort()).toEqual([...first].sort());
    expect(other).not.toEqual(first);
  });

  test("continues after those that it is to skip", async () => {
    const paths = ["lib/clamp.ts:4", "lib/clamp.ts:10"];
    const parts = [await printed(root, { paths, sample: 2 }), await printed(root, { paths, skip: 2 })];
    const whole = await printed(root, { paths });
    expect(parts.flatMap((lines) => lines.slice(1, -1))).toEqual(whole.slice(1, -1));
    expect(parts.map(([first]) => first)).toEqual(["2 mutants in 1 files, 1 test files", expect.any(String)]);
  });

  test("tells how to continue after an interruption", async () => {
    const controller = new AbortController();
    controller.abort();
    expect(await printed(root, { skip: 3, signal: controller.signal })).toContain("Interrupted: --skip 3 continues");
  });

  test("takes the mutants of one line", async () => {
    const lines = await printed(root, { paths: ["lib/clamp.ts:10"] });
    expect(lines).toEqual([
      "1 mutants in 1 files, 1 test files",
      "lib/clamp.ts:10: + → -, in return a + a;\n    no test",
      "lib: 0 killed, 0 late, 0 refused, 0 survived, 1 unmet",
    ]);
  });

  test("begins with the tests of the file and its folder", async () => {
    const importing = (from: string) =>
      `import { twice } from "${from}";\nimport { test } from "bun:test";\ntest("a", () => void twice(1));`;
    const tree = treeOf({
      "lib/clamp.ts": CLAMP,
      "test/lib/clamp.test.ts": importing("../../lib/clamp.ts"),
      "test/lib/near.test.ts": importing("../../lib/clamp.ts"),
      "test/lib/far/a.test.ts": importing("../../../lib/clamp.ts"),
    });
    const [, survivor] = await printed(tree, { paths: ["lib/clamp.ts:10"] });
    expect(survivor).toEndWith("    test/lib/clamp.test.ts test/lib/near.test.ts test/lib/far/a.test.ts");
  });

  test("leaves out a test that fails without a change", async () => {
    const lines = await printed(treeOf({ "lib/a.ts": "export const a = 1 + 1;", "test/lib/a.test.ts": FAILING }));
    expect(lines[0]).toBe("test/lib/a.test.ts fails without any change, and is left out");
    expect(lines.at(-1)).toEndWith("0 killed, 0 late, 0 refused, 0 survived, 5 unmet");
  });

  test("leaves out a test that fails in the sandbox", async () => {
    const mark = join(directory, "written");
    const writing = `
      import "../../lib/a.ts";
      import { writeFileSync } from "node:fs";
      import { test } from "bun:test";
      test("a", () => writeFileSync(${JSON.stringify(mark)}, ""));`;
    const lines = await printed(treeOf({ "lib/a.ts": "export const a = 1 + 1;", "test/lib/a.test.ts": writing }));
    expect(existsSync(mark)).toBe(true);
    expect(lines[0]).toBe("test/lib/a.test.ts fails in the sandbox, and is left out");
    expect(lines.at(-1)).toEndWith("0 killed, 0 late, 0 refused, 0 survived, 5 unmet");
  });

  test("throws where there are no sources", () => expect(printed(root, { paths: ["lib/none"] })).rejects.toThrow());
});

const FAILING =
  'import "../../lib/a.ts"; import { test } from "bun:test"; test("a", () => { throw new Error("no"); });';

describe("what a mutant's tests do", () => {
  test("reaches neither files nor processes outside", async () => {
    const mark = join(directory, "mark");
    const root = treeOf({
      "lib/a.ts": "",
      "test/lib/write.test.ts": `
        import { expect, test } from "bun:test";
        import { existsSync, writeFileSync } from "node:fs";
        test("write", () => {
          for (const path of ["/capsule-mark", import.meta.path, ${JSON.stringify(mark)}])
            expect(() => writeFileSync(path, "")).toThrow();
          expect(existsSync("/proc/${process.pid}/exe")).toBe(false);
        });`,
    });
    using copy = new Copy(root);
    expect(await copy.passes(["./test/lib/write.test.ts"], "", 60_000)).toBe(true);
    expect(existsSync(mark)).toBe(false);
  });
});
