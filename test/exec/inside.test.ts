// A host library opens more libraries at run time: drivers, plug-ins. They come from the host tree, with all they need.

import { beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expectLines } from "../support/expect.ts";
import { build, type Output } from "../support/fixtures.ts";
import { lines } from "../support/lines.ts";
import { HOST, hostAndProgram, type Pair, pair, RUNTIME } from "../support/pair.ts";
import { capsule, native } from "../support/run.ts";
import { expectOfSide, SIDES, type SideLibrary, sides } from "../support/sides.ts";

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

/** "lib<side>-user.so.1", which needs another. */
const USER: SideLibrary[] = [{ name: "plugin" }, { name: "user", needs: ["plugin"] }];

/** What both sides do alike, and print. */
interface Alike {
  words: string;
  folder: string;
  libraries: SideLibrary[];
  needed?: string[];
  expected: string[];
}

const link = (name: string, ...flags: string[]): SideLibrary => ({
  name,
  source: "link.c",
  flags: [`-DNAME="${name}"`, ...flags],
});

const chain = [
  ...["first comes", "second comes", "third comes", "second has opened third", "first has opened second", "open"],
  ...["first goes", "second goes", "third goes", "last comes", "third, going, has opened it", "last goes", "closed"],
];

/** In a circle: the linker wants the second one before there is a first one. */
const two: SideLibrary = {
  name: "two",
  source: "library.c",
  flags: ['-DNAME="two"', "-DSELF=OWN(two)", "-DOTHER=OWN(one)", "-DASK=OWN(ask_two)"],
};

const half = (prefix: string): SideLibrary[] => {
  const flags = [`-DPREFIX=${prefix}`];
  const library = (name: string, source: string, needs: string[] = []) => ({
    name: `${prefix}${name}`,
    source,
    needs: needs.map((needed) => `${prefix}${needed}`),
    flags,
  });
  return [library("sibling", "sibling.c"), library("low", "low.c"), library("user", "user.c", ["low", "sibling"])];
};

const alike: Alike[] = [
  {
    words: "constructors and destructors open libraries, which do the same",
    folder: "constructors-and-destructors-open-libraries",
    libraries: [
      link("last"),
      link("third", '-DLAST="last"'),
      link("second", '-DNEXT="third"'),
      link("first", '-DNEXT="second"'),
    ],
    expected: [...chain, ...chain],
  },
  {
    words: "a signal handler opens a library",
    folder: "a-signal-handler-opens-a-library",
    libraries: USER,
    expected: ["raised: opened", "sent by another thread: opened", "on another stack: opened", "signals: 3"],
  },
  {
    words: "signals do not disturb a library that is being opened",
    folder: "signals-do-not-disturb-a-library-that-is-being-opened",
    libraries: USER,
    expected: ["interrupted: yes, failures: 0"],
  },
  {
    words: "a missing library leaves the fallback, and nothing of itself",
    folder: "a-missing-library-leaves-the-fallback",
    libraries: [
      { name: "half", source: "library.c", flags: ['-DNAME="half"'] },
      { name: "unbound", source: "library.c", needs: ["half"], flags: ['-DNAME="unbound"', "-DUNBOUND"] },
      { name: "absent", source: "library.c", directory: "absent", flags: ['-DNAME="absent"'] },
      { name: "incomplete", source: "library.c", needs: ["half", "absent"], flags: ['-DNAME="incomplete"'] },
      { name: "fallback", source: "library.c", flags: ['-DNAME="fallback"'] },
    ],
    expected: [
      ...["0: not opened", "1: not opened", "2: not opened", "3: not opened"],
      ...["4: opened", "used: fallback"],
    ],
  },
  {
    words: "a library is opened while another thread is inside dlclose",
    folder: "a-library-is-opened-while-another-thread-is-inside-dlclose",
    libraries: [{ name: "slow" }, ...USER],
    expected: ["inside dlclose: opened", "closed: yes", "meanwhile: opened"],
  },
  {
    words: "libraries may be linked to half of what they use",
    folder: "libraries-may-be-linked-to-half-of-what-they-use",
    libraries: [...half(""), ...half("start_")],
    needed: ["start_user", "start_low"],
    expected: Array.from({ length: 3 }, () => ["the user", "the sibling", "the sibling, weakly"]).flat(),
  },
  {
    words: "libraries that need each other come and go together",
    folder: "libraries-that-need-each-other-come-and-go-together",
    libraries: [
      two,
      {
        ...two,
        name: "one",
        needs: ["two"],
        flags: ['-DNAME="one"', "-DSELF=OWN(one)", "-DOTHER=OWN(two)", "-DASK=OWN(ask_one)"],
      },
      { ...two, needs: ["one"] },
    ],
    expected: Array.from({ length: 2 }, () => [
      ...["one more", "one more", "two, one"],
      ...["one less", "one less", "still open: no"],
    ]).flat(),
  },
];

