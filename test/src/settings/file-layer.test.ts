// What a file of settings may say, and what is said of one that says something else.

import { describe, expect, test } from "bun:test";
import { UsageError } from "../../../src/diagnostics/errors.ts";
import { fileLayer } from "../../../src/settings/file-layer.ts";

const PATH = "/game/capsule.toml";

describe("a path in a file", () => {
  const layer = fileLayer(
    `host = "trees/debian"
runtime = "../runtime"
glibc = "./glibc"
isolate = ["libred.so.1=red=1", "libblue.so.1"]
[libraries]
"libgreen.so.1" = "/green"`,
    PATH,
  );

  test("is relative to the file", () => {
    const text = (name: "host" | "runtime" | "glibc") => layer.said(name)?.texts[0];
    expect([text("host"), text("runtime"), text("glibc")]).toEqual(["/game/trees/debian", "/runtime", "/game/glibc"]);
    expect(layer.said("isolate")?.texts).toEqual(["libred.so.1=/game/red=1", "libblue.so.1"]);
    expect(layer.hostOf("libgreen.so.1")?.texts).toEqual(["/green"]);
  });

  test("may begin with the user's home", () => {
    const home = process.env.HOME ?? "";
    expect(fileLayer('host = "~/trees"', PATH).said("host")?.texts).toEqual([`${home}/trees`]);
    expect(fileLayer('host = "~root"', PATH).said("host")?.texts).toEqual(["/game/~root"]);
  });
});

describe("the line of a setting is told", () => {
  const lineOf = (text: string) => {
    const source = fileLayer(text, PATH).said("host")?.source;
    return source?.kind === "file" ? source.line : "none";
  };

  test("where only one can be meant", () => {
    expect(lineOf('mode = "auto"\n\n  host="/x" # host')).toBe(3);
    expect(lineOf('"host" = "/x"')).toBe(1);
  });

  test("for a library and a profile, of a table or with dots", () => {
    const text = `[libraries]\n"libred.so.1" = "/red"\n'libblue.so.1'="/blue"\n[profiles . "a.b"]\nsummary = "x"\n`;
    const lineOfHost = (soname: string, content: string) => {
      const source = fileLayer(content, PATH).hostOf(soname)?.source;
      return source?.kind === "file" ? source.line : "none";
    };
    expect(["libred.so.1", "libblue.so.1"].map((soname) => lineOfHost(soname, text))).toEqual([2, 3]);
    expect(lineOfHost("libred.so.1", '\nlibraries."libred.so.1" = "/red"')).toBe(2);
    expect(() => fileLayer(`${text}isolated = []`, PATH)).toThrow('line 6: there is no key of a profile "isolated"');
    expect(() => fileLayer('[profiles."a.b"]\n\n[profiles."c d".environment]\n"x=" = 1', PATH)).toThrow("line 4: ");
  });

  test("at once, of however many libraries", () => {
    const libraries = Array.from({ length: 20_000 }, (_, i) => `"lib${i}.so" = "/opt"`);
    const start = performance.now();
    const layer = fileLayer(["[libraries]", ...libraries].join("\n"), PATH);
    expect(layer.hostOf("lib19999.so")?.source).toMatchObject({ line: 20_001 });
    // With a search through the file for each it was half a minute.
    expect(performance.now() - start).toBeLessThan(5000);
  });

  test("and not where there are several", () => {
    expect(lineOf('host = "/x"\n[profiles.x.environment]\nhost = "y"')).toBeUndefined();
  });
});

describe("an error, with what was probably meant, is", () => {
  const cases: [string, string, string][] = [
    ["a setting that there is not", 'hots = "/"', 'line 1: there is no setting "hots": did you mean "host"?'],
    ["one that is like no other", 'x-y-z = "/"', 'there is no setting "x-y-z": choose of host, runtime, isolate,'],
    ["a key that does something to terminals", '"\\u001b[2J\\u009b" = 1', 'no setting "\\u001b[2J\\u009b"'],
    ["a number for a text", "host = 3", "line 1: host: a text in quotes is needed, not a number"],
    ["a table for a text", "[host]", "line 1: host: a text in quotes is needed, not a table"],
    ["an array for a text", 'mode = ["auto"]', "mode: a text in quotes is needed, not an array"],
    ["numbers for texts", "trace = [1]", "trace: a text in quotes is needed, not a number"],
    [
      "a date for texts",
      "profile = 1979-05-27",
      "profile: a text in quotes, or an array of such, is needed, not a date",
    ],
    ["a text for texts of a profile", '[profiles.a]\nisolate = "x"', "profiles.a.isolate: an array of texts is needed"],
    ["a text for a table", 'libraries = "x"', "libraries: a table is needed, not a text"],
    ["a number for a library's tree", '[libraries]\n"libGL.so.1" = 3', ": a text in quotes is needed, not a number"],
    [
      "a soname without quotes",
      '[libraries]\nlibGL.so.1 = "/x"',
      'libraries: the name of a library has to be in quotes: "libGL.so.1" = …',
    ],
    ["a NUL", 'host = "a\\u0000b"', "host: it has a NUL"],
    [
      "a key of a profile",
      "[profiles.a]\nisolat = []",
      'line 2: there is no key of a profile "isolat": did you mean "isolate"',
    ],
    ["a path for a soname", '[profiles.a]\nisolate = ["/lib/libGL.so.1"]', '"/lib/libGL.so.1" is no soname'],
    ["a kind of a variable", "[profiles.a.environment]\nA = { frist = [] }", 'did you mean "first"?'],
    [
      "two kinds at once",
      "[profiles.a.environment]\nA = { first = [], manifests = [] }",
      "one of directories, manifests, first",
    ],
    [
      "a path that is of no tree",
      '[profiles.a.environment]\nA = { first = ["etc"] }',
      '"etc" does not begin with a slash',
    ],
    ["a variable that cannot be", '[profiles.a.environment]\n"A=B" = "x"', '"A=B" cannot be the name of a variable'],
    ["a program's variable that cannot be", '[environment]\n"A B" = "x"', '"A B" cannot be the name of a variable'],
    [
      "a program's variable that is a number",
      "[environment]\nA = 1",
      "line 2: environment.A: a text in quotes is needed",
    ],
    [
      "a program's variable that is capsule's",
      '[environment]\nCAPSULE_PREFIX = "/"',
      "environment.CAPSULE_PREFIX: it is for capsule",
    ],
    [
      "a value that there is not",
      'glibc = "newest"',
      'There is no glibc "newest", as line 1 of "/game/capsule.toml" says',
    ],
    ["an empty directory", '[libraries]\n"a.so.1" = ""', 'Cannot use the host tree "", as line 2'],
    ["a key twice", 'host = "/"\nhost = "/"', "line 2, column 1: trying to redefine"],
  ];
  test.each(cases)("%s", (_, text, message) => {
    const read = () => fileLayer(text, PATH);
    expect(read).toThrow(UsageError);
    expect(read).toThrow(message);
  });
});

test("one of a list may stand without brackets", () => {
  expect(fileLayer('profile = "gl"', PATH).said("profile")?.texts).toEqual(["gl"]);
});

test("a name that every object has is a name like others", () => {
  expect(Object.keys(fileLayer('[profiles.__proto__]\nisolate = ["a.so.1"]', PATH).profiles)).toEqual(["__proto__"]);
  for (const name of ["__proto__", "constructor"])
    expect(() => fileLayer(`${name} = "x"`, PATH)).toThrow(`there is no setting "${name}"`);
});
