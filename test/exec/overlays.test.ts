// Overlays, captures and tracers find glibc among the objects that are loaded, and read its tables by themselves.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expectSame } from "../support/expect.ts";
import { lines } from "../support/lines.ts";
import { isAttached } from "../support/mode.ts";
import { copyOwnGlibc } from "../support/own-glibc.ts";
import { HOST, type Pair, pair, RUNTIME } from "../support/pair.ts";
import { capsule } from "../support/run.ts";

describe("an overlay finds functions in the tables of loaded objects", () => {
  let seen: Pair;
  let anotherGlibc: string;
  afterAll(() => rmSync(dirname(anotherGlibc), { recursive: true }));

  beforeAll(async () => {
    anotherGlibc = copyOwnGlibc(join(mkdtempSync(join(tmpdir(), "capsule-test-")), "tree"));
    const library = (path: string, colour: number) => ({ path, sources: ["host.c"], flags: [`-DCOLOUR=${colour}`] });
    const host = `${HOST}/libhost.so.1`;
    seen = await pair("debugging/an-overlay-finds-functions-in-the-tables-of-loaded-objects", [
      library(host, 2),
      // the runtime's copy, which nobody is to get
      library(`${RUNTIME}/libhost.so.1`, 1),
      { path: "overlay.so", sources: ["overlay.c"] },
      { path: "linked", sources: ["program.c"], flags: ["-DLINKED"], needs: [host] },
      { path: "opening", sources: ["program.c"] },
    ]);
  });

  for (const program of ["linked", "opening"])
    test(`and they are what dlsym finds: ${program}`, async () => {
      const model = await seen.native([], {}, program);
      for (const line of lines(model.stdout).slice(0, 17)) expect(line).toEndWith(": what dlsym finds");
      expect(model.stdout).toEndWith("opened: 2\nin a signal handler: in the host's library\n");
      expectSame(await seen.capsule([], {}, program), model);
    });

  // Where libc is found by a link of ours.
  for (const [words, flags] of [
    ["in a mount namespace, if there can be one", []],
    ["by its ld.so's name", ["--mount-namespace", "never"]],
  ] as const)
    test(`also on another glibc, ${words}`, async () => {
      const other = ["--glibc", anotherGlibc, ...(isAttached ? flags : [])];
      const env = { LD_LIBRARY_PATH: seen.runtime };
      const outcome = await capsule([...seen.flags(), ...other], seen.program("linked"), [], { env });
      expectSame(outcome, await seen.native([], {}, "linked"));
    });

  // As MangoHud, obs-vkcapture and libstrangle do.
  for (const program of ["linked", "opening"])
    test(`and stands in front of the host's: ${program}`, async () => {
      const options = { env: { LD_PRELOAD: join(seen.out, "overlay.so") } };
      const model = await seen.native(["overlaid"], options, program);
      expect(model.stdout).toContain("opened: 102\n");
      expect(model.stdout).toEndWith("overlay: the host's by the tables: 2\n");
      const outcome = await seen.capsule(["overlaid"], options, program);
      expectSame(outcome, model);
    });
});

// libGL is preloaded by who wants another one than the program names. Its copy has begun before anything is isolated.
describe("a preloaded copy of an isolated library ends what it has begun", () => {
  let copied: Pair;

  beforeAll(async () => {
    const libraries = (directory: string, colour: number) => [
      { path: `${directory}/libback.so.1`, sources: ["back.c"] },
      {
        path: `${directory}/libhost.so.1`,
        sources: ["host.c"],
        flags: [`-DCOLOUR=${colour}`, "-Wl,-z,lazy"],
        needs: [`${directory}/libback.so.1`],
      },
    ];
    const folder = "ending/a-preloaded-copy-ends-what-it-has-begun";
    const program = { path: "program", sources: ["program.c"], needs: [`${RUNTIME}/libhost.so.1`] };
    copied = await pair(
      folder,
      [...libraries(HOST, 2), ...libraries(RUNTIME, 1), program],
      ["libhost.so.1", "libback.so.1"],
    );
  });

  for (const LD_PRELOAD of ["libhost.so.1", "libback.so.1", "libhost.so.1 libback.so.1"])
    test(`preloaded: ${LD_PRELOAD}`, async () => {
      const model = await copied.native([], { env: { LD_PRELOAD } });
      expect(model).toMatchObject({ stdout: "linked: 2\n", stderr: "", exitCode: 0 });
      expectSame(await copied.capsule([], { env: { LD_PRELOAD } }), model);
    });
});