for (const { words, folder, libraries, needed, expected } of alike)
  describe(words, () => {
    for (const side of SIDES)
      test(`on the ${side}'s side`, async () => {
        await expectOfSide(await sides(`inside/${folder}`, libraries, needed), side, expected);
      });
  });

describe("a library opens others when a thread and the process end", () => {
  const expected = ["end of a thread: opened", "end of main", "handler of exit: opened", "destructor: opened"];
  const folder = "inside/a-library-opens-others-when-the-process-ends";

  test("on the program's side", async () => expectOfSide(await sides(folder, USER), "program", expected));

  // The private directory is gone when the destructors of host libraries run.
  test("on the host's side", async () => expectOfSide(await sides(folder, USER), "host", expected));
});

test("32 threads on each side open and close libraries at once", async () => {
  const plugins = ["one", "two", "three", "four"].map((name) => ({ name, source: "plugin.c", needs: ["dependency"] }));
  const threads = await sides("inside/threads-of-both-sides-open-libraries-at-once", [
    { name: "dependency" },
    ...plugins,
  ]);
  const expected = ["program: 1280 of 1280", "host: 1280 of 1280"];
  expectLines(await threads.native(), expected);
  expectLines(await threads.capsule(), expected);
});

describe("a library that needs an isolated library of another host tree gets the one copy that there is,", () => {
  const at = (tree: string) => `${tree}/usr/lib/x86_64-linux-gnu`;
  let out: string;

  beforeAll(async () => {
    const used = (tree: string): Output => ({
      path: `${at(tree)}/libused.so.1`,
      sources: ["used.c"],
      flags: [`-DPLACE="${tree}"`],
    });
    const user = `${at("first")}/libuser.so.1`;
    const needs = [`${at("first")}/libused.so.1`];
    out = await build("inside/a-library-needs-an-isolated-library-of-another-host-tree", [
      used("first"),
      used("second"),
      { path: user, sources: ["user.c"], flags: ['-DPLACE="first"'], needs },
      { path: "linked", sources: ["program.c"], needs: [user, ...needs] },
      { path: "opened", sources: ["program.c"], flags: ["-DOPENED"] },
    ]);
  });

  const expected = [
    "the user: first",
    "what it uses: second",
    "what it opens: second",
    "the program's: second",
    "one object: yes, 4",
    "one number: yes",
  ];
  for (const [words, program] of [
    ["in a program that is linked to both", "linked"],
    ["in a program that opens both", "opened"],
  ] as const)
    for (const isReversed of [false, true])
      test(`${words}${isReversed ? ", with the trees in the other order" : ""}`, async () => {
        const LD_LIBRARY_PATH = `${join(out, at("second"))}:${join(out, at("first"))}`;
        expectLines(await native(join(out, program), [], { env: { LD_LIBRARY_PATH } }), expected);
        const isolate = [`libuser.so.1=${join(out, "first")}`, `libused.so.1=${join(out, "second")}`];
        if (isReversed) isolate.reverse();
        const flags = isolate.flatMap((each) => ["--isolate", each]);
        expectLines(await capsule(flags, join(out, program)), expected);
      });
});

