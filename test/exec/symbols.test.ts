// Symbols of every kind are bound in the capsule as they would be natively.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { expectLines } from "../support/expect.ts";
import { lines } from "../support/lines.ts";
import { HOST, pair, RUNTIME } from "../support/pair.ts";
import { COMMAND, native, run } from "../support/run.ts";

const host = `${HOST}/libhost.so.1`;
const other = `${HOST}/libother.so.1`;
const runtime = `${RUNTIME}/libruntime.so.1`;

for (const [words, flags] of [
  ["bound at start", ["-Wl,-z,now"]],
  ["bound lazily", ["-Wl,-z,lazy"]],
] as [string, string[]][]) {
  test(`an IFUNC is the same function for everybody, ${words}`, async () => {
    const ifunc = await pair(
      "symbols/an-ifunc-is-the-same-function-for-everybody",
      [
        { path: host, sources: ["host.c"], flags },
        { path: other, sources: ["library.c"], needs: [host], flags: ["-DNAME=other", ...flags] },
        { path: runtime, sources: ["library.c"], needs: [host], flags: ["-DNAME=runtime", ...flags] },
        { path: "program", sources: ["program.c"], needs: [host, other, runtime], flags },
      ],
      ["libhost.so.1", "libother.so.1"],
    );
    const { stdout: symbols } = await native("readelf", ["-W", "--dyn-syms", join(ifunc.out, host)]);
    expect(symbols).toMatch(/IFUNC .* host_work$/m);
    const expected = ["called: 2 2 2 2", "by pointers: 2 2 2", "one address for 9 of 9"];
    expectLines(await ifunc.native(), expected);
    expectLines(await ifunc.capsule(), expected);
  });
}

for (const [words, flags] of [
  ["in a program that has it, too", []],
  ["in a program that does not show its own", ["-DPROGRAM_HAS_NONE"]],
] as [string, string[]][]) {
  test(`a static of an inline function is one object, and so is an inline variable, ${words}`, async () => {
    const unique = await pair(
      "symbols/a-static-of-an-inline-function-is-one-object",
      [
        { path: `${HOST}/libstdc++.so.6`, copyOf: "libstdc++.so.6" },
        { path: host, sources: ["library.cc"], flags: ["-DNAME=host"] },
        { path: other, sources: ["library.cc"], flags: ["-DNAME=other"] },
        { path: runtime, sources: ["library.cc"], flags: ["-DNAME=runtime"] },
        { path: "program", sources: ["program.cc"], needs: [runtime, host, other], flags },
      ],
      ["libhost.so.1", "libother.so.1"],
    );
    const { stdout: symbols } = await native("readelf", ["-W", "--dyn-syms", join(unique.out, host)]);
    expect(symbols).toMatch(/UNIQUE .* _ZZ8registryvE8registry$/m);
    const isUser = flags.length === 0;
    const expected = [
      ...(isUser ? ["one for the program and the host: yes"] : []),
      "one for the host and the runtime: yes",
      "one for the two host libraries: yes",
      `registries made: 1, with ${isUser ? 4 : 3} entries`,
      `the host's text: fresh, used by the program`,
    ];
    expectLines(await unique.native(), expected);
    expectLines(await unique.capsule(), expected);
  });
}

describe("an inline variable is one, whoever comes first, and whatever is linked", () => {
  const library = (directory: string, name: string, needs: string[] = []) => ({
    path: `${directory}/lib${name}.so.1`,
    sources: ["library.cc"],
    needs,
    flags: [`-DNAME=${name}`, "-nostdlib", "-lc"],
  });
  const linked = library(HOST, "linked");
  const opened = library(HOST, "opened");
  const needed = library(HOST, "needed");

  for (const [words, flags] of [
    ["the program has it", ["-DHAS", "-DLINKED"]],
    ["the program is linked to who has it", ["-DLINKED"]],
    ["the program opens who has it", []],
  ] as [string, string[]][]) {
    for (const order of [
      ["opened", "plugin", "other"],
      ["plugin", "opened", "other"],
      ["other", "needing", "opened"],
      ["needing", "plugin", "opened"],
    ]) {
      test(`${words}, then ${order.join(", ")}`, async () => {
        const unique = await pair(
          "symbols/an-inline-variable-is-one-whoever-comes-first",
          [
            ...[linked, opened, needed, library(HOST, "other")],
            ...[library(RUNTIME, "plugin"), library(RUNTIME, "needing", [needed.path])],
            {
              path: "program",
              sources: ["program.cc"],
              needs: flags.includes("-DLINKED") ? [linked.path] : [],
              flags,
            },
          ],
          ["linked", "opened", "needed", "other"].map((name) => `lib${name}.so.1`),
        );
        const model = await unique.native(order);
        expect(model.stdout).not.toContain("another");
        expectLines(await unique.capsule(order), lines(model.stdout));
      });
    }
  }
});

