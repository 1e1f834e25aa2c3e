// What an isolated library exports, data and functions and classes, is one thing for everybody.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { expectLines } from "../support/expect.ts";
import { HOST, hostAndProgram, pair, RUNTIME } from "../support/pair.ts";
import { native } from "../support/run.ts";

const host = `${HOST}/libhost.so.1`;
const runtime = `${RUNTIME}/libruntime.so.1`;

async function relocationsOf(file: string): Promise<string> {
  return (await native("readelf", ["-rW", file])).stdout;
}

describe("an exported variable is one object for everybody", () => {
  for (const [words, flags, kind] of [
    ["copied to the program", [], "R_X86_64_COPY"],
    ["copied to the program, lazily bound", ["-Wl,-z,lazy"], "R_X86_64_COPY"],
    ["that the program refers to by its global offset table", ["-fPIC"], "R_X86_64_GLOB_DAT"],
  ] as [string, string[], string][]) {
    test(`${words}: before and after constructors, and for what is opened later`, async () => {
      const other = `${HOST}/libother.so.1`;
      const opener = `${HOST}/libopener.so.1`;
      const hosts = `${HOST}/libhostplugin.so.1`;
      const runtimes = `${RUNTIME}/libruntimeplugin.so.1`;
      const views = (path: string, name: string) => ({
        path,
        sources: ["other.c"],
        needs: [host],
        flags: [`-DOTHER=${name}`],
      });
      const objects = await pair(
        "data/an-exported-variable-is-one-object-for-everybody",
        [
          { path: host, sources: ["host.c"] },
          views(other, "other"),
          { path: opener, sources: ["opener.c"] },
          views(hosts, "plugin"),
          views(runtime, "runtime"),
          views(runtimes, "plugin"),
          { path: "program", sources: ["program.c"], needs: [host, other, opener, runtime], flags },
        ],
        ["libhost.so.1", "libother.so.1", "libopener.so.1"],
      );
      for (const name of ["host_number", "host_array", "host_record", "host_pointer"])
        expect(await relocationsOf(objects.program())).toMatch(new RegExp(`${kind} .* ${name}\\b`));
      for (const type of ["R_X86_64_GLOB_DAT", "R_X86_64_64"])
        expect(await relocationsOf(join(objects.out, runtime))).toMatch(new RegExp(`${type} .* host_array\\b`));
      const shown = (when: string, number: number, element: number, written: number) => [
        ...["the host", "another host library", "the runtime"].map(
          (who) => `${when}: one set of objects for the program and ${who}: yes`,
        ),
        `${when}: values ${number} ${element} 77 of the host 30 50`,
        `${when}: the record points to the objects: yes`,
        `${when}: the host reads what the program wrote: ${3 * written + 50}`,
        `${when}: the program reads what the host wrote: ${written + 1} ${written + 1}`,
      ];
      const expected = [
        ...shown("constructor", 2, 11, 100),
        ...shown("main", 101, 101, 200),
        "later: one set of objects for the program and a plug-in of the host: yes",
        "later: one set of objects for the program and a plug-in of the runtime: yes",
      ];
      const args = ["libhostplugin.so.1", join(objects.out, runtimes)];
      expectLines(await objects.native(args), expected);
      expectLines(await objects.capsule(args), expected);
    });
  }

  test("and a pointer that a constructor has kept is still right", async () => {
    const kept = await pair("data/a-pointer-that-a-constructor-has-kept-is-still-right", hostAndProgram());
    const expected = ["by a pointer in data: 2", "by a pointer on the heap: 2"];
    expectLines(await kept.native(), expected);
    expectLines(await kept.capsule(), expected);
  });

  test("and so are pointers to both ends of an array", async () => {
    const ends = await pair("data/the-ends-of-an-array-that-a-constructor-has-kept-are-still-right", hostAndProgram());
    expect(await relocationsOf(ends.program())).toMatch(/R_X86_64_COPY .* host_table\b/);
    const expected = ["by relocated pointers: 19", "by pointers in data: 19", "by pointers on the heap: 19"];
    expectLines(await ends.native(), expected);
    expectLines(await ends.capsule(), expected);
  });
});

test("an exported object is destroyed once, at the end, as it is then", async () => {
  const once = await pair("data/an-exported-object-is-destroyed-once", [
    { path: `${HOST}/libstdc++.so.6`, copyOf: "libstdc++.so.6" },
    { path: host, sources: ["host.cc"] },
    { path: "program", sources: ["program.cc"], needs: [host] },
  ]);
  for (const name of ["host_object", "host_last", "host_text", "host_list"])
    expect(await relocationsOf(once.program())).toMatch(new RegExp(`R_X86_64_COPY .*${name}`));
  const added = ", and longer for what the program has added to it";
  const expected = [
    `a text of the host that is too long to be kept in the object itself${added}`,
    "102",
    "destroyed: short",
    `destroyed: made by the host${added}`,
  ];
  expectLines(await once.native(), expected);
  expectLines(await once.capsule(), expected);
});

describe("a function has one address", () => {
  for (const [words, flags] of [
    ["bound at start", ["-Wl,-z,now"]],
    ["bound lazily", ["-Wl,-z,lazy"]],
    ["by its global offset table", ["-fPIC", "-fno-plt"]],
  ] as [string, string[]][]) {
    test(`for the program, its libraries and the host, in code and in static data, ${words}`, async () => {
      const functions = await pair("data/a-function-has-one-address", [
        { path: host, sources: ["host.c"], flags },
        { path: runtime, sources: ["library.c"], needs: [host], flags },
        { path: "program", sources: ["program.c"], needs: [host, runtime], flags },
      ]);
      expect(await relocationsOf(functions.program())).toMatch(/R_X86_64_64 .* host_one\b/);
      const expected = [
        "host_one: equal to 8 of 8 others, returns 1",
        "host_two: equal to 8 of 8 others, returns 2",
        "in a structure: equal",
        "the host knows its own: yes",
        "the host calls: 1003 1002",
      ];
      expectLines(await functions.native(), expected);
      expectLines(await functions.capsule(), expected);
    });
  }
});

describe("a class is one class on both sides", () => {
  for (const [words, flags] of [
    ["whose tables the program copies", []],
    ["whose tables the program refers to", ["-fPIC"]],
  ] as [string, string[]][]) {
    test(`${words}: dynamic_cast, typeid and catch know it`, async () => {
      const classes = await pair("data/a-class-is-one-class-on-both-sides", [
        { path: `${HOST}/libstdc++.so.6`, copyOf: "libstdc++.so.6" },
        { path: host, sources: ["host.cc"] },
        { path: "program", sources: ["program.cc"], needs: [host], flags },
      ]);
      if (flags.length === 0) expect(await relocationsOf(classes.program())).toMatch(/R_X86_64_COPY .* _ZTI5Shape\b/);
      const expected = [
        "square of the program, shape of the host, named shape of the host, shape of the host",
        "the host's object, after its constructor: 4 corners",
        "the program casts the host's: no yes",
        "with the title: host's title",
        "the host casts the program's: yes yes",
        "a template of the header: 5 -1",
        "and the other way: 6",
        "types are equal: yes yes no",
        "so are their hashes: yes",
        "one type_info: yes",
        "caught the host's failure: 7",
        "caught the host's shape: 9 corners",
        "the host catches: 13 4 2 -1",
      ];
      expectLines(await classes.native(), expected);
      expectLines(await classes.capsule(), expected);
    });
  }
});
