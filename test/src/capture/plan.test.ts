// What is captured and what is left, in small trees.

import { describe, expect, test } from "bun:test";
import { Search } from "../../../lib/tree/search.ts";
import { DEFAULT_COMPARATORS } from "../../../src/capture/capture.ts";
import { type Knowledge, parseKnowledge } from "../../../src/capture/knowledge.ts";
import { Provider } from "../../../src/capture/matches.ts";
import { requestsOf } from "../../../src/capture/pattern.ts";
import { type CaptureOptions, type Plan, planCapture } from "../../../src/capture/plan.ts";
import { type Content, SmallTree } from "../../lib/tree/small-tree.ts";

const EMPTY = new SmallTree();

type Files = Readonly<Record<string, Content>>;

function planFor(
  patterns: readonly string[],
  provider: SmallTree,
  container: SmallTree = EMPTY,
  more: Partial<CaptureOptions> = {},
): Plan {
  return planCapture(requestsOf(patterns), {
    provider: new Provider(new Search(provider.tree)),
    container: new Search(container.tree),
    compareBy: DEFAULT_COMPARATORS,
    knowledge: new Map(),
    isWithoutGlibc: false,
    ...more,
  });
}

const namesIn = ({ captured }: Plan): string[] => captured.map(({ name }) => name);
const captures = (patterns: readonly string[], files: Files, others: Files = {}): string[] => {
  using provider = new SmallTree(files);
  using container = new SmallTree(others);
  return namesIn(planFor(patterns, provider, container));
};

const lib = (soname: string, ...needed: string[]): Content => ({ soname, needed });
/** libgobject needs libglib, which needs libc. */
const GLIB: Files = {
  "/usr/lib/libgobject-2.0.so.0.1": lib("libgobject-2.0.so.0", "libglib-2.0.so.0", "libc.so.6"),
  "/usr/lib/libgobject-2.0.so.0": "-> libgobject-2.0.so.0.1",
  "/usr/lib/libglib-2.0.so.0": lib("libglib-2.0.so.0", "libm.so.6", "libc.so.6", "ld-linux-x86-64.so.2"),
  "/usr/lib/libc.so.6": lib("libc.so.6", "ld-linux-x86-64.so.2"),
  "/usr/lib/libm.so.6": lib("libm.so.6", "libc.so.6"),
  "/usr/lib/libmemusage.so": lib("libmemusage.so", "libc.so.6"),
  "/usr/lib/libBrokenLocale.so.1": lib("libBrokenLocale.so.1"),
  "/usr/lib/libcrypt.so.1": lib("libcrypt.so.1", "libc.so.6"),
  "/usr/lib/libother.so.1": lib("libother.so.1"),
};
const FAMILY = ["libBrokenLocale.so.1", "libc.so.6", "libcrypt.so.1", "libm.so.6", "libmemusage.so"];

describe("a library", () => {
  test("comes with all that it needs, and with all of glibc; ld.so is nobody's dependency", () => {
    const names = captures(["soname:libgobject-2.0.so.0"], GLIB);
    expect(names.toSorted()).toEqual([...FAMILY, "libglib-2.0.so.0", "libgobject-2.0.so.0"].sort());
  });
  test("or without what it needs", () => {
    expect(captures(["no-dependencies:libgobject-2.0.so.0"], GLIB)).toEqual(["libgobject-2.0.so.0"]);
  });
  test("or only that, unless something else wants it", () => {
    expect(captures(["only-dependencies:libgobject-2.0.so.0"], GLIB)).not.toContain("libgobject-2.0.so.0");
    const both = ["only-dependencies:libgobject-2.0.so.0", "no-dependencies:libgobject-2.0.so.0"];
    expect(captures(both, GLIB)).toContain("libgobject-2.0.so.0");
  });
  test("or without glibc, whatever asks for that", () => {
    using provider = new SmallTree(GLIB);
    const plan = planFor(["libgobject-2.0.so.0", "libm.so.6"], provider, EMPTY, { isWithoutGlibc: true });
    expect(namesIn(plan)).toEqual(["libgobject-2.0.so.0", "libglib-2.0.so.0"]);
  });
  test("has each name once, and the first file that is found by it", () => {
    const files = { ...GLIB, "/opt/libother.so.1": lib("libother.so.1") };
    using provider = new SmallTree(files);
    const { captured } = planFor(["/opt/libother.so.1", "libother.so.1", "libother.so.1"], provider);
    expect(captured.map(({ name, foundAs }) => [name, foundAs])).toEqual([["libother.so.1", "/opt/libother.so.1"]]);
  });
});