test("a weak reference finds what the host has, and nothing where it has nothing", async () => {
  const weak = await pair("symbols/a-weak-reference-finds-what-the-host-has", [
    { path: other, sources: ["other.c"] },
    { path: host, sources: ["host.c"], needs: [other] },
    { path: runtime, sources: ["library.c"] },
    { path: "program", sources: ["program.c"], needs: [host, runtime] },
  ]);
  const expected = [
    "the program finds: a function, nothing, nothing",
    "the runtime finds: 1",
    "the host finds: 50",
    "weak definitions: 2 3",
  ];
  expectLines(await weak.native(), expected);
  expectLines(await weak.capsule(), expected);
});

describe("an isolated library finds what only the program has", () => {
  const hidden = `${HOST}/libprivate.so.1`;
  const user = (name: string, flags: string[] = []) => ({
    path: `${HOST}/lib${name}.so.1`,
    sources: ["host.c"],
    needs: [hidden],
    flags: [`-DWHO="${name}"`, `-DHOST_TELL=${name}_tell`, ...flags],
  });
  const shown = (name: string, value: number, colour: string) => [
    `${name}: the program's function 42, by a pointer 43, in the constructor 41`,
    `${name}: its variable ${value}, and now ${value + 1}`,
    `${name}: its library's function 7, one that is chosen 70`,
    `${name}: weakly 9, nobody's`,
    `${name}: its own dependency's: ${colour}`,
  ];
  const all = (names: string[], colour: string) => [
    ...names.flatMap((name, i) => shown(name, 5 + i, colour)),
    `the program's variable: ${5 + names.length}`,
  ];
  const FOLDER = "symbols/an-isolated-library-finds-what-only-the-program-has";
  const isolated = ["libhost.so.1", "libopened.so.1", "libopener.so.1"];
  const made = (flags: string[]) =>
    pair(
      FOLDER,
      [
        { path: hidden, sources: ["private.c"] },
        ...[user("host", ["-DLINKED", ...flags]), user("opened", flags), user("inner", flags)],
        { path: `${HOST}/libopener.so.1`, sources: ["opener.c"] },
        { path: runtime, sources: ["library.c"] },
        { path: "program", sources: ["program.c"], needs: [runtime], flags: ["-rdynamic"] },
        { path: "linked", sources: ["program.c"], needs: [runtime, host], flags: ["-rdynamic", "-DLINKED"] },
      ],
      isolated,
    );

  for (const [words, flags] of [
    ["bound at start", ["-Wl,-z,now"]],
    ["bound lazily", ["-Wl,-z,lazy"]],
  ] as [string, string[]][]) {
    // Weak references of what is private are nobody else's affair.
    const inside = (line: string) => line.replace("inner: weakly 9", "inner: weakly -1");

    test(`when it is opened, ${words}`, async () => {
      const given = await made(flags);
      const names = ["opened", "inner"];
      expectLines(await given.native(), all(names, "program"));
      expectLines(await given.capsule(), all(names, "host").map(inside));
    });

    test(`when the program is linked to it, ${words}`, async () => {
      const given = await made(flags);
      const names = ["host", "opened", "inner"];
      expectLines(await given.native([], {}, "linked"), all(names, "program"));
      expectLines(await given.capsule([], {}, "linked"), all(names, "host").map(inside));
    });
  }

  test("and in-process a program that is linked to it is refused", async () => {
    const given = await made([]);
    const { exitCode, stdout, stderr } = await run(
      [...[...COMMAND, "exec", "--mode", "in-process", ...given.flags(), given.program("linked")]],
      { env: { LD_LIBRARY_PATH: given.runtime } },
    );
    expect([exitCode, stdout]).toEqual([126, ""]);
    expect(stderr).toContain(`"${join(given.out, host)}" refers to "`);
    expect(stderr).toContain('", which nothing that it needs defines but the program');
  });
});

