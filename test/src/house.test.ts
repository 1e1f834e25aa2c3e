// The storeys of the house: what each folder may import. CONTRIBUTING.md draws them.

import { describe, expect, test } from "bun:test";
import { type Imports, importedIn, importsOf } from "../../scripts/imports.ts";
import { repository } from "../support/run.ts";

/** From the ground up: a folder, or a file that stands alone, may import those before it and no others. */
const STOREYS = [
  ["lib/link-error.ts", "lib/ownership.ts", "lib/sealed.ts", "lib/unless.ts"],
  ["lib/regular-file.ts"],
  ["lib/own-files.ts"],
  ["lib/memory"],
  ["lib/x86-64"],
  ["lib/elf"],
  ["lib/process"],
  ["lib/loader", "lib/tree"],
  ["lib/link"],
  ["src/diagnostics", "src/profiles"],
  ["src/directories"],
  ["src/settings"],
  ["src/plan"],
  ["src/agent", "src/reexec"],
  ["src/handover"],
  ["src/passes"],
  ["src/server"],
  ["src/hosted", "src/attached"],
  ["src/run-program.ts"],
  ["src/report", "src/doctor", "src/explain", "src/capture", "src/command-line"],
  ["src/commands", "src/library"],
  ["src/command.ts", "src/exec.ts", "src/index.ts"],
  ["src/main.ts"],
];

/** A folder of src or lib, or a file that is in none. */
const roomOf = (file: string): string => file.split("/").slice(0, 2).join("/");

/** Imports of what is above, or on the same storey. */
function risingIn(imports: Imports): string[] {
  const storeyOf = (file: string) => STOREYS.findIndex((rooms) => rooms.includes(roomOf(file)));
  return [...imports].flatMap(([file, others]) =>
    others
      .filter((other) => roomOf(other) !== roomOf(file) && storeyOf(other) >= storeyOf(file))
      .map((other) => `${file} imports ${other}`),
  );
}

/** Files of which each imports the next, and the last the first. */
function circlesIn(imports: Imports): string[] {
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    const before = path.indexOf(file);
    if (before >= 0) circles.push([...path.slice(before), file].join(" → "));
    if (before >= 0 || done.has(file)) return;
    for (const other of imports.get(file) ?? []) visit(other, [...path, file]);
    done.add(file);
  };
  for (const file of imports.keys()) visit(file, []);
  return circles;
}

const imports: Imports = new Map(
  [...importsOf(repository, ["src", "lib"])].map(([file, others]) => [
    file,
    others.filter((other) => /^(src|lib)\//.test(other)),
  ]),
);

describe("src and lib", () => {
  test("have no room that is on no storey, and no storey without a room", () => {
    const rooms = new Set([...imports.keys()].map(roomOf));
    expect([...rooms].sort()).toEqual(STOREYS.flat().sort());
  });

  test("import nothing from above", () => expect(risingIn(imports)).toEqual([]));

  test("have no circle of files", () => expect(circlesIn(imports)).toEqual([]));
});

describe("what is found where it is wrong", () => {
  test("an import from above, or from the next room", () => {
    const wrong = new Map([
      ["src/plan/plan.ts", ["src/plan/mode.ts", "src/hosted/run.ts", "lib/elf/dyn.ts"]],
      ["src/attached/attach.ts", ["src/hosted/scope.ts"]],
      ["lib/elf/dyn.ts", ["src/plan/plan.ts"]],
    ]);
    expect(risingIn(wrong)).toEqual([
      "src/plan/plan.ts imports src/hosted/run.ts",
      "src/attached/attach.ts imports src/hosted/scope.ts",
      "lib/elf/dyn.ts imports src/plan/plan.ts",
    ]);
  });

  test("a circle", () => {
    const wrong = new Map([
      ["a", ["b"]],
      ["b", ["c"]],
      ["c", ["b"]],
    ]);
    expect(circlesIn(wrong)).toEqual(["b → c → b"]);
  });

  test("and imports of every form are seen", () => {
    const text = 'import type { A } from "./a.ts";\nexport { b } from "./b.ts";\nimport "./c.ts";\nimport("./d.ts");';
    expect(importedIn(text)).toEqual(["./a.ts", "./b.ts", "./c.ts", "./d.ts"]);
  });
});
