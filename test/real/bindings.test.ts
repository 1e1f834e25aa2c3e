// What a link binds to what: symbol by symbol as ld.so binds it, with versions. All programs and libraries of this
// machine, and of the trees of other releases by their own ld.so.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { STV_PROTECTED } from "../../lib/elf/constants.ts";
import { simulate } from "../../lib/link/simulate.ts";
import { Search } from "../../lib/tree/search.ts";
import { Tree } from "../../lib/tree/tree.ts";
import { askedByLdSo, type Bound, bindingLine, boundByLdSo, missingLine } from "../support/ld-debug.ts";
import { DIRECTORIES, linkedFiles } from "../support/ld-so.ts";
import { tree } from "../support/trees.ts";

setDefaultTimeout(900_000);

const LOADER = "/lib64/ld-linux-x86-64.so.2";
const isRoot = process.getuid?.() === 0;
const machine = new Tree("/");

describe("symbols are bound as ld.so binds them, of", () => {
  test("glxinfo, which has more than a thousand", () => {
    const search = new Search(machine);
    expectSame(machine, search, "/usr/bin/glxinfo");
    expect(simulated(machine, search, "/usr/bin/glxinfo").bindings.size).toBeGreaterThan(1000);
  });

  test("glxinfo with Mesa's driver and libLLVM preloaded", () => {
    const preload = ["libGLX_mesa.so.0", "/usr/lib/x86_64-linux-gnu/dri/swrast_dri.so"];
    expectSame(machine, new Search(machine), "/usr/bin/glxinfo", preload);
  });

  test("this machine's programs and libraries, 300 at least", () => {
    expect(compareAll(machine)).toBeGreaterThan(300);
  });

  for (const suite of ["bullseye", "bookworm", "trixie"] as const)
    test.skipIf(!isRoot)(`the tree of ${suite} (takes root)`, async () => {
      expect(compareAll(new Tree(await tree(suite)))).toBeGreaterThan(50);
    });
});

test("the same objects are asked in the same order, for all of glxinfo's symbols", () => {
  const asked = new Map<string, readonly string[]>();
  using _ = simulate(new Search(machine), "/usr/bin/glxinfo", {
    onRelocation({ object, symbol, isSearched, definition, name = "", version, searched }) {
      if (!isSearched || !definition || object.path === machine.resolve(LOADER)) return;
      const isProtected = object.image.symbols.visibility(symbol) === STV_PROTECTED;
      const line = bindingLine(object.path, definition.object.path, name, version, isProtected);
      if (!asked.has(line))
        asked.set(
          line,
          searched.map(({ object: { path } }) => path),
        );
    },
  });
  const model = askedByLdSo(machine, "/usr/bin/glxinfo");
  const differences = [...asked].filter(([line, files]) => `${model.get(line)}` !== `${files}`);
  expect(differences.map(([line, files]) => ({ line, files, model: model.get(line) }))).toEqual([]);
  expect(asked.size).toBeGreaterThan(1000);
});

/** Returns how many files were compared. */
function compareAll(of: Tree): number {
  const search = new Search(of);
  // ld.so starts as itself and has nobody to bind to.
  const files = linkedFiles(of, DIRECTORIES).filter(({ path }) => path !== of.resolve(LOADER));
  for (const { path } of files) expectSame(of, search, path);
  return files.length;
}

function expectSame(of: Tree, search: Search, path: string, preload: readonly string[] = []): void {
  const model = boundByLdSo(of, path, preload);
  const ours = simulated(of, search, path, preload);
  const differences = {
    of: path,
    bindings: [...model.bindings.symmetricDifference(ours.bindings)],
    missing: [...model.missing.symmetricDifference(ours.missing)],
  };
  expect(differences).toEqual({ of: path, bindings: [], missing: [] });
}

function simulated(of: Tree, search: Search, path: string, preload: readonly string[] = []): Bound {
  const bindings = new Set<string>();
  const missing = new Set<string>();
  const loader = of.resolve(LOADER);
  using _ = simulate(search, path, {
    preload,
    onRelocation({ object, symbol, isSearched, definition, name = "", version }) {
      // ld.so has bound itself before.
      if (!isSearched || !definition || object.path === loader) return;
      const isProtected = object.image.symbols.visibility(symbol) === STV_PROTECTED;
      bindings.add(bindingLine(object.path, definition.object.path, name, version, isProtected));
    },
    onUnresolved({ details: { object = "", symbol = "", version } }) {
      missing.add(missingLine(object, symbol, version));
    },
  });
  return { bindings, missing };
}
