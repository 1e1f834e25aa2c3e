// Which symbol of a library is found for a name, by us and by the machine's own ld.so: for dlsym, for dlvsym, and for
// references without and with a version.

import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { DT_VERSYM } from "../../../lib/elf/constants.ts";
import { openImage } from "../../../lib/elf/file.ts";
import { toVaddr } from "../../../lib/memory/numbers.ts";
import { run, Scratch } from "./scratch.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

interface Fixture {
  /** In order. */
  readonly versions: readonly string[];
  /** The library's functions, and the versions that each has, with their signs: `@` for an old one, `@@` for the default. */
  readonly functions: Readonly<Record<string, readonly string[]>>;
}

const FIXTURES: Readonly<Record<string, Fixture>> = {
  "without versions": { versions: [], functions: { tone: [""] } },
  "with a default and an old version": {
    versions: ["V1", "V2"],
    functions: { tone: ["@V1", "@@V2"], other: ["@@V1"] },
  },
  "with a hidden version only, its first": { versions: ["V1"], functions: { tone: ["@V1"] } },
  "with a hidden version only, its second": {
    versions: ["V1", "V2"],
    functions: { tone: ["@V2"], other: ["@@V1"] },
  },
  "with two hidden versions after its first": {
    versions: ["V1", "V2", "V3"],
    functions: { tone: ["@V2", "@V3"], other: ["@@V1"] },
  },
  "with an old version after its first, and a default one": {
    versions: ["V1", "V2", "V3"],
    functions: { tone: ["@V2", "@@V3"], other: ["@@V1"] },
  },
  "with versions that one of its functions lacks": {
    versions: ["V1"],
    functions: { tone: [""], other: ["@@V1"] },
  },
};

/** Where a function is in its library; 0 for none. */
const WHERE = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
long where(void *at) {
  Dl_info info;
  return at && dladdr(at, &info) ? (char *)at - (char *)info.dli_fbase : 0;
}
`;

/** Prints what dlsym finds in a library, and dlvsym in each version. */
const ASKER = `${WHERE}
int main(int argc, char **argv) {
  void *library = dlopen(argv[1], RTLD_NOW);
  printf("%ld", where(dlsym(library, "tone")));
  for (int i = 2; i < argc; i++) printf(" %ld", where(dlvsym(library, "tone", argv[i])));
  return 0;
}
`;

/** Prints what a reference without a version is bound to. It is weak, so that it may be to nothing. */
const REFERRER = `${WHERE}
__attribute__((weak)) int tone(void);
int main(void) { return printf("%ld", where(tone)) < 0; }
`;

const ANY = ["V1", "V2", "V3", "V4"];

describe("a symbol of a library", () => {
  for (const [words, fixture] of Object.entries(FIXTURES))
    test(words, () => expectAsLdSo(built(words.replaceAll(/\W+/g, "-"), fixture)));

  test("with two default versions", () => {
    const path = built("two", { versions: ["V1", "V2", "V3"], functions: { tone: ["@V2", "@@V3"], other: ["@@V1"] } });
    expectAsLdSo(changedVersions(path, (index) => index & 0x7fff));
  });

  test("without a version, hidden", () => {
    const path = built("base", { versions: ["V1"], functions: { tone: [""], other: ["@@V1"] } });
    expectAsLdSo(changedVersions(path, (index) => (index === 1 ? 0x8001 : index)));
  });
});

const asker = scratch.compile("asker", ASKER, "-ldl");
// What it is linked to has no versions.
const stub = scratch.compile(
  "libtone.so",
  "int tone(void) { return 9; }",
  "-shared",
  "-fPIC",
  "-Wl,-soname,libtone.so",
);
const referrer = scratch.compile("referrer", REFERRER, "-fPIC", "-Wl,--no-as-needed", stub, "-ldl");

function built(name: string, { versions, functions }: Fixture): string {
  const source = Object.entries(functions).flatMap(([symbol, ways]) =>
    ways.map((version, i) => {
      const own = version === "" ? symbol : `${symbol}_${i}`;
      const label = version === "" ? "" : `__asm__(".symver ${own}, ${symbol}${version}");`;
      return `${label} int ${own}(void) { return ${i}; }`;
    }),
  );
  const script = scratch.write(`${name}.map`, versions.map((version) => `${version} {};`).join("\n"));
  const directory = scratch.path(name);
  run(["mkdir", "-p", directory]);
  const flags = ["-shared", "-fPIC", "-Wl,-soname,libtone.so"];
  return scratch.compile(
    `${name}/libtone.so`,
    source.join("\n"),
    ...flags,
    ...(versions.length > 0 ? [`-Wl,--version-script=${script}`] : []),
  );
}

/** Changes the version index of each definition of the library. */
function changedVersions(path: string, change: (index: number) => number): string {
  using image = openImage(path);
  const bytes = Buffer.from(readFileSync(path));
  const at = image.dynamic.get(DT_VERSYM) ?? 0;
  const load = image.loads.find(({ p_vaddr, p_filesz }) => at >= p_vaddr && at < p_vaddr + p_filesz);
  const offset = toVaddr(at - (load?.p_vaddr ?? 0) + (load?.p_offset ?? 0));
  for (const [i, sym] of [...image.symbols].entries())
    if (sym.st_shndx !== 0) bytes.writeUInt16LE(change(bytes.readUInt16LE(offset + 2 * i)), offset + 2 * i);
  return scratch.write(path.slice(scratch.directory.length + 1), bytes);
}

function expectAsLdSo(path: string): void {
  using image = openImage(path);
  const directory = path.slice(0, path.lastIndexOf("/"));
  const bound = Bun.spawnSync([referrer], { env: { LD_LIBRARY_PATH: directory } }).stdout.toString();
  const [plain, ...versioned] = run([asker, path, ...ANY]).split(" ");
  const ours = (index: number | undefined): string => `${index === undefined ? 0 : image.symbols.at(index).st_value}`;
  expect([ours(image.find("tone")), ours(image.findReferenced("tone", undefined))]).toEqual([plain ?? "", bound]);
  // dlvsym, unlike a relocation, takes no unversioned symbol of a library with versions.
  const isExact = (index: number) => !image.versym || image.versionOf(index) !== undefined;
  const found = ANY.map((version) => image.findReferenced("tone", version));
  expect(found.map((index) => ours(index !== undefined && isExact(index) ? index : undefined))).toEqual(versioned);
}
