// A host library opens more libraries at run time: drivers, plug-ins. They come from the host tree, with all they need.

import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { expectLines } from "../support/expect.ts";
import type { Output } from "../support/fixtures.ts";
import { lines } from "../support/lines.ts";
import { HOST, type Pair, pair, RUNTIME } from "../support/pair.ts";

setDefaultTimeout(60_000);

let inside: Pair;

/** A plug-in and its dependency; the runtime has both, too, and means something else by them. */
function plugin(directory: string, place: string): Output[] {
  const flags = [`-DPLACE="${place}"`];
  const dependency = `${directory}/libdependency.so.1`;
  return [
    { path: dependency, sources: ["dependency.c"], flags },
    { path: `${directory}/libplugin.so.1`, sources: ["plugin.c"], needs: [dependency], flags },
  ];
}

beforeAll(async () => {
  const host = `${HOST}/libhost.so.1`;
  const flags = ['-DPLACE="host"'];
  const needs = [`${HOST}/libdependency.so.1`];
  inside = await pair("inside/a-dlopen-inside-finds-its-files-in-the-host-tree", [
    ...plugin(HOST, "host"),
    ...plugin(RUNTIME, "runtime"),
    { path: `${HOST}/libeager.so.1`, sources: ["plugin.c"], needs, flags },
    { path: `${HOST}/libglobal.so.1`, sources: ["global.c"], flags },
    { path: `${HOST}/libconsumer.so.1`, sources: ["consumer.c"] },
    { path: "elsewhere/libabsent.so.1", sources: ["dependency.c"], flags },
    { path: `${HOST}/libincomplete.so.1`, sources: ["plugin.c"], needs: ["elsewhere/libabsent.so.1"], flags },
    { path: "host/opt/drivers/libdriver.so", sources: ["plugin.c"], needs, flags: ['-DPLACE="driver"'] },
    { path: host, sources: ["host.c"] },
    { path: "program", sources: ["program.c"], needs: [host] },
  ]);
});

async function expectBoth(args: string[], expected: string[]): Promise<void> {
  expectLines(await inside.native(args), expected);
  expectLines(await inside.capsule(args), expected);
}

describe("a dlopen inside the capsule finds its file, and what that needs, in the host tree", () => {
  test("by soname", () => expectBoth(["plugin", "libplugin.so.1"], ["host", "host"]));

  test("in a constructor of an isolated library", () => expectBoth(["constructor"], ["host"]));

  test("on eight threads at once", () => expectBoth(["threads", "libplugin.so.1"], ["host"]));

  test("by an absolute path, which is one in the tree", async () => {
    const outcome = await inside.capsule(["plugin", "/opt/drivers/libdriver.so"]);
    expectLines(outcome, ["driver", "host"]);
  });

  test("by an absolute path that leads into the tree", () =>
    expectBoth(["plugin", join(inside.host, "opt/drivers/libdriver.so")], ["driver", "host"]));
});

describe("RTLD_GLOBAL inside the capsule", () => {
  test("lends symbols to what is opened later", () => expectBoth(["global"], ["host", "host", "host"]));

  test("and its absence does not", () => expectBoth(["local"], ["host", "not found"]));

  test("lends nothing to the program, which keeps its own copies", async () => {
    const expected = [
      "host",
      "host",
      "the program's own libplugin.so.1: runtime",
      "global_place in the program's scope: no",
    ];
    expectLines(await inside.capsule(["scope"]), expected);
  });
});

test("RTLD_NOLOAD tells what is open in the capsule", () =>
  expectBoth(["noload", "libplugin.so.1"], ["0", "host", "1"]));

test("a library that is closed as often as it was opened is gone", () =>
  expectBoth(["close", "libplugin.so.1"], ["closed"]));

describe("dlerror tells the host library why there is nothing", () => {
  for (const [words, opened, missing] of [
    ["when the library is missing", "libmissing.so.1", "libmissing.so.1"],
    ["when what it needs is missing", "libincomplete.so.1", "libabsent.so.1"],
  ] as const) {
    test(words, async () => {
      // the capsule may name a path in the host tree where natively there is the soname
      const reason = `${missing}: cannot open shared object file: No such file or directory`;
      for (const outcome of [await inside.native(["plugin", opened]), await inside.capsule(["plugin", opened])]) {
        expect(outcome.stderr).toBe("");
        const answers = lines(outcome.stdout);
        expect(answers).toHaveLength(2);
        for (const answer of answers) {
          expect(answer).toStartWith("dlopen: ");
          expect(answer).toEndWith(reason);
        }
        expect(outcome.exitCode).toBe(0);
      }
    });
  }
});
