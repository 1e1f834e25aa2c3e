// Which of several glibcs a program runs on.

import { afterAll, describe, expect, test } from "bun:test";
import type { Library } from "../../../../lib/elf/library.ts";
import { LinkError } from "../../../../lib/link-error.ts";
import type { System } from "../../../../lib/process/system.ts";
import { LOADER } from "../../../../lib/tree/glibc-names.ts";
import { Search } from "../../../../lib/tree/search.ts";
import { UsageError } from "../../../../src/diagnostics/errors.ts";
import { Trace } from "../../../../src/diagnostics/trace.ts";
import { checkNeeds, chooseGlibc, type OwnGlibc } from "../../../../src/plan/glibc/choice.ts";
import type { GlibcChoice } from "../../../../src/settings/choices.ts";
import { SmallTree } from "../../../lib/tree/small-tree.ts";

const trees: SmallTree[] = [];
afterAll(() => {
  for (const tree of trees) tree[Symbol.dispose]();
});

/** A tree with a glibc of this version, or none. */
function tree(version?: string, loaders = version): Search {
  const banner = (release = "") => `GNU C Library stable release version ${release}.`;
  const small = new SmallTree(
    version === undefined
      ? {}
      : {
          "/usr/lib/x86_64-linux-gnu/libc.so.6": { soname: "libc.so.6", comment: banner(version) },
          [`/lib64/${LOADER}`]: { soname: LOADER, comment: banner(loaders) },
        },
  );
  trees.push(small);
  return new Search(small.tree);
}

const OWN: OwnGlibc = { path: "/usr/lib/libc.so.6", version: "2.36" };

interface Given {
  readonly choice?: GlibcChoice;
  readonly machine?: Search;
  readonly runtime?: Search;
  readonly hosts?: readonly Search[];
  readonly named?: Search;
  readonly own?: OwnGlibc;
  readonly isNoexec?: boolean;
}

function chosen({ choice = "auto", machine = tree(), runtime, hosts = [], named, own = OWN, isNoexec = false }: Given) {
  const sources = { own, machine, runtime: runtime ?? machine, hosts, named };
  return chooseGlibc(choice, sources, { isNoexec: () => isNoexec } as unknown as System, new Trace([]));
}

const pathIn = ({ tree }: Search): string => `${tree.root}/usr/lib/x86_64-linux-gnu/libc.so.6`;

describe("chooseGlibc()", () => {
  test("keeps the machine's own, unless another is newer", () => {
    for (const version of ["2.31", "2.36"]) {
      const hosts = [tree(version)];
      const { version: found, isOwn, isNatural, whose, others } = chosen({ hosts });
      expect([found, isOwn, isNatural, whose]).toEqual(["2.36", true, true, "the machine's own"]);
      expect(others.map((one) => one.version)).toEqual([version]);
    }
  });

  test("takes the newest of all, by number, and of two equals the first", () => {
    const hosts = [tree("2.100"), tree("2.41"), tree("2.100")];
    const { version, path, isOwn, isNatural, glibc, others } = chosen({ hosts, runtime: tree("2.9") });
    expect([version, isOwn, isNatural]).toEqual(["2.100", false, false]);
    expect(path).toBe(pathIn(hosts[0] as Search));
    expect(glibc?.libc.path).toBe(path);
    expect(others.map((one) => one.version)).toEqual(["2.36", "2.9", "2.41", "2.100"]);
  });

  test.each<[GlibcChoice, Omit<Given, "choice">, string]>([
    ["host", { hosts: [tree("2.31"), tree("2.33")] }, "2.33"],
    ["runtime", { runtime: tree("2.31"), hosts: [tree("2.41")] }, "2.31"],
    ["runtime", { runtime: tree(), hosts: [tree("2.41")] }, "2.36"],
    ["runtime", { hosts: [tree("2.41")] }, "2.36"],
    [{ tree: "/named" }, { named: tree("2.32"), hosts: [tree("2.41")] }, "2.32"],
  ])("takes that of whom the user says: %p", (choice, given, version) => {
    expect(chosen({ choice, ...given }).version).toBe(version);
  });

  test("says that the chosen place has none", () => {
    expect(() => chosen({ choice: "host", hosts: [tree()] })).toThrow(UsageError);
    expect(() => chosen({ choice: "host" })).toThrow("There is no glibc of a host's to choose: no host tree has one");
    expect(() => chosen({ choice: { tree: "/named" }, named: tree() })).toThrow(/^There is no glibc in "/);
  });

  test("is what this process runs on, if it has been started over", () => {
    const host = tree("2.41");
    const { isOwn, isNatural } = chosen({ hosts: [host], own: { ...OWN, current: pathIn(host) } });
    expect([isOwn, isNatural]).toEqual([true, false]);
    expect(chosen({ own: { ...OWN, current: pathIn(host) } })).toMatchObject({ isOwn: false, isNatural: true });
  });

  test("has its files only if ld.so would not find them itself", () => {
    const machine = tree("2.36");
    const path = pathIn(machine);
    const glibcWith = (given: Given) => chosen({ machine, ...given, own: { path, version: "2.36" } }).glibc?.libc.path;
    expect([glibcWith({}), glibcWith({ runtime: tree("2.31") })]).toEqual([undefined, path]);
  });

  test("refuses one that cannot be started, but not the machine's", () => {
    const hosts = [tree("2.41")];
    expect(() => chosen({ hosts, isNoexec: true })).toThrow(LinkError);
    expect(() => chosen({ hosts, isNoexec: true })).toThrow("is mounted noexec");
    expect(() => chosen({ hosts: [tree("2.41", "2.40")] })).toThrow("(--glibc says whose is used)");
    expect(chosen({ hosts: [tree("2.31")], isNoexec: true }).isOwn).toBe(true);
  });
});

describe("checkNeeds()", () => {
  const library = (soname: string, more: Partial<Library> = {}): Library =>
    ({ soname, path: `/lib/${soname}`, needed: [], isLibc: false, glibc: undefined, ...more }) as unknown as Library;
  const check = (...libraries: Library[]) =>
    checkNeeds(libraries, { version: "2.36", path: "/libc", glibc: undefined, isOwn: true, isNatural: true });

  test("takes what needs no newer glibc", () => {
    check(
      library("liba.so"),
      library("libb.so", { glibc: "2.9" }),
      library("libc.so.6", { isLibc: true, glibc: "2.36" }),
    );
  });

  test.each([
    [
      "another libc's",
      '"/lib/liba.so": it is built for another libc',
      [library("liba.so", { needed: ["libc.musl.so"] })],
    ],
    ["another libc", '"/lib/libc.musl.so": it is built for another libc', []],
  ])("refuses %s", (_, reason, users) => {
    const libc = library("libc.musl.so", { isLibc: true });
    expect(() => check(library("libz.so"), ...users, libc)).toThrow(
      `Cannot use ${reason} than glibc, "/lib/libc.musl.so"`,
    );
  });

  test("refuses what needs a newer glibc", () => {
    const newer = [library("liba.so"), library("libb.so", { glibc: "2.37" })];
    expect(() => check(...newer)).toThrow('"/lib/libb.so": it needs glibc 2.37, and the one that was chosen is 2.36');
  });
});
