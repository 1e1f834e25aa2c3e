// What commands print as JSON has the shape that schema/ publishes.

import { afterAll, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Ajv2020 from "ajv/dist/2020";
import { modelOf } from "../../../src/command-line/model.ts";
import { allCommands } from "../../../src/commands/all.ts";
import { rootCommand } from "../../../src/commands/root.ts";
import { buildSpecimens, loadedFile } from "../../lib/elf/specimens.ts";
import { LinkedTrees } from "../../support/linked-trees.ts";
import { command, repository } from "../../support/run.ts";

const trees = new LinkedTrees();
afterAll(() => trees[Symbol.dispose]());

const host = trees.path("host");
trees.library("host/usr/lib/libdoor.so.1.2.0", { needs: ["libinner.so.1", "libgone.so.1", "libc.so.6"] });
trees.library("host/usr/lib/libinner.so.1");
trees.library("own/libdoor.so.1");
trees.library("own/libinner.so.1");
const game = trees.program("bin/game", {
  needs: ["libdoor.so.1", "libinner.so.1", "libmissing.so.1", "libc.so.6"],
  runpath: "$ORIGIN/../own",
});
const SIDES = ["--host", host, "--isolate", "libdoor.so.1"];

const specimens = Object.values(buildSpecimens(trees));
/** A file whose section headers and dynamic strings cannot be read. */
const damaged = trees.path("damaged.so");
const bytes = readFileSync(loadedFile("libc.so.6"));
writeFileSync(damaged, bytes.subarray(0, bytes.length >> 1));

/** Command lines by the schema that describes what they print. */
const LINES: Readonly<Record<string, readonly string[][]>> = {
  plan: [["plan", "--json", "true"]],
  capture: [
    ["capture", "--json", "--dry-run", "--dest", trees.path("none"), "libc.so.6", "if-exists:soname:libnone.so.1"],
    ["capture", "--json", "--provider", host, "--dest", trees.path("captured"), "soname:libinner.so.1"],
  ],
  verify: [["verify", "--json", `${host}/usr/lib`]],
  tree: [
    ["tree", "--json", ...SIDES, game],
    ["tree", "--json", "--native", game, "/no/such/file", "libc.so.6"],
    ["tree", "--json", ...SIDES, "libdoor.so.1"],
  ],
  why: [
    ["why", "--json", ...SIDES, "--program", game, "libinner.so.1"],
    ["why", "--json", ...SIDES, "--program", game, "libmissing.so.1"],
    ["why", "--json", ...SIDES, "libnone.so.1"],
  ],
  version: [
    ["version", "--json", "libc.so.6"],
    ["version", "--json", "--host", host, "libdoor.so.1"],
  ],
  symbols: [
    ["symbols", "--json", "libc.so.6"],
    ["symbols", "--json", "--undefined", "true"],
  ],
  dump: [
    ["dump", "--json", "true"],
    ["dump", "--json", "--notes", "true"],
    ["dump", "--json", damaged],
  ].concat(specimens.map((path) => ["dump", "--json", path])),
  doctor: [
    ["doctor", "--json", ...SIDES, game],
    ["doctor", "--json", "--host", "/no/such/tree"],
  ],
  link: [
    ["link", "--explain=json", "true"],
    ["link", "--explain=json", loadedFile("libc.so.6")],
  ],
};

const ajv = new Ajv2020({ strict: true, allErrors: true, strictRequired: false, allowUnionTypes: true });
const schemaOf = (name: string): object =>
  JSON.parse(readFileSync(join(repository, `schema/${name}.schema.json`), "utf8"));

test("there is a schema of every command that prints JSON, and docs/commands.md names it", () => {
  const printing = modelOf(rootCommand(allCommands())).commands.filter(
    ({ name, options }) => name === "link" || options.some(({ names }) => names.includes("--json")),
  );
  const names = printing.map(({ name }) => name).sort();
  expect(readdirSync(join(repository, "schema")).sort()).toEqual(names.map((name) => `${name}.schema.json`));
  expect(Object.keys(LINES).sort()).toEqual(names);
  const docs = readFileSync(join(repository, "docs/commands.md"), "utf8");
  for (const name of names) expect(docs).toContain(`../schema/${name}.schema.json`);
});

test.each(Object.entries(LINES))("what %s prints has the shape of its schema", async (name, lines) => {
  const isValid = ajv.compile(schemaOf(name));
  for (const line of lines) {
    const { stdout } = await command(line);
    isValid(JSON.parse(stdout));
    expect([line, isValid.errors ?? []]).toEqual([line, []]);
  }
});
