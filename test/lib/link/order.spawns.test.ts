// The order of constructors and destructors, as a process shows it.

import { describe, expect, test } from "bun:test";
import { basename, join } from "node:path";
import { finalizers, initializers, preinitializers } from "../../../lib/link/functions.ts";
import { simulate } from "../../../lib/link/simulate.ts";
import { hex } from "../../../lib/memory/numbers.ts";
import { build } from "../../support/fixtures.ts";
import { FREESTANDING, ownSearch } from "../../support/freestanding.ts";
import { lines } from "../../support/lines.ts";
import { native } from "../../support/run.ts";

/** Who needs whom. */
type Graph = Readonly<Record<string, readonly string[]>>;

const GRAPHS: Readonly<Record<string, Graph>> = {
  "in a row": { program: ["a"], a: ["b"], b: ["c"], c: [] },
  "that need the same": { program: ["a", "b"], a: ["c"], b: ["c", "d"], c: ["d"], d: [] },
  "that are needed late and early": { program: ["a", "d"], a: ["b"], b: ["c"], c: ["d"], d: [] },
  "in a circle": { program: ["a"], a: ["b"], b: ["c"], c: ["a"] },
  "in a circle, come to from its middle": { program: ["c", "a"], a: ["b", "d"], b: ["c"], c: ["a", "d"], d: [] },
  "that need each other, twice": { program: ["a", "c"], a: ["b"], b: ["a", "c"], c: ["d", "b"], d: ["c", "a"] },
  "in two circles that meet": { program: ["e", "a"], a: ["b", "e"], b: ["c"], c: ["a", "d"], d: ["e"], e: ["d", "c"] },
};

describe("who is needed is initialized before who needs it, and as ld.so does, of objects", () => {
  for (const [words, graph] of Object.entries(GRAPHS)) {
    test(words, async () => {
      const program = await built(graph);
      const printed = lines((await native(program)).stdout);
      using simulation = simulate(ownSearch(), program);
      const all = simulation.initialization.map(({ path }) => basename(path, ".so").replace("lib", ""));
      expect(all.at(-1)).toBe("program");
      const order = all.filter((name) => name !== "program" && name in graph);
      expect(printed).toEqual([...order.map((name) => `+${name}`), ...order.toReversed().map((name) => `-${name}`)]);
    });
  }
});

test("constructors and destructors are found where they have been relocated to", async () => {
  const program = await built({ program: ["a"], a: [] });
  using simulation = simulate(ownSearch(), program);
  const object = simulation.objects.find(({ name }) => name === "liba.so");
  if (!object) throw new Error("liba.so is linked");
  const called = [...initializers(simulation.space, object), ...finalizers(simulation.space, object)];
  const symbols = Bun.spawnSync(["nm", object.path]).stdout.toString();
  const [begin, end] = ["begin", "end"].map((name) => new RegExp(`^([0-9a-f]+) t ${name}$`, "m").exec(symbols)?.[1]);
  expect(called.map(({ address }) => hex(address - object.loadBias))).toEqual(
    [begin, end].map((vaddr) => hex(Number.parseInt(vaddr ?? "", 16))),
  );
  expect(called.map(({ from }) => from)).toEqual(["DT_INIT_ARRAY[0]", "DT_FINI_ARRAY[0]"]);
  expect(preinitializers(simulation.space, object)).toEqual([]);
});

test("one object may go before all others", async () => {
  const program = await built({ program: ["a"], a: ["b"], b: [] }, { a: ["-Wl,-z,initfirst"] });
  const printed = lines((await native(program)).stdout);
  using simulation = simulate(ownSearch(), program);
  expect(printed.slice(0, 2)).toEqual(["+a", "+b"]);
  expect(simulation.initialization[0]?.name).toBe("liba.so");
});

test("of two that want to go before all others, the last does", async () => {
  const first = ["-Wl,-z,initfirst"];
  const program = await built({ program: ["a"], a: ["b"], b: ["c"], c: [] }, { a: first, b: first });
  const printed = lines((await native(program)).stdout);
  using simulation = simulate(ownSearch(), program);
  const order = simulation.initialization.map(({ path }) => `+${basename(path, ".so").replace("lib", "")}`);
  expect(printed.slice(0, 3)).toEqual(["+b", "+c", "+a"]);
  expect(order.filter((line) => printed.includes(line))).toEqual(printed.slice(0, 3));
});

/** Returns the program. Who needs whom is linked to empty libraries of the same names. */
async function built(graph: Graph, flags: Readonly<Record<string, string[]>> = {}): Promise<string> {
  const names = Object.keys(graph).filter((name) => name !== "program");
  const stubs = names.map((name) => ({
    path: `stub/lib${name}.so`,
    sources: ["object.c"],
    flags: [...FREESTANDING, `-DNAME="stub"`],
  }));
  const needs = (name: string): string[] => (graph[name] ?? []).map((other) => `stub/lib${other}.so`);
  const libraries = names.map((name) => ({
    path: `lib${name}.so`,
    sources: ["object.c"],
    needs: needs(name),
    flags: [...FREESTANDING, `-DNAME="${name}"`, ...(flags[name] ?? [])],
  }));
  const program = { path: "program", sources: ["program.c"], needs: needs("program"), rpath: "$ORIGIN" };
  const folder = "link/who-is-needed-is-initialized-before-who-needs-it";
  return join(await build(folder, [...stubs, ...libraries, program]), "program");
}
