// Whose constructors run in which order, in programs that end at once, as ld.so says it when it calls them; and what
// ld.so binds where it does not only trace: its own symbols, too.

import { describe, expect, test } from "bun:test";
import { realpathSync } from "node:fs";
import { simulate } from "../../lib/link/simulate.ts";
import { Search } from "../../lib/tree/search.ts";
import { Tree } from "../../lib/tree/tree.ts";
import { native } from "../support/run.ts";

const MESA = ["libGLX_mesa.so.0", "/usr/lib/x86_64-linux-gnu/dri/swrast_dri.so"];

describe("constructors are called in ld.so's order, of", () => {
  test.each([
    ["glxinfo", "/usr/bin/glxinfo", ["-h"], []],
    ["gdb", "/usr/bin/gdb", ["--version"], []],
    ["a program with Mesa's driver", "/usr/bin/true", [], MESA],
    ["a program with all of glxinfo's libraries behind Mesa's", "/usr/bin/true", [], [...MESA, "libGL.so.1"]],
  ] as const)("%s", async (_, program, args, preload) => {
    const env = { LD_DEBUG: "files", LD_PRELOAD: preload.join(":") };
    const { stderr } = await native(program, [...args], { env });
    const begin = stderr.indexOf("initialize program");
    const model = Array.from(stderr.slice(0, begin).matchAll(/calling init: (.*)$/gm), ([, path = ""]) =>
      realpathSync(path),
    );
    using simulation = simulate(new Search(new Tree("/")), program, { preload });
    // It says so of those that have none, too; the program's own are called by its libc.
    const ours = simulation.initialization.filter((object) => object.index > 0).map(({ path }) => path);
    expect(ours).toEqual(model);
  });
});

test("ld.so's own symbols are bound as ld.so binds them", async () => {
  const { stderr } = await native("/usr/bin/true", [], { env: { LD_DEBUG: "bindings", LD_BIND_NOW: "1" } });
  const model = stderr.matchAll(/binding file \S*ld-linux\S* \[0\] to (\S*) \[0\]: normal symbol `(.*)'/g);
  const ours: string[][] = [];
  using _ = simulate(new Search(new Tree("/")), "/usr/bin/true", {
    onRelocation({ object, isSearched, definition, name = "" }) {
      if (object.library.soname === "ld-linux-x86-64.so.2" && isSearched)
        ours.push([definition?.object.path ?? "", name]);
    },
  });
  expect(ours.toSorted()).toEqual(
    Array.from(model, ([, path = "", name = ""]) => [realpathSync(path), name]).toSorted(),
  );
});
