// Everything that a program and a host library may do with dlopen and its family, they may do in a capsule.

import { beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expectLines } from "../support/expect.ts";
import type { Output } from "../support/fixtures.ts";
import { lines } from "../support/lines.ts";
import { isAttached, notYetAttached } from "../support/mode.ts";
import { HOST, Pair, pair, RUNTIME } from "../support/pair.ts";
import { expectOfSide, SIDES, type Side, type SideLibrary, sides } from "../support/sides.ts";

/** What both sides do alike, and print. */
interface Alike {
  words: string;
  folder: string;
  libraries: SideLibrary[];
  expected: string[];
}

const alike: Alike[] = [
  {
    words: "RTLD_NOLOAD tells what is open",
    folder: "noload-tells-what-is-open",
    libraries: [{ name: "plugin" }],
    expected: [
      "before: not open",
      "dlerror: nothing",
      "while: open",
      "the same handle: yes",
      "held by what RTLD_NOLOAD gave: open",
      "after: not open",
      "dlerror: nothing",
    ],
  },
  {
    words: "RTLD_NODELETE keeps a library",
    folder: "nodelete-keeps-a-library",
    libraries: [{ name: "plugin" }],
    expected: [
      ...["constructor", "count: 1", "destructor"],
      ...["constructor", "count: 1", "destructor"],
      ...["constructor", "count: 1"],
      ...["count: 2"],
      ...["end", "destructor"],
    ],
  },
  {
    words: "RTLD_GLOBAL lends symbols to what is opened later, and RTLD_LOCAL does not",
    folder: "global-lends-its-symbols-and-local-does-not",
    libraries: [{ name: "lender" }, { name: "borrower" }],
    expected: [
      ...["local, by RTLD_DEFAULT: not found", "local, by name: not found", "one handle: yes"],
      ...["made global, by RTLD_DEFAULT: found", "made global, by name: lent"],
    ],
  },
  {
    words: "RTLD_DEEPBIND prefers a library's own symbols",
    folder: "deepbind-prefers-its-own-symbols",
    libraries: [
      { name: "common", source: "colour.c", flags: ['-DCOLOUR="common"'] },
      { name: "own", source: "colour.c", flags: ['-DCOLOUR="its own"'] },
      { name: "plugin", needs: ["own"] },
    ],
    expected: [
      "as usual: called common, pointed to common",
      "RTLD_DEEPBIND: called its own, pointed to its own",
      "RTLD_DEEPBIND, lazily: called its own, pointed to its own",
    ],
  },
  {
    words: "RTLD_NOW misses a function at once, and RTLD_LAZY does not",
    folder: "now-misses-a-function-at-once-and-lazy-does-not",
    libraries: [{ name: "plugin" }, { name: "user", needs: ["plugin"] }],
    expected: [
      "plug-in, now: undefined symbol",
      "plug-in, lazily: 42",
      "what it needs, now: undefined symbol",
      "what it needs, lazily: 42",
    ],
  },
  {
    words: "the search path of the caller counts",
    folder: "the-search-path-of-the-caller-counts",
    libraries: [
      { name: "inner", directory: "private" },
      { name: "opener", runpath: "$ORIGIN/private" },
    ],
    expected: [
      "without a search path: not found",
      "by DT_RUNPATH: found",
      "by $ORIGIN in the name: found",
      "without a search path: not found",
    ],
  },
  {
    words: "dlopen(NULL) is the program",
    folder: "dlopen-of-null-is-the-program",
    libraries: [],
    expected: [
      "dlopen(NULL): the program's",
      'dlopen(""): the program\'s',
      "dlmopen(LM_ID_BASE, NULL): the program's",
      "one handle: yes",
      "closed: yes",
      "with RTLD_NOLOAD: the program's",
      "libc's symbols are there, too: yes",
    ],
  },
  {
    words: "dlsym finds by handle, RTLD_DEFAULT and RTLD_NEXT, and dlvsym by version",
    folder: "dlsym-finds-by-handle-default-and-next",
    libraries: [
      { name: "second", flags: ["-Wl,--version-script=second.map"] },
      { name: "first", needs: ["second"] },
    ],
    expected: [
      "by handle: the first",
      "by the other's handle: the second",
      "in what is needed: only in the second",
      "not in who needs it: not found",
      "RTLD_NEXT: the second",
      "RTLD_NEXT in libc: found",
      "RTLD_DEFAULT of the plug-in: the first",
      "RTLD_DEFAULT of its user: not found",
      "dlvsym V1: version 1",
      "dlvsym V2: version 2",
      "dlvsym V3: not found",
      "dlsym: version 2",
      "of libc, by RTLD_DEFAULT: found",
      "of libc, by version: found",
      "two versions of libc's differ: yes",
    ],
  },
  {
    words: "dlmopen opens in the namespace that is asked for",
    folder: "dlmopen-opens-in-the-namespace-that-is-asked-for",
    libraries: [{ name: "dependency" }, { name: "plugin", needs: ["dependency"] }],
    expected: [
      ...["LM_ID_BASE: 1", "dlopen: 2", "one handle: yes", "RTLD_DEFAULT: 3"],
      ...["LM_ID_NEWLM: 1", "another namespace: yes", "what it needs, there: 2", "RTLD_NOLOAD, there: the same"],
      ...["dlopen: 4", "closed: yes", "LM_ID_NEWLM, again: 1"],
    ],
  },
];