describe("what has been followed once", () => {
  test("is not looked for again: hundreds of libraries take as many searches", () => {
    const many = 600;
    const nameOf = (i: number) => `libx${i}.so.1`;
    const below = (i: number) => Array.from({ length: 10 }, (_, k) => nameOf((i + 1) * (k + 2)));
    const files = Array.from({ length: many }, (_, i) => {
      const needed = below(i).filter((name) => Number(/\d+/.exec(name)?.[0]) < many);
      return [`/usr/lib/${nameOf(i)}`, lib(nameOf(i), ...needed)] as const;
    });
    using provider = new SmallTree(Object.fromEntries(files));
    let searches = 0;
    class Counting extends Search {
      override find(...wanted: Parameters<Search["find"]>): ReturnType<Search["find"]> {
        searches++;
        return super.find(...wanted);
      }
    }
    const counting = new Provider(new Counting(provider.tree));
    const plan = planFor(["lib*"], provider, EMPTY, { provider: counting });
    expect(plan.captured.length).toBe(many);
    // Is it a soname; the file of what matches; the file of what is needed.
    expect(searches).toBeLessThan(3 * many + 100);
  });

  test("is there for others, also if it was only the dependency of something that was not wanted itself", () => {
    const files = {
      "/usr/lib/liba.so.1": lib("liba.so.1", "libb.so.1"),
      "/usr/lib/libb.so.1": lib("libb.so.1", "liba.so.1"),
      "/usr/lib/libc-user.so.1": lib("libc-user.so.1", "libb.so.1"),
    };
    expect(captures(["only-dependencies:liba.so.1"], files)).toEqual(["libb.so.1"]);
    expect(captures(["only-dependencies:liba.so.1", "libc-user.so.1"], files)).toEqual([
      ...["libb.so.1", "libc-user.so.1", "liba.so.1"],
    ]);
  });
  test("but not where a search path leads elsewhere", () => {
    const files = {
      "/usr/lib/liba.so.1": lib("liba.so.1", "libdep.so.1"),
      "/usr/lib/libdep.so.1": lib("libdep.so.1"),
      "/opt/libapp.so": { needed: ["liba.so.1"], rpath: "$ORIGIN/own" },
      "/opt/own/libdep.so.1": lib("libdep.so.1", "libmore.so.1"),
      "/opt/own/libmore.so.1": lib("libmore.so.1"),
    };
    expect(captures(["liba.so.1", "/opt/libapp.so"], files)).toEqual([
      ...["liba.so.1", "libdep.so.1", "libapp.so", "libmore.so.1"],
    ]);
  });
  test("and by each of its names", () => {
    const files = {
      "/opt/libapp.so": { soname: "libapp.so.7", needed: ["libplugin.so.1"] },
      "/usr/lib/libapp.so.7": "-> /opt/libapp.so",
      "/usr/lib/libplugin.so.1": lib("libplugin.so.1", "libapp.so.7"),
    } as const;
    expect(captures(["/opt/libapp.so"], files)).toEqual(["libapp.so", "libplugin.so.1", "libapp.so.7"]);
  });
});

