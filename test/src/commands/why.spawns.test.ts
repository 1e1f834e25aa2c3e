// `capsule why`: which file each side has, by which rule, for whom, and found where.

import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LinkedTrees } from "../../support/linked-trees.ts";
import { command, type Outcome } from "../../support/run.ts";

const trees = new LinkedTrees();
afterAll(() => trees[Symbol.dispose]());

const host = trees.path("host");
const runtime = trees.path("runtime");
const TREES = ["--host", host, "--runtime", runtime];
const DOOR = [...TREES, "--isolate", "libdoor.so.1"];

trees.library("runtime/usr/lib/libown.so.1", { needs: ["libdeep.so.1"], runpath: "/none:/usr/lib/deep" });
trees.library("runtime/usr/lib/deep/libdeep.so.1", { needs: ["libboth.so.1"] });
trees.library("runtime/usr/lib/libboth.so.1.1.0");
trees.library("host/usr/lib/libdoor.so.1.2.0", { needs: ["libboth.so.1", "libc.so.6"] });
trees.library("host/usr/lib/libboth.so.1.3.0");
const game = trees.program("bin/game", { needs: ["libown.so.1", "libdoor.so.1"] });

const why = (args: string[]): Promise<Outcome> => command(["why", ...args]);

/** Its paragraphs: the first line of each, and its fields by their labels, in one line each. */
async function said(args: string[]): Promise<{ head: string; [label: string]: string }[]> {
  const { stdout, stderr } = await why(args);
  expect(stderr).toBe("");
  return stdout
    .trimEnd()
    .split("\n\n")
    .map((paragraph) => {
      const [head = "", ...lines] = paragraph.split("\n");
      const fields: Record<string, string> = {};
      let label = "";
      for (const line of head.startsWith(" ") ? [head, ...lines] : lines) {
        label = line.slice(2, 13).trim() || label;
        fields[label] = `${fields[label] ?? ""} ${line.slice(13)}`.trim();
      }
      return { ...fields, head: head.startsWith(" ") ? "" : head };
    });
}

describe("of a library that both sides have", () => {
  test("it tells whose it is on each, the chain of who needs it, and that they clash", async () => {
    expect(await said([...DOOR, "--program", game, "libboth.so.1"])).toEqual([
      {
        head: `the program: ${runtime}/usr/lib/libboth.so.1.1.0`,
        "it is": "the runtime's own: no profile that is chosen and no --isolate names it",
        "needed by": `${game} → libown.so.1 → libdeep.so.1`,
        search: expect.stringMatching(
          /ld\.so\.cache .*there is none .*default directory +\S+libboth\.so\.1\.1\.0: found$/,
        ),
      },
      {
        head: `capsule of ${host}: ${host}/usr/lib/libboth.so.1.3.0`,
        "it is": "a private dependency: only this capsule sees it",
        "needed by": `${game} → libdoor.so.1`,
        search: expect.stringContaining("libboth.so.1.3.0: found"),
      },
      { head: "", clash: expect.stringContaining("each side has a file of its own, and keeps it") },
    ]);
  });
});

describe("of an isolated library", () => {
  test("it tells that the program gets the host's, and which option says so", async () => {
    const [program, capsule] = await said([...DOOR, "--program", game, "libdoor.so.1"]);
    expect(program).toMatchObject({
      head: `the program: ${host}/usr/lib/libdoor.so.1.2.0`,
      "it is": `isolated, as --isolate says: the program sees the one of ${host} by a shim`,
      "needed by": game,
      search: "none: it is the shim of the one in the other namespace",
    });
    expect(capsule).toMatchObject({ "it is": "isolated, as --isolate says", "needed by": game });
  });

  test("it names the profiles, and says when all are chosen", async () => {
    trees.library("screen/usr/lib/libXext.so.6");
    const args = ["--host", trees.path("screen"), "--runtime", runtime, "libXext.so.6"];
    const rule = async (more: string[]) => (await said([...args, ...more]))[0]?.["it is"];
    expect(await rule([])).toStartWith("isolated, as each of the profiles gl, egl, vulkan, video, cl, nvidia says: ");
    expect(await rule([])).toEndWith("(without --profile all are chosen)");
    expect(await rule(["--profile", "gl"])).toEndWith(
      `isolated, as the profile gl says: the program sees the one of ${trees.path("screen")} by a shim`,
    );
  });

  test("it names the variable, or the file and its line, where that says so", async () => {
    const home = trees.path("home");
    trees.library("other/usr/lib/libdoor.so.1.3.0");
    const script = trees.write("home.sh", "#!/bin/sh\n");
    mkdirSync(home);
    const program = join(home, "game");
    copyFileSync(game, program);
    copyFileSync(script, join(home, "start"));
    for (const file of ["game", "start"]) chmodSync(join(home, file), 0o755);
    writeFileSync(join(home, "capsule.toml"), 'profile = []\nisolate = ["libdoor.so.1"]\n');
    const env = { CAPSULE_LIBDOOR_SO_1_PREFIX: trees.path("other") };
    for (const name of ["game", "start"]) {
      const words = [...TREES, "--program", join(home, name), "libdoor.so.1"];
      const { stdout } = await command(["why", ...words], { env });
      const text = stdout.replace(/\s+/g, " ");
      expect(text).toContain(
        `isolated, as "${home}/capsule.toml", line 2 says: the program sees the one of ${trees.path("other")}`,
      );
      expect(text).toContain("(its tree, as CAPSULE_LIBDOOR_SO_1_PREFIX says)");
    }
  });

  test("that another capsule has a mirror of it is told, whether it needs it or not", async () => {
    trees.library("second/usr/lib/libspare.so.1");
    trees.library("host/usr/lib/libspare.so.1");
    const [, first, second] = await said([
      ...DOOR,
      "--isolate",
      `libspare.so.1=${trees.path("second")}`,
      "libspare.so.1",
    ]);
    expect(first?.head).toBe(`capsule of ${host}: ${trees.path("second")}/usr/lib/libspare.so.1`);
    expect(first?.["it is"]).toStartWith(`a mirror of the one of ${trees.path("second")}`);
    expect(second?.head).toBe(`capsule of ${trees.path("second")}: ${trees.path("second")}/usr/lib/libspare.so.1`);
  });

  test("that the host tree lacks it tells that it is left to the runtime", async () => {
    trees.library("runtime/usr/lib/libgbm.so.1.0.0");
    const [program, capsule] = await said([...TREES, "--profile", "egl", "libgbm.so.1"]);
    expect(program).toMatchObject({
      head: `the program: ${runtime}/usr/lib/libgbm.so.1.0.0`,
      "it is": `left to the runtime: the profile egl names it, but ${host} does not have it`,
    });
    expect(capsule?.head).toBe(`capsule of ${host}: not needed, and not there`);
  });
});