for (const { words, folder, libraries, expected } of alike)
  describe(words, () => {
    for (const side of SIDES)
      test(`for the ${side}'s side`, async () => {
        await expectOfSide(await sides(`loading/${folder}`, libraries), side, expected);
      });
  });

describe("a library is opened and closed ten thousand times without growth", () => {
  let growth: Pair;
  let TMPDIR: string;

  beforeAll(async () => {
    growth = await sides("loading/opened-and-closed-ten-thousand-times-without-growth", [
      { name: "dependency" },
      { name: "plugin", needs: ["dependency"] },
    ]);
    TMPDIR = mkdtempSync(join(tmpdir(), "capsule-test-"));
    return () => rmSync(TMPDIR, { recursive: true });
  });

  for (const side of SIDES)
    test(`by the ${side}'s side`, async () => {
      const options = { env: { TMPDIR }, timeout: 400_000 };
      const expected = ["a plug-in: opened and closed", "the isolated library: opened and closed"];
      expectLines(await growth.native([side], options), expected);
      expectLines(await growth.capsule([side], options), expected);
    }, 450_000);
});

describe("dlerror says what glibc says, with the path that was tried", () => {
  let mistakes: Pair;

  beforeAll(async () => {
    const { out } = await sides("loading/dlerror-says-what-glibc-says", [
      { name: "plugin" },
      { name: "unbound" },
      { name: "needs-unbound", source: "plugin.c", needs: ["unbound"] },
      { name: "text", source: "plugin.c" },
      { name: "needs-text", source: "plugin.c", needs: ["text"] },
      { name: "absent", source: "plugin.c" },
      { name: "incomplete", source: "plugin.c", needs: ["absent"] },
    ]);
    const copy = mkdtempSync(join(tmpdir(), "capsule-test-"));
    cpSync(out, copy, { recursive: true, verbatimSymlinks: true });
    for (const [side, directory] of [
      ["program", RUNTIME],
      ["host", HOST],
    ] as const) {
      const file = (name: string) => join(copy, directory, `lib${side}-${name}.so.1`);
      writeFileSync(file("text"), "GROUP ( libc.so.6 )\n".repeat(100));
      writeFileSync(file("empty"), "");
      rmSync(file("absent"));
    }
    mistakes = new Pair(copy, ["libhost.so.1"]);
    return () => rmSync(copy, { recursive: true });
  });

  const missing = "cannot open shared object file: No such file or directory";
  const expected = (side: Side) => {
    const file = (name: string) => `lib${side}-${name}.so.1`;
    return [
      "before: no text",
      `missing: ${file("missing")}: ${missing}`,
      `missing, by a path: ${file("missing")}: ${missing}`,
      `what it needs is missing: ${file("absent")}: ${missing}`,
      `a text: ${file("text")}: invalid ELF header`,
      `an empty file: ${file("empty")}: file too short`,
      `what it needs is a text: ${file("text")}: invalid ELF header`,
      `an unknown symbol: ${file("unbound")}: undefined symbol: nobody_has_this`,
      `an unknown symbol in what it needs: ${file("unbound")}: undefined symbol: nobody_has_this`,
      `no mode: ${file("plugin")}: invalid mode for dlopen(): Invalid argument`,
      `an unknown namespace: ${file("plugin")}: invalid target namespace in dlmopen(): Invalid argument`,
      "RTLD_GLOBAL in a new namespace: invalid mode: Invalid argument",
      `dlsym: ${file("plugin")}: undefined symbol: nobody_has_this`,
      `dlvsym: ${file("plugin")}: undefined symbol: ${side}_plugin, version V1`,
      `RTLD_DEFAULT: ${side === "program" ? "program" : "libhost.so.1"}: undefined symbol: nobody_has_this`,
      "the isolated library: libhost.so.1: undefined symbol: nobody_has_this",
      "closed: no failure",
      "after: no text",
    ];
  };
  const withoutDirectories = (text: string) => lines(text).map((line) => line.replace(/\/\S*\//, ""));

  for (const side of SIDES)
    test(`to the ${side}'s side`, async () => {
      const model = await mistakes.native([side]);
      expect(withoutDirectories(model.stdout)).toEqual(expected(side));
      const outcome = await mistakes.capsule([side]);
      expect(outcome.stderr).toBe("");
      expect(withoutDirectories(outcome.stdout)).toEqual(expected(side));
      // Where natively there is a path it is that one; for the isolated library see below.
      const ofShim = (line: string) => line.startsWith("the isolated");
      const exact = lines(model.stdout).filter((line) => line.includes(mistakes.out) && !ofShim(line));
      expect(lines(outcome.stdout)).toEqual(expect.arrayContaining(exact));
      if (side === "host")
        for (const line of lines(outcome.stdout).filter((text) => text.includes("missing")))
          expect(line).toContain(`: ${mistakes.host}/`);
    });

  // glibc names the file that it has opened, and a shim's is in the private directory. Its l_name cannot be changed as
  // the program's is: the headers of a loaded object are read from the file that has this name.
  test.todo("with the path of the isolated library, not of its shim", async () => {
    const named = (text: string) => lines(text).filter((line) => /^the isolated/.test(line));
    expect(named((await mistakes.capsule(["program"])).stdout)).toEqual(
      named((await mistakes.native(["program"])).stdout),
    );
  });
});

describe("an isolated library is the host's, by whatever name it is asked for", () => {
  let names: Pair;

  beforeAll(async () => {
    // Each file has the soname libhost.so.1, and a link of that name beside it.
    const library = (path: string, place: string): Output => ({
      path,
      sources: ["library.c"],
      soname: "libhost.so.1",
      flags: [`-DPLACE="${place}"`],
    });
    names = await pair("loading/an-isolated-library-is-the-hosts-by-whatever-name", [
      library(`${HOST}/libhost-of-the-host.so`, "host"),
      library(`${RUNTIME}/libhost.so`, "runtime"),
      { path: "program", sources: ["program.c"] },
      { path: "linked", sources: ["program.c"], needs: [`${HOST}/libhost.so.1`] },
    ]);
  });

  const shown = (name: string, place: string) => [`${name}: ${place}, the same`, "asked with RTLD_NOLOAD: the same"];

  const OTHER = "by another name, which only the host tree has";
  const ABSOLUTE = "by the absolute path of the runtime's copy";
  const RELATIVE = "by the relative path of the runtime's copy";
  /** What nobody hears of in a process that has nothing of ours yet. */
  const UNHEARD = [OTHER, ABSOLUTE, RELATIVE];
  for (const program of ["program", "linked"]) {
    describe(program === "linked" ? "in a program that needs it" : "in a program that does not need it", () => {
      // Natively each path is that of one of the two copies.
      for (const [words, name, place] of [
        ["by its soname", () => "libhost.so.1", "host"],
        ["by another name, which the runtime has", () => "libhost.so", "runtime"],
        [OTHER, () => "libhost-of-the-host.so", "host"],
        [ABSOLUTE, () => join(names.runtime, "libhost.so.1"), "runtime"],
        [RELATIVE, () => `${RUNTIME}/libhost.so.1`, "runtime"],
        ["by the absolute path of the host's copy", () => join(names.out, HOST, "libhost.so.1"), "host"],
      ] as const)
        (program === "program" && UNHEARD.includes(words) ? notYetAttached : test)(words, async () => {
          const options = { cwd: names.out };
          const file = name().slice(name().lastIndexOf("/") + 1);
          expectLines(await names.native([name()], options, program), shown(file, place));
          expectLines(await names.capsule([name()], options, program), shown(file, "host"));
        });
    });
  }

  test("and it is one library under all of them", async () => {
    const args = ["libhost.so", join(names.runtime, "libhost.so.1"), "libhost-of-the-host.so", "libhost.so.1"];
    expectLines(
      await names.capsule(args),
      args.flatMap((name) => shown(name.slice(name.lastIndexOf("/") + 1), "host")),
    );
  });
});

describe("a plug-in brings the isolated libraries that it needs, which nobody needed before,", () => {
  let plugins: Pair;

  beforeAll(async () => {
    const host = `${HOST}/libhost.so.1`;
    const middle = `${RUNTIME}/libmiddle.so.1`;
    const plugin = { sources: ["plugin.c"], needs: [middle] };
    plugins = await pair("loading/a-plugin-brings-the-isolated-libraries-that-it-needs", [
      { path: host, sources: ["host.c"], flags: ['-DPLACE="host"'] },
      { path: `${RUNTIME}/libhost.so`, sources: ["host.c"], soname: "libhost.so.1", flags: ['-DPLACE="runtime"'] },
      { path: middle, sources: ["middle.c"], needs: [host] },
      { path: `${RUNTIME}/libplugin.so.1`, ...plugin },
      { path: "plugins/plugin.so", ...plugin },
      // What was linked to an SDK's library needs it by the name that it has there.
      { path: "sdk/libhost.so", sources: ["host.c"], flags: ['-DPLACE="none"'] },
      {
        path: `${RUNTIME}/libplugin-by-another-name.so.1`,
        sources: ["plugin.c", "middle.c"],
        needs: ["sdk/libhost.so"],
      },
      {
        path: "by-another-name",
        sources: ["program.c"],
        needs: [`${RUNTIME}/libplugin-by-another-name.so.1`, "sdk/libhost.so"],
        flags: ["-DLINKED"],
      },
      { path: "program", sources: ["program.c"] },
      { path: "with-runpath", sources: ["program.c"], runpath: "$ORIGIN/plugins" },
    ]);
  });

  for (const [words, program, name] of [
    ["when it is opened by its soname", "program", () => "libplugin.so.1"],
    ["when it is opened by an absolute path", "program", () => join(plugins.out, "plugins/plugin.so")],
    ["when it is opened by a relative path", "program", () => "plugins/plugin.so"],
    ["when it is found by the program's DT_RUNPATH", "with-runpath", () => "plugin.so"],
    ["when it is named by $ORIGIN", "program", () => "$ORIGIN/plugins/plugin.so"],
  ] as const)
    test(words, async () => {
      const expected = ["the isolated library: host"];
      expectLines(await plugins.native([name()], { cwd: plugins.out }, program), expected);
      expectLines(await plugins.capsule([name()], { cwd: plugins.out }, program), expected);
    });

  notYetAttached("when it is opened in a namespace of its own", async () => {
    const expected = ["the isolated library: host"];
    for (const name of ["libplugin.so.1", "libhost.so.1", join(plugins.runtime, "libhost.so.1")]) {
      // Natively the path is that of the runtime's copy.
      const model = [`the isolated library: ${name.startsWith("/") ? "runtime" : "host"}`];
      expectLines(await plugins.native([name, "newlm"]), model);
      expectLines(await plugins.capsule([name, "newlm"]), expected);
    }
  });

  test("when it needs them under another name, which the runtime's file has, too", async () => {
    const named = (name: string) => [`the isolated library: ${name}`];
    for (const [program, args] of [
      ["program", ["libplugin-by-another-name.so.1"]],
      ["by-another-name", []],
    ] as const) {
      // Natively that name is the runtime's.
      expectLines(await plugins.native([...args], {}, program), named("runtime"));
      expectLines(await plugins.capsule([...args], {}, program), named("host"));
    }
  });

  test("when many threads open it, and the isolated library, at once", async () => {
    const expected = ["32 of 32 threads"];
    expectLines(await plugins.native(["libplugin.so.1", "threads"]), expected);
    expectLines(await plugins.capsule(["libplugin.so.1", "threads"]), expected);
  });
});

describe("what an isolated library needs is found with it:", () => {
  let needs: Pair;

  beforeAll(async () => {
    const [host, other, hidden] = ["host", "other", "private"].map((name) => `${HOST}/lib${name}.so.1`) as [
      string,
      string,
      string,
    ];
    needs = await pair(
      "loading/what-an-isolated-library-needs-is-found-with-it",
      [
        { path: hidden, sources: ["private.c"] },
        { path: other, sources: ["other.c"], needs: [hidden] },
        { path: host, sources: ["host.c"], needs: [other] },
        { path: "program", sources: ["program.c"] },
        {
          path: "linked",
          sources: ["program.c"],
          needs: [host],
          flags: ["-DLINKED", "-Wl,--unresolved-symbols=ignore-all"],
        },
      ],
      ["libhost.so.1", "libother.so.1"],
    );
  });

  const found = ["host_place: host", "other_place: host", "private_place: host"];

  test("behind its handle", async () => {
    expectLines(await needs.native(), found);
    expectLines(await needs.capsule(), found);
  });

  test("by a program that is linked to the one and uses the other", async () => {
    const bound = ["bound: host", "other_place: host"];
    expectLines(await needs.native([], {}, "linked"), [...bound, ...found]);
    expectLines(await needs.capsule([], {}, "linked"), [...bound, ...found]);
  });
});

describe("an isolated library", () => {
  let modes: Pair;

  beforeAll(async () => {
    modes = await pair("loading/an-isolated-library-lends-its-symbols-only-with-global", [
      { path: `${HOST}/libhost.so.1`, sources: ["host.c"] },
      { path: `${RUNTIME}/libplugin.so.1`, sources: ["plugin.c"] },
      { path: "program", sources: ["program.c"] },
    ]);
  });

  test("lends its symbols with RTLD_GLOBAL only, and takes every mode", async () => {
    const expected = [
      ...["open before: no", "open: yes", "local: not found"],
      ...["one handle: yes", "made global: found"],
      ...["one handle: yes", "closed: yes", "RTLD_NODELETE: still open"],
    ];
    expectLines(await modes.native(), expected);
    expectLines(await modes.capsule(), expected);
  });

  // It stays, as with RTLD_NODELETE: a dlclose of the program's is not heard of, and the shim's handle is ours, too.
  test.todo("is gone when it has been closed as often as it was opened", async () => {
    const expected = ["count: 1", "open: no", "count: 1", "open: no"];
    expectLines(await modes.native(["close"]), expected);
    expectLines(await modes.capsule(["close"]), expected);
  });

  test("stays when it has been closed, as with RTLD_NODELETE", async () => {
    // An attached program's shim does not stay, but what is behind it does.
    const open = isAttached ? "open: no" : "open: yes";
    expectLines(await modes.capsule(["close"]), ["count: 1", open, "count: 2", open]);
  });
});

test("a constructor finds libc in the program, and the program's libraries come first there", async () => {
  const host = `${HOST}/libhost.so.1`;
  const library = `${RUNTIME}/liblibrary.so.1`;
  const found = await pair("loading/a-constructor-finds-libc-in-the-program", [
    { path: host, sources: ["host.c"] },
    { path: library, sources: ["library.c", "caller.c"], flags: ["-fno-builtin"] },
    { path: "program", sources: ["program.c"], needs: [host, library], flags: ["-fno-builtin"] },
  ]);
  const expected = [
    ...["host: looked", "library: looked"],
    ...["library: 1000 by itself, its own by dlopen(NULL): yes", "program: 1000"],
  ];
  expectLines(await found.native(), expected);
  expectLines(await found.capsule(), expected);
});

describe("an isolated library that is global serves those that are opened later:", () => {
  let global: Pair;

  beforeAll(async () => {
    const lender = (name: string) => ({
      path: `${HOST}/lib${name}.so.1`,
      sources: ["lender.c"],
      flags: [`-DCOLOUR="${name}"`],
    });
    const user = (name: string, flags: string[] = []) => ({
      path: `${HOST}/lib${name}.so.1`,
      sources: ["user.c"],
      flags,
    });
    const red = `${HOST}/libred.so.1`;
    global = await pair(
      "loading/an-isolated-library-that-is-global-serves-later-ones",
      [
        ...[lender("red"), lender("green"), user("user"), user("reader", ["-DNUMBER"])],
        user("weak", ["-DWEAK"]),
        { path: `${HOST}/libabove.so.1`, sources: ["plugin.c"], needs: [`${HOST}/libgreen.so.1`] },
        { path: `${RUNTIME}/libplugin.so.1`, sources: ["plugin.c"], needs: [red] },
        { path: "program", sources: ["program.c"] },
        { path: "linked", sources: ["program.c"], needs: [`${HOST}/libabove.so.1`] },
        { path: "linked-twice", sources: ["program.c"], needs: [red, `${HOST}/libabove.so.1`] },
      ],
      ["libred.so.1", "libabove.so.1", "libuser.so.1", "libreader.so.1", "libweak.so.1"],
    );
  });

  const [user, reader, weak] = ["n=libuser.so.1", "n=libreader.so.1", "n=libweak.so.1"];
  for (const [words, steps, answers, program = "program"] of [
    ["not without RTLD_GLOBAL", ["n=libred.so.1", weak], ["open", "nobody"]],
    ["with it", ["ng=libred.so.1", user, reader], ["open", "red", "red, 4"]],
    ["with it, and bound lazily", ["lg=libred.so.1", "l=libuser.so.1"], ["open", "red"]],
    [
      "made so later",
      ["n=libred.so.1", "no=libuser.so.1", "log=libred.so.1", user],
      ["open", "not open", "open", "red"],
    ],
    ["also by what needs it", ["ng=libplugin.so.1", user, reader], ["open", "red", "red, 4"]],
    ["also when that is made so later", ["n=libplugin.so.1", "log=libplugin.so.1", user], ["open", "open", "red"]],
    ["not by what is not open", ["n=libred.so.1", "log=libplugin.so.1", weak], ["open", "not open", "nobody"]],
    ["with what it needs itself", ["ng=libabove.so.1", user, reader], ["open", "green", "green, 6"]],
    ["the first that is", ["ng=libabove.so.1", "ng=libred.so.1", reader], ["open", "open", "green, 6"]],
    ["whatever is opened first", ["n=libred.so.1", "ng=libabove.so.1", reader], ["open", "open", "green, 6"]],
    ["where the program is linked to one", [user, reader], ["green", "green, 6"], "linked"],
    ["where the program is linked to two", [user, reader], ["red", "red, 4"], "linked-twice"],
    ["in a forked child", ["fork", "ng=libred.so.1", user], ["open", "red"]],
    ["in a forked child of who has opened it", ["ng=libred.so.1", "fork", user], ["open", "red"]],
    ["in a forked child of who is linked to it", ["fork", user, reader], ["red", "red, 4"], "linked-twice"],
  ] as [string, string[], string[], string?][]) {
    test(words, async () => {
      const told = steps.filter((step) => step !== "fork");
      const expected = told.map((step, i) => `${step}: ${answers[i]}`);
      expectLines(await global.native(steps, {}, program), expected);
      expectLines(await global.capsule(steps, {}, program), expected);
    });
  }
});

describe("a handle finds what an isolated library needs, in ld.so's order", () => {
  const colour = (name: string, needs: string[] = []) => ({
    path: `${HOST}/lib${name}.so.1`,
    sources: ["colour.c"],
    needs: needs.map((needed) => `${HOST}/lib${needed}.so.1`),
    flags: [`-DNAME=${name}`, `-DCOLOUR="${name}"`],
  });
  const host = `${HOST}/libhost.so.1`;
  const found = [
    ...["its own: 42", "the first of those that need nothing in between: near", "a variable of the last: 5"],
    ...["a thread-local variable: the same", "by version: libc's", "what nobody has: not found"],
    "by its dlopen: one handle",
  ];

  for (const [words, needs, program] of [
    ["that the program opens", [], "not found"],
    // Here what is private is so for everybody.
    ["that the program is linked to", [host], "found"],
  ] as [string, string[], string][]) {
    for (const [more, isolated] of [
      ["private libraries", []],
      ["isolated ones", ["libfirst.so.1", "libnear.so.1"]],
    ] as [string, string[]][]) {
      test(`${words}: ${more}`, async () => {
        const handle = await pair(
          "loading/a-handle-finds-what-an-isolated-library-needs",
          [
            colour("deep"),
            { ...colour("first", ["deep"]), sources: ["host.c"] },
            colour("near"),
            // Before glibc 2.34 dlopen is in a library of its own.
            {
              path: host,
              sources: ["host.c"],
              needs: [`${HOST}/libfirst.so.1`, `${HOST}/libnear.so.1`],
              flags: ["-ldl"],
            },
            { path: "program", sources: ["program.c"], needs },
          ],
          ["libhost.so.1", ...isolated],
        );
        const natively = [`by RTLD_DEFAULT: ${program}`, `in the program: ${program}`];
        expectLines(await handle.native(), [...found, ...natively]);
        const isVisible = isolated.length > 0 && needs.length > 0 ? "found" : "not found";
        expectLines(await handle.capsule(), [
          ...found,
          `by RTLD_DEFAULT: ${isVisible}`,
          `in the program: ${isVisible}`,
        ]);
      });
    }
  }
});

describe("a plug-in that has just been made gets the isolated libraries that it needs:", () => {
  let made: Pair;

  beforeAll(async () => {
    const host = `${HOST}/libhost.so.1`;
    made = await pair("loading/a-plugin-that-has-just-been-made-gets-the-isolated-libraries", [
      { path: host, sources: ["host.c"], flags: ['-DPLACE="host"'] },
      { path: `${RUNTIME}/libhost.so.1`, sources: ["host.c"], flags: ['-DPLACE="runtime"'] },
      { path: "plugins/plain.so", sources: ["plugin.c"], flags: ["-DIS_PLAIN"] },
      { path: "plugins/plugin.so.made", sources: ["plugin.c"], needs: [host] },
      { path: "program", sources: ["program.c"] },
    ]);
  });

  for (const [how, file, before] of [
    ["copied", "plugin.so", "not there"],
    ["renamed", "plugin.so", "not there"],
    ["in a new directory", "new/plugin.so", "not there"],
    ["replaced", "plugin.so", "needs none"],
    ["overwritten", "plugin.so", "needs none"],
  ] as const)
    test(how, async () => {
      const [plain, plugin] = ["plain.so", "plugin.so.made"].map((name) => join(made.out, "plugins", name)) as [
        string,
        string,
      ];
      const expected = [`before: ${before}`, "after: host"];
      for (const run of [made.native.bind(made), made.capsule.bind(made)]) {
        const directory = mkdtempSync(join(tmpdir(), "capsule-test-"));
        try {
          expectLines(await run([how, plain, plugin, join(directory, file)]), expected);
        } finally {
          rmSync(directory, { recursive: true });
        }
      }
    });
});