describe("a name", () => {
  const files: Files = {
    "/usr/lib/libxml2.so.2": "-> libxml2.so.2.9",
    "/usr/lib/libxml2.so.2.9": lib("libxml2.so.2"),
    "/usr/lib/libxml2.so": "-> libxml2.so.2.9",
    "/usr/lib/libplain.so": {},
    "/usr/lib/libscript.so": new TextEncoder().encode("INPUT(-lc)"),
    "/usr/lib/libforeign.so.1": { soname: "libforeign.so.1", machine: 3, elfClass: 1 },
    "/usr/lib/libbroken.so.1": new Uint8Array([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]),
    "/usr/lib/libwrong.so.1": lib("libright.so.1"),
  };

  test("that a glob matches is a soname, without a cache, too: not the other names of a file", () => {
    expect(captures(["soname-match:lib*ml2.so*"], files)).toEqual(["libxml2.so.2"]);
    expect(captures(["lib*"], files)).toEqual(["libplain.so", "libxml2.so.2"]);
  });
  test("that matches nothing is quoted; with if-exists: it is passed over, and that is told", () => {
    expect(() => captures(["soname-match:no-such*"], files)).toThrow(/"no-such\*"/);
    using provider = new SmallTree(files);
    const { captured, ignored } = planFor(["if-exists:no-such*", "if-exists:libno.so.1"], provider);
    expect(captured).toEqual([]);
    expect(ignored.map(({ pattern }) => pattern)).toEqual(["if-exists:no-such*", "if-exists:libno.so.1"]);
  });
  test("is the link's, whatever the file's DT_SONAME; unless it is to be exact", () => {
    expect(captures(["soname:libwrong.so.1"], files)).toEqual(["libwrong.so.1"]);
    expect(() => captures(["exact-soname:libwrong.so.1"], files)).toThrow(/is "libright.so.1"/);
    expect(() => captures(["exact-soname:libplain.so"], files)).toThrow(/has no DT_SONAME/);
    expect(captures(["if-exists:exact-soname:libwrong.so.1", "exact-soname:libxml2.so.2"], files)).toEqual([
      "libxml2.so.2",
    ]);
  });
  test("of ld.so is none", () => {
    const loader = { "/usr/lib/ld-linux-x86-64.so.2": lib("ld-linux-x86-64.so.2") };
    expect(captures(["ld-linux-x86-64.so.2", "if-exists:ld-*"], loader)).toEqual([]);
  });
});