test("isolated libraries of different host trees that need each other are refused", async () => {
  const at = (tree: string) => `${tree}/usr/lib/x86_64-linux-gnu`;
  const library = (tree: string, self: string, other: string, needs: string[] = []): Output => ({
    path: `${at(tree)}/lib${self}.so.1`,
    sources: ["library.c"],
    needs,
    flags: [`-DNAME="${self}"`, `-DSELF=${self}`, `-DOTHER=${other}`, `-DASK=ask_${self}`],
  });
  const [one, two] = [`${at("first")}/libone.so.1`, `${at("second")}/libtwo.so.1`];
  const out = await build("inside/libraries-that-need-each-other-come-and-go-together", [
    library("second", "two", "one"),
    library("first", "one", "two", [two]),
    library("second", "two", "one", [one]),
    {
      path: "program",
      sources: ["side.c"],
      needs: [one],
      flags: ["-DIS_PROGRAM", '-DSIDE="program"', "-DOWN(name)=program_##name", "-Dhost_side=program_side"],
    },
  ]);
  const flags = ["--isolate", `libone.so.1=${join(out, "first")}`, "--isolate", `libtwo.so.1=${join(out, "second")}`];
  const outcome = await capsule(flags, join(out, "program"));
  expect(outcome.stderr).toStartWith('capsule: Cannot take "libone.so.1" from a host tree of its own');
  expect(outcome.stderr).toContain('"libtwo.so.1"');
  expect(outcome.stdout).toBe("");
  expect(outcome.exitCode).toBe(125);
});

test("a host tree needs no ld.so.cache", async () => {
  const library = (path: string, name: string): Output => ({
    path,
    sources: ["library.c"],
    flags: [`-DNAME=${name}`, `-DTEXT="in ${path.slice("host/".length, path.lastIndexOf("/"))}"`],
  });
  const host = `${HOST}/libhost.so.1`;
  const multiarch = "host/lib/x86_64-linux-gnu/libmultiarch.so.1";
  const bare = await pair("inside/a-host-tree-needs-no-ld-so-cache", [
    library(multiarch, "multiarch"),
    library("host/usr/lib/libplain.so.1", "plain"),
    library("host/lib64/liblib64.so.1", "lib64"),
    { path: host, sources: ["host.c"], needs: [multiarch] },
    { path: "program", sources: ["program.c"], needs: [host] },
  ]);
  expect(existsSync(join(bare.host, "etc"))).toBe(false);
  const expected = ["in lib/x86_64-linux-gnu", "in usr/lib", "in lib64"];
  const directories = [HOST, "host/lib/x86_64-linux-gnu", "host/usr/lib", "host/lib64"];
  const LD_LIBRARY_PATH = directories.map((directory) => join(bare.out, directory)).join(":");
  expectLines(await bare.native([], { env: { LD_LIBRARY_PATH } }), expected);
  expectLines(await bare.capsule(), expected);
});

describe("a library outside the host tree gets what it needs from there", () => {
  let layers: Pair;

  beforeAll(async () => {
    const host = `${HOST}/libhost.so.1`;
    const [ours, theirs] = [`${RUNTIME}/libhelper.so.1`, `${HOST}/libhelper.so.1`];
    layers = await pair("inside/a-library-outside-the-host-tree-gets-what-it-needs-from-there", [
      { path: ours, sources: ["helper.c"], flags: ['-DPLACE="runtime"'] },
      { path: theirs, sources: ["helper.c"], flags: ['-DPLACE="host"'] },
      { path: "layers/layer.so", sources: ["layer.c"], needs: [theirs] },
      { path: host, sources: ["host.c"] },
      { path: "program", sources: ["program.c"], needs: [ours, host] },
    ]);
  });

  for (const [words, name] of [
    ["when it is opened by its path", () => join(layers.out, "layers/layer.so")],
    ["when it is opened by a relative path", () => "layers/layer.so"],
  ] as const)
    test(words, async () => {
      // Natively there is one helper for both.
      const shown = (program: string) => ["the layer's helper: host", `the program's helper: ${program}`];
      expectLines(await layers.native([name()], { cwd: layers.out }), shown("host"));
      expectLines(await layers.capsule([name()], { cwd: layers.out }), shown("runtime"));
    });
});

test("more threads open libraries at once, whose constructors open others, than anybody has counted on", async () => {
  const [inner, dependency] = [`${HOST}/libinner.so.1`, `${HOST}/libdependency.so.1`];
  const many = await pair("inside/more-threads-open-libraries-at-once-than-anybody-has-counted-on", [
    { path: inner, sources: ["inner.c"] },
    { path: dependency, sources: ["dependency.c"] },
    ...Array.from({ length: 40 }, (_, i) => ({
      path: `${HOST}/libplugin${i}.so.1`,
      sources: ["plugin.c"],
      needs: [dependency],
    })),
    ...hostAndProgram(),
  ]);
  const expected = ["120 of 120 threads"];
  expectLines(await many.native(), expected);
  expectLines(await many.capsule([], { timeout: 30_000 }), expected);
});
