// Which of two releases is the newer one, by each way to tell, and by several in an order.

import { beforeAll, describe, expect, test } from "bun:test";
import { LibraryStore } from "../../../lib/tree/library-store.ts";
import { Search } from "../../../lib/tree/search.ts";
import { Tree } from "../../../lib/tree/tree.ts";
import { compare, type Verdict } from "../../../src/capture/compare.ts";
import { type Comparator, type Known, parseKnowledge } from "../../../src/capture/knowledge.ts";
import { LIBRARIES, sonameOf, twoCopies } from "../../support/two-copies.ts";

let trees: { readonly v1: Search; readonly v2: Search };

beforeAll(async () => {
  const { v1, v2 } = await twoCopies();
  const store = new LibraryStore();
  trees = { v1: new Search(new Tree(v1), [], store), v2: new Search(new Tree(v2), [], store) };
});

const pathOf = (search: Search, soname: string): string => search.find(soname, undefined)?.path ?? "";

type Release = "v1" | "v2";

function verdict(name: string, provider: Release, by: readonly Comparator[], known: Known = {}): Verdict {
  const soname = sonameOf(name);
  const container = provider === "v1" ? "v2" : "v1";
  const paths = { provider: pathOf(trees[provider], soname), container: pathOf(trees[container], soname) };
  return compare({ soname, ...paths }, by, known, trees.v1.store);
}

/** The newer release; undefined if that comparison cannot tell. */
function newer(name: string, provider: Release, by: Comparator, known?: Known): Release | undefined {
  const [comparison] = verdict(name, provider, [by], known).comparisons;
  const other = provider === "v1" ? "v2" : "v1";
  return comparison?.newer == null ? undefined : comparison.newer === "provider" ? provider : other;
}

/** Where the second release is the newer one; nowhere is it the first. */
const NEWER: Readonly<Record<"name" | "versions" | "symbols", readonly string[]>> = {
  name: ["unversionednumber", "versionednumber", "versionedlikedbus"],
  versions: ["versionedlikeglibc", "versionedprivatenothidden", "versionedupgrade"],
  symbols: [
    ...["unversionedsymbols", "versionedlikeglibc", "versionedprivatenothidden"],
    ...["versionedsymbols", "versionedupgrade"],
  ],
};

for (const by of ["name", "versions", "symbols"] as const)
  describe(`by ${by}, whichever side is the provider's:`, () => {
    for (const name of LIBRARIES) {
      const expected = NEWER[by].includes(name) ? "v2" : undefined;
      test(`${name}: ${expected ?? "it cannot tell"}`, () => {
        expect([newer(name, "v1", by), newer(name, "v2", by)]).toEqual([expected, expected]);
      });
    }
  });

test("by provider and by container, these are newer, whatever they have", () => {
  for (const name of LIBRARIES)
    for (const side of ["v1", "v2"] as const)
      expect([verdict(name, side, ["provider"]).winner, verdict(name, side, ["container"]).winner]).toEqual([
        "provider",
        "container",
      ]);
});

describe("in an order, the first that can tell decides:", () => {
  const taken = (provider: Release, by: readonly Comparator[]) =>
    LIBRARIES.filter((name) => verdict(name, provider, by).winner === "provider");
  const ORDER = ["versions", "name", "symbols", "provider"] as const;

  test("of an older provider, what broke its ABI is taken, as nothing can tell", () => {
    expect(taken("v1", ORDER)).toEqual(["unversionedabibreak", "versionedabibreak"]);
  });
  test("of a newer provider, everything", () => expect(taken("v2", ORDER)).toEqual(LIBRARIES));
  test("with the container last, what nothing can tell is left", () => {
    const left = ["unversionedabibreak", "versionedabibreak"];
    expect(taken("v2", ["versions", "name", "symbols", "container"])).toEqual(
      LIBRARIES.filter((name) => !left.includes(name)),
    );
  });
  test("by name, then the provider's: only files with lower numbers are left", () => {
    const left = ["unversionednumber", "versionedlikedbus", "versionednumber"];
    expect(taken("v1", ["name", "provider"])).toEqual(LIBRARIES.filter((name) => !left.includes(name)));
  });
  test("without any that can tell, the provider's is taken, and that is said", () => {
    expect(verdict("versionedabibreak", "v1", ["versions"])).toMatchObject({ winner: "provider", by: null });
  });
  test("what is known of a library comes before what was asked for", () => {
    expect(verdict("versionednumber", "v1", ["provider"], { compareBy: ["name"] }).winner).toBe("container");
  });
});

describe("what is private does not count:", () => {
  const known = (soname: string) =>
    parseKnowledge(`[Library ${soname}]\nPublicSymbolVersions=!P*;*;`, "file").get(soname);

  test("private symbols of another version hide nothing", () => {
    expect(newer("versionedlikedbus", "v1", "symbols")).toBeUndefined();
    expect(newer("versionedlikedbus", "v1", "symbols", known("x"))).toBe("v2");
  });
  test("a new private version is none", () => {
    expect(newer("versionedprivatenothidden", "v1", "versions", known("x"))).toBeUndefined();
    expect(newer("versionedprivatenothidden", "v1", "symbols", known("x"))).toBeUndefined();
  });
  test("symbols by their names, or with their versions", () => {
    for (const symbols of [
      ["!_private*", "*"],
      ["!*@P_*", "*"],
    ])
      expect(newer("versionedlikedbus", "v1", "symbols", { symbols })).toBe("v2");
  });
});

test("says what it has seen", () => {
  const { comparisons } = verdict("versionedlikedbus", "v1", ["versions", "symbols", "name"]);
  expect(comparisons.map(({ why }) => why)).toEqual([
    "each has symbol versions that the other lacks: the provider's P_1_0_0, the container's P_1_2_0",
    "each has symbols that the other lacks: the provider's _private1@P_1_0_0, the container's _private1@P_1_2_0, sym3@V1",
    "libversionedlikedbus.so.1.2.0 is newer than libversionedlikedbus.so.1.0.0",
  ]);
});