describe("a path", () => {
  const files: Files = {
    "/opt/app/libapp.so": { soname: "libapp.so.7", needed: ["libpart.so.1"], runpath: "$ORIGIN/parts" },
    "/opt/app/parts/libpart.so.1": lib("libpart.so.1", "libdeep.so.1"),
    "/usr/lib/libdeep.so.1": lib("libdeep.so.1"),
    "/usr/lib/libpart.so.1": lib("libpart.so.1"),
    "/opt/app/libforeign.so": { machine: 3, elfClass: 1 },
    "/opt/app/script": new TextEncoder().encode("#!/bin/sh\n"),
  };

  test("is a file, whose search paths count", () => {
    using provider = new SmallTree(files);
    const { captured } = planFor(["path:/opt/app/libapp.so"], provider);
    expect(captured.map(({ name, foundAs, why }) => [name, foundAs, why])).toEqual([
      ["libapp.so", "/opt/app/libapp.so", "its path"],
      ["libpart.so.1", "/opt/app/parts/libpart.so.1", `runpath of ${provider.tree.root}/opt/app/libapp.so`],
      ["libdeep.so.1", "/usr/lib/libdeep.so.1", "default directory"],
    ]);
  });
  test("DT_RPATH counts for what its libraries need, too", () => {
    const rpath = { ...files, "/opt/app/libapp.so": { needed: ["libpart.so.1"], rpath: "/opt/app/parts" } };
    const deep = { ...rpath, "/opt/app/parts/libdeep.so.1": lib("libdeep.so.1") };
    using provider = new SmallTree(deep);
    const { captured } = planFor(["/opt/app/libapp.so"], provider);
    expect(captured.map(({ foundAs }) => foundAs)).toContain("/opt/app/parts/libdeep.so.1");
  });
  test("for another machine is refused, unless that is said to be fine", () => {
    expect(() => captures(["path:/opt/app/libforeign.so"], files)).toThrow(/another class or machine/);
    expect(() => captures(["if-exists:nothing", "path:/opt/app/libforeign.so"], files)).toThrow(/another class/);
    expect(captures(["if-same-abi:path:/opt/app/libforeign.so"], files)).toEqual([]);
    expect(captures(["no-dependencies:path-match:/opt/app/*"], files)).toEqual(["libapp.so"]);
    expect(captures(["path-match:/opt/app/libf*.so"], files)).toEqual([]);
    expect(() => captures(["path-match:/opt/app/s*"], files)).toThrow(/has no library that it matches/);
  });
  test("that is not there is refused, unless that is said to be fine", () => {
    expect(() => captures(["path:/opt/none.so"], files)).toThrow(/has no such file/);
    expect(() => captures(["if-same-abi:path:/opt/none.so"], files)).toThrow(/has no such file/);
    expect(captures(["if-exists:path:/opt/none.so"], files)).toEqual([]);
  });
  test("that is no library is refused", () => {
    expect(() => captures(["/opt/app/script"], files)).toThrow(/ELF header/);
    expect(() => captures(["/opt/app"], files)).toThrow(/"\/opt\/app": a directory/);
  });
  test("never leads out of the tree", () => {
    const leading = { "/opt/a.so": "-> ../../../../../../etc/passwd", "/opt/b.so": "-> /etc/passwd" } as const;
    expect(() => captures(["/opt/a.so"], leading)).toThrow(/climbs out/);
    expect(() => captures(["/opt/b.so"], leading)).toThrow(/no such file/);
  });
  test("nor does a search path", () => {
    using outside = new SmallTree({ "/libpart.so.1": lib("libpart.so.1") });
    const runpath = `../../../../../../../../../../../..${outside.directory}`;
    const rooted = { "/opt/libapp.so": { needed: ["libpart.so.1"], runpath: `${runpath}:${outside.directory}` } };
    expect(() => captures(["/opt/libapp.so"], rooted)).toThrow(/libpart\.so\.1/);
  });
});

describe("something that is missing", () => {
  const files: Files = { "/usr/lib/libuser.so.1": lib("libuser.so.1", "libmissing.so.1") };

  test("is an error that says who needs it", () => {
    expect(() => captures(["libuser.so.1"], files)).toThrow(/"libmissing.so.1", which ".*libuser.so.1" needs/);
  });
  test("with if-exists: the library is passed over; without its dependencies it need not be there", () => {
    expect(captures(["if-exists:libuser.so.1"], files)).toEqual([]);
    expect(captures(["no-dependencies:libuser.so.1"], files)).toEqual(["libuser.so.1"]);
    const others = { ...files, "/usr/lib/libzoo.so.1": lib("libzoo.so.1") };
    expect(captures(["if-exists:lib*.so.1"], others)).toEqual(["libzoo.so.1"]);
  });
});

