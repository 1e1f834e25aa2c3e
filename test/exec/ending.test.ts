// How a process ends: who is told of it, and in which order.

import { beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { Output } from "../support/fixtures.ts";
import { lines } from "../support/lines.ts";
import { HOST, type Pair, pair, RUNTIME } from "../support/pair.ts";
import type { RunOptions } from "../support/run.ts";

describe("destructors run in the order of the loader", () => {
  let ending: Pair;

  const part = (
    path: string,
    who: string,
    own: string,
    { used, needs, stays }: { used?: string; needs?: string[]; stays?: boolean } = {},
  ): Output => {
    const flags = [`-DWHO="${who}"`, `-DOWN=${own}`, ...(used ? [`-DUSED=${used}`, "-DOWN_USE=use"] : [])];
    if (stays) flags.push("-DSTAYS");
    return { path, sources: ["part.c"], flags, ...(needs ? { needs } : {}) };
  };

  beforeAll(async () => {
    const [inner, outer, helper] = ["inner", "outer", "helper"].map((name) => `${RUNTIME}/lib${name}.so.1`);
    const host = `${HOST}/libhost.so.1`;
    ending = await pair("ending/destructors-run-in-the-order-of-the-loader", [
      { path: host, sources: ["host.c"] },
      part(inner ?? "", "inner library", "inner", { stays: true }),
      part(outer ?? "", "outer library", "outer", { needs: [inner ?? ""], stays: true }),
      part(helper ?? "", "helper of a plugin", "helper"),
      part("plugins/first.so", "first plugin", "first"),
      part("plugins/second.so", "second plugin", "second", { needs: [helper ?? ""] }),
      part("plugins/third.so", "third plugin", "third", { used: "of_the_program" }),
      part("plugins/fourth.so", "fourth plugin", "fourth", { used: "inner" }),
      part("plugins/fifth.so", "fifth plugin", "fifth", { used: "first" }),
      part("preloaded.so", "preloaded library", "preloaded"),
      { path: "plugins/object.so", sources: ["object.cc"] },
      {
        path: "program",
        sources: ["program.c"],
        flags: ["-rdynamic"],
        needs: [outer ?? "", host],
      },
    ]);
  });

  const OF_HOST = "host: destructor";
  const plugin = (name: string) => join(ending.out, "plugins", `${name}.so`);

  /** The host's library comes behind the program's side, where natively it may be in the midst. */
  async function expectAsNatively(
    way: string,
    plugins: readonly string[],
    env: Record<string, string>,
    { exitCode, has }: { exitCode: number | null; has?: string },
  ): Promise<void> {
    const variables = { FIRST: plugin("first"), SECOND: plugin("second"), ...env };
    const args = [way, ...plugins.map(plugin)];
    const options: RunOptions = { env: variables };
    const [model, outcome] = [await ending.native(args, options), await ending.capsule(args, options)];
    const told = ({ stdout }: { stdout: string }) => lines(stdout).filter((line) => line !== OF_HOST);
    expect(outcome.stderr).toBe("");
    expect(told(outcome)).toEqual(told(model));
    const ends = lines(outcome.stdout).filter((line) => line.endsWith(": destructor"));
    if (ends.includes(OF_HOST)) expect(ends.at(-1)).toBe(OF_HOST);
    expect([outcome.exitCode, outcome.signal]).toEqual([model.exitCode, model.signal]);
    expect(model.exitCode).toBe(exitCode);
    if (has !== undefined) expect(told(model)).toContain(has);
  }

  test("of the program, then of its libraries", () =>
    expectAsNatively("return", [], {}, { exitCode: 0, has: "inner library: destructor" }));
  test("of plugins where ld.so has them", () =>
    expectAsNatively("return", ["first", "second"], {}, { exitCode: 0, has: "helper of a plugin: destructor" }));
  test("of plugins that use what the program, its library or another plugin has", () =>
    expectAsNatively(
      "return",
      ["fifth", "first", "third", "fourth", "fifth"],
      {},
      { exitCode: 0, has: "third plugin: destructor" },
    ));
  test("of plugins that a library's constructor has opened", () =>
    expectAsNatively(
      "return",
      ["third"],
      { OPENS: "inner library" },
      { exitCode: 0, has: "first plugin: destructor" },
    ));
  test("while other threads open libraries", () =>
    expectAsNatively(
      "return",
      ["first"],
      { OPENS_IN_A_THREAD: "yes" },
      { exitCode: 0, has: "program: a thread has opened a plugin" },
    ));
  test("of what is preloaded", () =>
    expectAsNatively(
      "return",
      ["first"],
      { LD_PRELOAD: join(ending.out, "preloaded.so") },
      { exitCode: 0, has: "preloaded library: destructor" },
    ));
  test("of static objects of a plugin, and of thread-local ones", () =>
    expectAsNatively("return", ["object", "first"], {}, { exitCode: 0, has: "object destroyed: of a thread" }));
  test("of what is closed before", () =>
    expectAsNatively("close", ["second"], {}, { exitCode: 0, has: "program: all closed" }));
  test("after an exit from another thread", () =>
    expectAsNatively("thread", ["first", "object"], {}, { exitCode: 7, has: "first plugin: destructor" }));
  test("in a forked child, and in its parent", () =>
    expectAsNatively("fork", ["first", "object"], {}, { exitCode: 0, has: "program: its child has ended" }));
  test("in a forked child whose last thread ends", () =>
    expectAsNatively("fork, pthread_exit", ["first"], {}, { exitCode: 0, has: "program: its child has ended" }));
  test("where the last thread ends", () =>
    expectAsNatively("pthread_exit", ["first", "object"], {}, { exitCode: 0, has: "first plugin: destructor" }));
  test("and not after abort", () => expectAsNatively("abort", ["first"], {}, { exitCode: null }));

  for (const who of ["program", "outer library", "first plugin"])
    test(`up to one that calls exit: the ${who}'s`, () =>
      expectAsNatively("return", ["first", "second"], { EXITS: who }, { exitCode: who === "program" ? 0 : 5 }));
  test("up to one that calls _exit", () =>
    expectAsNatively("return", ["first", "second"], { LEAVES: "inner library" }, { exitCode: 8 }));
  test("behind handlers of which one calls exit", () =>
    expectAsNatively(
      "return",
      ["first"],
      { EXITS_IN_HANDLER: "yes" },
      { exitCode: 4, has: "first plugin: destructor" },
    ));
  for (const who of ["inner library", "outer library"])
    test(`and none where a constructor calls exit: the ${who}'s`, () =>
      expectAsNatively("return", [], { EXITS_FIRST: who }, { exitCode: 6 }));
  test("also where a plugin's constructor calls exit", () =>
    expectAsNatively("return", ["first", "second"], { EXITS_FIRST: "second plugin" }, { exitCode: 6 }));

  test("once each where one closes plugins, which stay", () =>
    expectAsNatively(
      "return",
      ["third"],
      { OPENS: "inner library", CLOSES: "inner library" },
      { exitCode: 0, has: "inner library: the first is there" },
    ));
  test("once where a plugin closes itself", () =>
    expectAsNatively(
      "return",
      ["first"],
      { CLOSES_ITSELF: "first plugin" },
      { exitCode: 0, has: "first plugin: closed itself" },
    ));
});