describe("of a library of which the newer one serves both sides", () => {
  test("it tells that this is so, and why", async () => {
    const source = "int old(void) { return 1; }";
    const soname = "libwayland-client.so.0";
    for (const [tree, more] of [
      ["runtime", " int fresh(void) { return 2; }"],
      ["host", ""],
    ] as const)
      trees.compile(`${tree}/usr/lib/${soname}`, source + more, "-shared", "-nostdlib", `-Wl,-soname,${soname}`);
    const [program, capsule] = await said([...TREES, "--profile", "vulkan", soname]);
    expect(program?.head).toBe(`the program: ${runtime}/usr/lib/${soname}`);
    expect(program?.["it is"]).toBe(
      `the runtime's, which serves both sides: the profile vulkan says the newer one, and it defines more than the one of ${host}`,
    );
    expect(capsule?.["it is"]).toStartWith("a mirror of the runtime's");
  });
});

test("of the shared set it tells whose glibc was chosen, and how", async () => {
  const [program, capsule] = await said([...DOOR, "--program", game, "libc.so.6"]);
  expect(program?.["it is"]).toMatch(
    /^the shared set's, of which the process has one copy: glibc 2\.\d+'s \(--glibc auto, the newest/,
  );
  expect(capsule?.["it is"]).toStartWith("a mirror of the shared set's");
  expect(capsule?.search).toBe("none: it is the mirror of the one in the other namespace");
});

describe("the search", () => {
  test("is told step by step, with whose runpath it was", async () => {
    const { stdout } = await why([...DOOR, "--program", game, "libdeep.so.1"]);
    const lines = stdout.split("\n").map((line) => line.trim());
    expect(lines).toContain(`search     runpath of libown.so.1  ${runtime}/none/libdeep.so.1: no such file`);
    expect(lines).toContain(`runpath of libown.so.1  ${runtime}/usr/lib/deep/libdeep.so.1: found`);
  });

  test("of what nobody has tells where it was looked for on each side, and ends with 127", async () => {
    const { stdout, exitCode } = await why([...DOOR, "libnone.so.1"]);
    expect(exitCode).toBe(127);
    expect(stdout).toContain("the program: not found\n");
    for (const tree of [runtime, host]) expect(stdout).toContain(`${tree}/usr/lib/libnone.so.1: no such file`);
  });
});

test("what the program does not need, but might open, is told of as well", async () => {
  trees.library("host/usr/lib/libother.so.1");
  const [program, capsule] = await said([...DOOR, "--isolate", "libother.so.1", "--program", game, "libother.so.1"]);
  expect(program?.head).toBe(`the program: ${host}/usr/lib/libother.so.1`);
  expect(capsule?.["needed by"]).toBe("nobody at the start; the program, if it opens it");
});

test("JSON is an array with the program's side first", async () => {
  const { stdout } = await why([...DOOR, "--program", game, "--json", "libdeep.so.1"]);
  const by = `runpath of ${runtime}/usr/lib/libown.so.1`;
  const path = join(runtime, "usr/lib/deep/libdeep.so.1");
  expect(JSON.parse(stdout)).toMatchObject([
    {
      tree: runtime,
      isCapsules: false,
      is: { name: "libdeep.so.1", path, door: null },
      neededBy: [game, join(runtime, "usr/lib/libown.so.1")],
      search: { tried: [{ by, path: `${runtime}/none/libdeep.so.1`, fault: "no such file" }], found: { by, path } },
    },
    { tree: host, isCapsules: true, is: null, neededBy: [], search: { found: null } },
  ]);
});

describe("a clear error for", () => {
  const mistakes: [string, string[], string, number][] = [
    ["a program that is not there", ["--program", "./none", "libc.so.6"], 'Cannot find "./none"', 127],
    ["a host tree that is not there", ["--host", "/nowhere", "libc.so.6"], "there is no such directory", 125],
    ["a path", ["/usr/lib/libc.so.6"], "a soname is needed", 2],
    ["an empty name", [""], "a soname is needed", 2],
    ["no soname", [], "missing required argument 'soname'", 2],
  ];
  for (const [what, args, message, code] of mistakes)
    test(what, async () => {
      const { stdout, stderr, exitCode } = await why(args);
      expect([stdout, exitCode]).toEqual(["", code]);
      expect(stderr).toContain(message);
    });
});