describe("a library bound to itself stays so", () => {
  for (const [words, flags] of [
    ["by DT_SYMBOLIC", ['-DVISIBILITY="default"', "-Wl,-Bsymbolic"]],
    ["by -Bsymbolic-functions", ['-DVISIBILITY="default"', "-Wl,-Bsymbolic-functions"]],
    ["as its symbols are protected", ['-DVISIBILITY="protected"']],
  ] as [string, string[]][]) {
    test(words, async () => {
      // A program can copy a protected object by a relocation of its own only where the linker allows it: not GNU ld ≥
      // 2.40.
      const isProtected = words.includes("protected");
      const bound = await pair("symbols/a-library-bound-to-itself-stays-so", [
        { path: host, sources: ["host.c"], flags },
        { path: runtime, sources: ["library.c"], needs: [host] },
        { path: "program", sources: ["program.c"], needs: [host, runtime], flags: isProtected ? ["-fPIC"] : [] },
      ]);
      const own = words === "by DT_SYMBOLIC" ? "the host: 1, kept 2, answer 10" : "the host: 2, kept 4, answer 10";
      const expected = ["the program: 2, answer 20", own, "the runtime: 2"];
      expectLines(await bound.native(), expected);
      expectLines(await bound.capsule(), expected);
    });
  }
});

test("each side gets the version that it was linked to", async () => {
  const old = "linked-to/old/libhost.so.1";
  const version = (map: string) => `-Wl,--version-script,${map}`;
  const library = (path: string, name: string, needs: string) => ({
    path,
    sources: ["library.c"],
    needs: [needs],
    flags: [`-DNAME=${name}`],
  });
  const hostold = `${HOST}/libhostold.so.1`;
  const hostnew = `${HOST}/libhostnew.so.1`;
  const versions = await pair(
    "symbols/each-side-gets-the-version-it-was-linked-to",
    [
      { path: old, sources: ["host.c"], flags: ["-DOLD", version("old.map")] },
      { path: host, sources: ["host.c"], flags: [version("new.map")] },
      library(runtime, "runtimeold", old),
      library(hostold, "hostold", old),
      library(hostnew, "hostnew", host),
      { path: "program", sources: ["program.c"], needs: [host, hostold, hostnew, runtime] },
    ],
    ["libhost.so.1", "libhostold.so.1", "libhostnew.so.1"],
  );
  const expected = [
    "the program: 3, the second 2, what is new 30",
    "the runtime, linked to the old one: 11",
    "the host itself: 3, linked to the old one: 11, to the new one: 33",
    "dlvsym: V_1 is 1",
    "dlvsym: V_2 is 2",
    "dlvsym: V_3 is 3",
    "dlvsym: there is no V_4",
    "dlsym: 3",
  ];
  expectLines(await versions.native(), expected);
  expectLines(await versions.capsule(), expected);
});

describe("each side calls its own where both define a symbol", () => {
  const side = (path: string, name: string, flags: string[]) => ({
    path,
    sources: ["side.c"],
    flags: [`-DSIDE=${name}`, ...flags],
  });
  for (const first of ["runtime", "host"]) {
    const needs = first === "runtime" ? [runtime, host] : [host, runtime];
    const seen = [`the program: ${first} ${first}`, `dlsym: ${first}`, "dlsym by handle: host"];

    test(`and the program that of the ${first}, which it needs first`, async () => {
      const flags = ["-Wl,-Bsymbolic"];
      const both = await pair("symbols/each-side-calls-its-own-where-both-define-a-symbol", [
        side(host, "host", flags),
        side(runtime, "runtime", flags),
        { path: "program", sources: ["program.c"], needs },
      ]);
      const expected = [...seen, "the runtime: runtime runtime", "the host: host host"];
      expectLines(await both.native(), expected);
      expectLines(await both.capsule(), expected);
    });

    test(`also where natively the ${first}'s would serve both`, async () => {
      const both = await pair("symbols/each-side-calls-its-own-where-both-define-a-symbol", [
        side(host, "host", []),
        side(runtime, "runtime", []),
        { path: "program", sources: ["program.c"], needs },
      ]);
      expectLines(await both.native(), [...seen, `the runtime: ${first} ${first}`, `the host: ${first} ${first}`]);
      // What the runtime has is natively bound to what comes first; the host's cannot see it.
      expectLines(await both.capsule(), [...seen, `the runtime: ${first} ${first}`, "the host: host host"]);
    });
  }
});

test("a newer function, which only the host's library has, is found by dlsym", async () => {
  const older = `${RUNTIME}/libhost.so.1`;
  const newer = await pair("symbols/a-newer-function-is-found-by-dlsym", [
    { path: older, sources: ["host.c"] },
    { path: host, sources: ["host.c"], flags: ["-DNEWER"] },
    { path: "program", sources: ["program.c"], needs: [older] },
  ]);
  const found = (how: string) => [`${how}: 2 3`, `${how}: no more`];
  const expected = [
    "linked to: 1",
    ...["everywhere", "in the program's scope", "in the library", "behind the program"].flatMap(found),
    "its name: host_newer",
  ];
  expectLines(await newer.native(), expected);
  expectLines(await newer.capsule(), expected);
});
