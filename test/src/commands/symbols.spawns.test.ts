// `capsule symbols`: what readelf says of the same files, and what becomes of bad ones.

import { afterAll, describe, expect, test } from "bun:test";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openImage } from "../../../lib/elf/file.ts";
import { type ShownSymbol, symbolsOf, tableOf } from "../../../src/commands/symbols.ts";
import { symbolsOf as readelfSymbols, versionsOf } from "../../lib/elf/readelf.ts";
import { Scratch } from "../../lib/elf/scratch.ts";
import { buildSpecimens, realImages } from "../../lib/elf/specimens.ts";
import { COMMAND, command, type Outcome, repository, run } from "../../support/run.ts";

const capsule = (...args: string[]): Promise<Outcome> => command([...args]);

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());
const specimens = buildSpecimens(scratch);
const versioned = specimens["symbol versions"] ?? "";

const LOCAL = 0;
const ABSOLUTE = 0xfff1;
const TYPES: Record<number, string> = { 0: "untyped", 1: "object", 2: "function", 6: "tls", 10: "ifunc" };
const BINDINGS: Record<number, string> = { 1: "global", 2: "weak", 10: "unique" };

/** readelf's lines, as ours: what it calls `name@VERSION` is either hidden or needed. */
function expected(path: string, isWanted: boolean): string[] {
  // A version is itself a symbol, an absolute one.
  const versions = new Set(versionsOf(path).verdefs.map(({ name }) => name));
  return readelfSymbols(path)
    .filter(({ st_shndx, name, binding }) =>
      isWanted ? st_shndx === 0 && name !== "" : st_shndx !== 0 && binding !== LOCAL,
    )
    .filter(({ name, st_shndx }) => st_shndx !== ABSOLUTE || !versions.has(name))
    .map(({ name, type, binding, st_size }) => `${TYPES[type]} ${BINDINGS[binding]} ${st_size} ${name}`)
    .sort();
}

function shown(path: string, isWanted: boolean): ShownSymbol[] {
  using image = openImage(path);
  return symbolsOf(image, isWanted);
}

describe("agrees with readelf on", () => {
  for (const [name, path] of Object.entries({ ...specimens, ...realImages }))
    test.skipIf(path === undefined)(`${name}${path === undefined ? ": not installed" : ""}`, () => {
      for (const isWanted of [false, true]) {
        const lines = tableOf(shown(path ?? "", isWanted))
          .split("\n")
          .slice(0, -1);
        expect(lines.map((line) => line.replace(/ +/g, " ")).sort()).toEqual(expected(path ?? "", isWanted));
      }
    });
});

describe("the symbols", () => {
  test("are those with versions, hidden ones too, and of every type, in the order of their names", async () => {
    const { stdout, stderr, exitCode } = await capsule("symbols", versioned);
    expect([stderr, exitCode]).toEqual(["", 0]);
    const lines = stdout.trimEnd().split("\n");
    const fields = lines.map((line) => line.split(/ +/));
    expect(fields.map(([type, binding, , name]) => [type, binding, name])).toEqual([
      ["function", "global", "blue@@RED_1"],
      ["tls", "global", "green"],
      ["ifunc", "global", "indirect"],
      ["function", "global", "red@RED_1"],
      ["function", "global", "red@@RED_2"],
      ["function", "global", "red_1"],
      ["function", "global", "red_2"],
      ["function", "global", "say@@RED_2"],
      ["object", "global", "table"],
    ]);
  });

  test("that it needs of others, with the version that it was linked against", async () => {
    const { stdout } = await capsule("symbols", "--undefined", versioned);
    const names = stdout.split("\n").map((line) => line.split(/ +/)[3]);
    expect(names).toContain("puts@GLIBC_2.2.5");
    expect(names).not.toContain("say@@RED_2");
  });

  test("as JSON are the same", async () => {
    const { stdout, exitCode } = await capsule("symbols", "--json", versioned);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toEqual(JSON.parse(JSON.stringify(shown(versioned, false))));
    expect(JSON.parse(stdout)[0]).toEqual({
      name: "blue",
      version: "RED_1",
      isDefault: true,
      type: "function",
      binding: "global",
      size: expect.any(Number),
    });
  });

  test("of a soname are those of the host tree's library, which is not loaded", async () => {
    const { stdout, exitCode } = await capsule("symbols", "--host", "/", "libc.so.6");
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^ifunc +global +\d+ {2}memcpy@@GLIBC_2\.14$/m);
  });
});

describe("standard output", () => {
  const library = realImages["libc.so.6"] ?? "";
  const argv = [...COMMAND, "symbols", library].map((arg) => `'${arg}'`).join(" ");
  const shell = (script: string): Promise<Outcome> => run(["bash", "-c", script]);

  test("that nobody reads any more ends it as SIGPIPE ends others, without a word", async () => {
    const { stdout, stderr } = await shell(`${argv} | exec 0<&-; echo "\${PIPESTATUS[0]}"`);
    expect([stdout, stderr]).toEqual(["141\n", ""]);
  });

  test("that has no room is an error", async () => {
    const { stderr, exitCode } = await shell(`${argv} >/dev/full`);
    expect(stderr).toContain("no space left on device");
    expect(exitCode).toBe(125);
  });

  test("that must not be waited for gets all of it", async () => {
    const fifo = scratch.path("fifo");
    await run(["mkfifo", fifo]);
    // O_RDWR | O_NONBLOCK: an end of its own keeps the FIFO, and what is inherited does not block
    const end = openSync(fifo, 0o2 | 0o4000);
    const child = Bun.spawn([...COMMAND, "symbols", library], { stdout: end, stderr: "pipe" });
    const reader = Bun.spawn(["cat", fifo], { stdout: "pipe" });
    const exitCode = await child.exited;
    closeSync(end);
    expect(await reader.stdout.text()).toBe(tableOf(shown(library, false)));
    expect(exitCode).toBe(0);
  });
});

describe("a clear error, and nothing on standard output, for", () => {
  const truncated = scratch.write("libshort.so", readFileSync(versioned).subarray(0, 700));
  const program = scratch.compile("static", "int main(void) { return 0; }", "-static");
  const mistakes: [string, string[], string, number][] = [
    ["no such soname", ["libnone.so.9"], "/lib/x86_64-linux-gnu/libnone.so.9: no such file", 125],
    ["no such file", ["./libnone.so.9"], 'Cannot find "./libnone.so.9": no such file', 125],
    ["a directory", ["/usr/"], 'Cannot read "/usr": file: not a regular file', 125],
    ["a text", [join(repository, "package.json")], "not an ELF file", 125],
    ["a file that ends too soon", [truncated], "beyond the end of the file", 125],
    ["a static program", [program], "statically linked", 125],
    ["an empty name", [""], "a file or a soname is needed", 125],
    ["no name", [], "missing required argument 'library'", 2],
    ["no host tree", ["--host", "/nowhere", "libc.so.6"], "there is no such directory", 125],
    ["an empty host tree", ["--host", "", "libc.so.6"], 'Cannot use the host tree ""', 2],
  ];
  for (const [what, args, message, code] of mistakes)
    test(what, async () => {
      const { stdout, stderr, exitCode } = await capsule("symbols", ...args);
      expect(stdout).toBe("");
      expect(stderr).toContain(message);
      expect(stderr).not.toMatch(/^ +at /m);
      expect(exitCode).toBe(code);
    });
});
