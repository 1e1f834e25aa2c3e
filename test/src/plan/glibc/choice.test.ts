// Which of several glibcs a program runs on.

import { afterAll, describe, expect, test } from "bun:test";
import { LinkError } from "../../../../lib/link-error.ts";
import type { System } from "../../../../lib/process/system.ts";
import { LOADER } from "../../../../lib/tree/glibc-names.ts";
import { Search } from "../../../../lib/tree/search.ts";
import { UsageError } from "../../../../src/diagnostics/errors.ts";
import { Trace } from "../../../../src/diagnostics/trace.ts";
import { chooseGlibc, type OwnGlibc } from "../../../../src/plan/glibc/choice.ts";
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
  readonly runtime?: Search;
  readonly hosts?: readonly Search[];
  readonly named?: Search;
  readonly current?: string;
  readonly isNoexec?: boolean;
}

function chosen({ choice = "auto", runtime, hosts = [], named, current, isNoexec = false }: Given) {
  const machine = tree();
  const own = current === undefined ? OWN : { ...OWN, current };
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
    const { isOwn, isNatural } = chosen({ hosts: [host], current: pathIn(host) });
    expect([isOwn, isNatural]).toEqual([true, false]);
    expect(chosen({ current: pathIn(host) })).toMatchObject({ isOwn: false, isNatural: true });
  });

  test("refuses one that cannot be started, but not the machine's", () => {
    const hosts = [tree("2.41")];
    expect(() => chosen({ hosts, isNoexec: true })).toThrow(LinkError);
    expect(() => chosen({ hosts, isNoexec: true })).toThrow("is mounted noexec");
    expect(() => chosen({ hosts: [tree("2.41", "2.40")] })).toThrow("(--glibc says whose is used)");
    expect(chosen({ hosts: [tree("2.31")], isNoexec: true }).isOwn).toBe(true);
  });
});