describe("the container's copy", () => {
  const at = (name: string, version: string, ...needed: string[]): Files => ({
    [`/usr/lib/${name}`]: `-> ${name}.${version}`,
    [`/usr/lib/${name}.${version}`]: lib(name, ...needed),
  });
  const provider = { ...at("libfoo.so.1", "1.9", "libbar.so.1"), ...at("libbar.so.1", "2") };

  test("that is newer stays, with what it is compared to; what else is needed is captured", () => {
    using ours = new SmallTree(provider);
    using theirs = new SmallTree(at("libfoo.so.1", "1.10"));
    const { captured, left } = planFor(["libfoo.so.1"], ours, theirs);
    expect(captured.map(({ name, reason }) => [name, reason.kind])).toEqual([["libbar.so.1", "alone"]]);
    expect(left).toMatchObject([
      { name: "libfoo.so.1", container: `${theirs.tree.root}/usr/lib/libfoo.so.1.1.10`, reason: { by: "name" } },
    ]);
  });
  test("that is older, or as good, is replaced", () => {
    for (const version of ["1.8", "1.9"]) {
      expect(captures(["libfoo.so.1"], provider, at("libfoo.so.1", version))).toContain("libfoo.so.1");
    }
  });
  test("does not count for what is asked for even if older; for what that needs it does", () => {
    const newer = { ...at("libfoo.so.1", "1.10"), ...at("libbar.so.1", "3") };
    expect(captures(["even-if-older:libfoo.so.1"], provider, newer)).toEqual(["libfoo.so.1"]);
    expect(captures(["libfoo.so.1", "even-if-older:libbar.so.1"], provider, newer)).toEqual(["libbar.so.1"]);
  });
  test("is compared as the knowledge of it says, by its soname or its path", () => {
    for (const key of ["libfoo.so.1", "/usr/lib/libfoo.so.1.1.9", "/usr/lib/libfoo.so.1.1.10"]) {
      using ours = new SmallTree(provider);
      using theirs = new SmallTree(at("libfoo.so.1", "1.10"));
      const knowledge: Knowledge = parseKnowledge(`# mine\n[Other]\nx=y\n[Library ${key}]\nCompareBy=provider;\n`, "");
      expect(namesIn(planFor(["libfoo.so.1"], ours, theirs, { knowledge }))).toContain("libfoo.so.1");
    }
  });
});

describe("glibc is of one side:", () => {
  const old: Files = {
    "/usr/lib/libc.so.6": "-> libc-2.30.so",
    "/usr/lib/libc-2.30.so": lib("libc.so.6"),
    "/usr/lib/libm.so.6": "-> libm-2.30.so",
    "/usr/lib/libm-2.30.so": lib("libm.so.6", "libc.so.6"),
  };
  const fresh: Files = {
    "/usr/lib/libc.so.6": "-> libc-2.31.so",
    "/usr/lib/libc-2.31.so": lib("libc.so.6"),
    // A file name that alone would say the opposite.
    "/usr/lib/libm.so.6": "-> libm-2.29.so",
    "/usr/lib/libm-2.29.so": lib("libm.so.6", "libc.so.6"),
    "/usr/lib/libapp.so.1": lib("libapp.so.1", "libm.so.6"),
    "/usr/lib/libanl.so.1": lib("libanl.so.1"),
  };

  // These have neither versions nor symbols, and their names end differently from their sonames.
  test("the newer libc decides for all of it", () => {
    expect(captures(["libapp.so.1"], fresh, old).toSorted()).toEqual([
      ...["libanl.so.1", "libapp.so.1", "libc.so.6", "libm.so.6"],
    ]);
    expect(captures(["libm.so.6"], old, fresh)).toEqual([]);
  });
  test("what only the provider's older glibc has is left with it, and that is told", () => {
    using ours = new SmallTree({ ...old, "/usr/lib/libnsl.so.1": lib("libnsl.so.1") });
    using theirs = new SmallTree(fresh);
    const { captured, left } = planFor(["libnsl.so.1"], ours, theirs);
    expect(captured).toEqual([]);
    expect(left).toMatchObject([{ name: "libnsl.so.1", container: undefined, reason: { kind: "glibc" } }]);
  });
  test("whoever asks for one of it even if older gets all of it", () => {
    expect(captures(["even-if-older:libm.so.6"], old, fresh)).toEqual(["libm.so.6", "libc.so.6"]);
  });
  test("without one in the container, the provider's is captured", () => {
    expect(captures(["libm.so.6"], old)).toEqual(["libm.so.6", "libc.so.6"]);
  });
});
