// `capsule capture` and `capsule verify`: what libcapsule's own tool promises, by its command lines, and more.

import { afterAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { Search } from "../../../lib/tree/search.ts";
import { Tree } from "../../../lib/tree/tree.ts";
import { Scratch } from "../../lib/elf/scratch.ts";
import { SmallTree } from "../../lib/tree/small-tree.ts";
import { COMMAND, command, type Outcome, run } from "../../support/run.ts";
import { LIBRARIES, sonameOf, twoCopies } from "../../support/two-copies.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

let count = 0;
function folder(): string {
  const path = scratch.path(`folder-${count++}`);
  mkdirSync(path);
  return path;
}

const capture = (...words: string[]): Promise<Outcome> => command(["capture", ...words]);

/** Captures into a fresh folder, and returns its links. */
async function linksOf(...words: string[]): Promise<Record<string, string>> {
  const dest = folder();
  const { stderr, exitCode } = await capture(`--dest=${dest}`, ...words);
  expect([stderr, exitCode]).toEqual(["", 0]);
  return linksIn(dest);
}

const linksIn = (path: string): Record<string, string> =>
  Object.fromEntries(readdirSync(path).map((name) => [name, readlinkSync(join(path, name))]));

const machine = new Search(new Tree("/"));
/** Where this machine's cache has libc. */
const LIBC = machine.find("libc.so.6", undefined);
const OF_GLIBC = [
  "libBrokenLocale.so.1",
  "libanl.so.1",
  "libc.so.6",
  "libdl.so.2",
  "libm.so.6",
  "libmemusage.so",
].filter((name) => machine.find(name, undefined));

describe("this machine's libc", () => {
  test("is linked as it was found, in the current directory, with all of glibc, by either name", async () => {
    const tool = scratch.path("capsule-capture-libs");
    symlinkSync(COMMAND.at(-1) ?? "", tool);
    for (const words of [
      [...COMMAND, "capture"],
      [COMMAND[0] ?? "", tool],
    ]) {
      const cwd = folder();
      const { stdout, stderr, exitCode } = await run([...words, "soname:libc.so.6"], { cwd });
      expect([stdout, stderr, exitCode]).toEqual(["", "", 0]);
      const links = linksIn(cwd);
      expect(links["libc.so.6"]).toBe(LIBC?.foundAs ?? "");
      expect(Object.keys(links)).toEqual(expect.arrayContaining(OF_GLIBC));
      expect(links).not.toHaveProperty("ld-linux-x86-64.so.2");
    }
  });

  test("with a target, it is linked to what it really is, below that; prefixes are replaced in the text", async () => {
    const real = realpathSync(LIBC?.path ?? "");
    const target = await linksOf("--link-target=/run/host/", "soname-match:libc.so.6");
    expect(target["libc.so.6"]).toBe(`/run/host${real}`);
    const remapped = ["--remap-link-prefix=/none=/x", "--remap-link-prefix=/run/host=/a=b"];
    const other = await linksOf("--link-target=/run/host", ...remapped, "libc.so.6");
    expect(other["libc.so.6"]).toBe(`/a=b${real}`);
    expect(Object.keys(other)).toEqual(Object.keys(target));
  });

  test("is left to the container by nobody but a newer one; patterns come from files, too", async () => {
    const file = scratch.write("patterns", "\n# libc\nlibc.so.6\nlibc.so.6");
    const links = await linksOf("--container=/", `from:${scratch.write("empty", "")}`, `from:${file}`);
    expect(Object.keys(links)).toEqual(expect.arrayContaining(OF_GLIBC));
    expect(await linksOf("--no-glibc", `from:${file}`)).toEqual({});
  });
});

describe("two trees:", () => {
  const taken = async (provider: string, container: string, ...words: string[]) => {
    const links = await linksOf(`--provider=${provider}`, `--container=${container}`, "--no-glibc", ...words);
    for (const text of Object.values(links)) expect(text).toStartWith(`${provider}/usr/lib/`);
    return Object.keys(links).sort();
  };
  // The fixtures need this machine's libc, which the trees do not have.
  const all = LIBRARIES.map((name) => `no-dependencies:${sonameOf(name)}`);

  test("the newer copy of each is taken, by the comparisons that are asked for", async () => {
    const { v1, v2 } = await twoCopies();
    const by = "--compare-by=versions,name,symbols,provider";
    const broken = ["unversionedabibreak", "versionedabibreak"].map(sonameOf);
    expect(await taken(v1, v2, by, ...all)).toEqual(broken);
    expect(await taken(v2, v1, by, ...all)).toEqual(LIBRARIES.map(sonameOf).sort());
    const numbered = ["unversionednumber", "versionednumber", "versionedlikedbus"].map(sonameOf);
    expect(await taken(v1, v2, ...all)).toEqual(
      LIBRARIES.map(sonameOf)
        .filter((name) => !numbered.includes(name))
        .sort(),
    );
  });

  test("what is known of a library has its own comparison", async () => {
    const { v1, v2 } = await twoCopies();
    const soname = sonameOf("versionedlikedbus");
    const known = `[Library ${soname}]\nCompareBy=symbols;container;\nPublicSymbolVersions=!P*;*;\n`;
    const knowledge = `--library-knowledge=${scratch.write("known.ini", known)}`;
    expect(await taken(v2, v1, knowledge, `no-dependencies:${soname}`)).toEqual([soname]);
    expect(await taken(v1, v2, knowledge, "--compare-by=provider", `no-dependencies:${soname}`)).toEqual([]);
  });
});

describe("a tree without a cache", () => {
  const files = {
    "/usr/lib/libfoo.so.1": "-> libfoo.so.1.2",
    "/usr/lib/libfoo.so.1.2": { soname: "libfoo.so.1", needed: ["libbar.so.1"] },
    "/usr/lib/libbar.so.1": { soname: "libbar.so.1" },
  } as const;

  test("is searched; the second time nothing is done, and the third only what has changed", async () => {
    using provider = new SmallTree(files);
    const dest = folder();
    const words = [`--dest=${dest}`, `--provider=${provider.directory}`, "libfoo.so.1"];
    expect((await capture(...words)).exitCode).toBe(0);
    expect(linksIn(dest)).toEqual({
      "libbar.so.1": `${provider.tree.root}/usr/lib/libbar.so.1`,
      "libfoo.so.1": `${provider.tree.root}/usr/lib/libfoo.so.1.2`,
    });
    const before = lstatSync(join(dest, "libbar.so.1")).ino;
    const again = JSON.parse((await capture(...words, "--json")).stdout);
    expect(again.changes).toEqual({ made: [], replaced: [], kept: ["libfoo.so.1", "libbar.so.1"] });
    const target = JSON.parse((await capture(...words, "--link-target=/x", "--dry-run", "--json")).stdout);
    expect(target).toMatchObject({ isDryRun: true, changes: { replaced: ["libfoo.so.1", "libbar.so.1"] } });
    expect(lstatSync(join(dest, "libbar.so.1")).ino).toBe(before);
  });

  test("copies are the files", async () => {
    using provider = new SmallTree(files);
    const dest = folder();
    const { exitCode } = await capture("--copy", `--dest=${dest}`, `--provider=${provider.directory}`, "libfoo.so.1");
    expect(exitCode).toBe(0);
    expect(lstatSync(join(dest, "libfoo.so.1")).isFile()).toBe(true);
    expect((await command(["verify", dest, "--container", provider.directory])).exitCode).toBe(0);
  });

  test("what is done, and why, is told", async () => {
    using provider = new SmallTree(files);
    using container = new SmallTree({ "/usr/lib/libbar.so.1": { soname: "libbar.so.1" } });
    const words = ["--dry-run", `--provider=${provider.directory}`, `--container=${container.directory}`];
    const { stdout } = await capture(...words, "--compare-by=container", "libfoo.so.1", "if-exists:libno.so.1");
    expect(stdout).toMatch(/\+ +libfoo\.so\.1 .* the container has none/);
    expect(stdout).toMatch(/- +libbar\.so\.1 .* by container: the container's is preferred/);
    expect(stdout).toMatch(/if-exists:libno\.so\.1: Cannot find "libno\.so\.1"/);
    expect(stdout).toMatch(/1 new, 0 replaced, 0 as they were/);
  });
});

describe("exit codes and messages", () => {
  const cases: [string, string[], number, RegExp][] = [
    ["no pattern", [], 2, /a pattern is needed/],
    ["an unknown option", ["--desk=x", "libc.so.6"], 2, /unknown option '--desk=x'/],
    ["an option without its value", ["--dest"], 2, /argument missing/],
    ["a library that is not there", ["libnone.so.1"], 1, /Cannot find "libnone.so.1"/],
    ["a glob that finds nothing", ["soname-match:libnone*"], 1, /"libnone\*"/],
    ["a pattern that makes no sense", ["sonam:x"], 1, /there is no "sonam:"/],
    ["a tree that is not there", ["--provider=/nonexistent", "x"], 1, /the provider "\/nonexistent": there is no such/],
    ["a container that is none", ["--container=/etc/passwd", "x"], 1, /the container "\/etc\/passwd": it is no dir/],
    ["a folder whose parent is not there", ["--dest=/nonexistent/x", "libc.so.6"], 1, /no such file/i],
    ["a comparison that there is not", ["--compare-by=names", "x"], 1, /did you mean "name"/],
    ["knowledge that is not there", ["--library-knowledge=/nonexistent", "x"], 1, /"\/nonexistent": no such file/],
    ...["=/run/host", "/usr=", "/usr"].map((text): [string, string[], number, RegExp] => [
      `a prefix "${text}"`,
      [`--remap-link-prefix=${text}`, "libc.so.6"],
      1,
      /must follow the FROM=TO pattern/,
    ]),
  ];
  test.each(cases)("%s", async (_, words, code, message) => {
    const cwd = folder();
    const { stdout, stderr, exitCode } = await run([...COMMAND, "capture", ...words], { cwd });
    expect([stdout, exitCode]).toEqual(["", code]);
    expect(stderr).toMatch(message);
    expect(readdirSync(cwd)).toEqual([]);
  });

  test("a folder is as it was if one of its links cannot be made", async () => {
    const dest = folder();
    writeFileSync(join(dest, "libm.so.6"), "mine");
    const { stderr, exitCode } = await capture(`--dest=${dest}`, "libc.so.6");
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/"libm.so.6" into ".*": a file that is no symbolic link/);
    expect(readdirSync(dest)).toEqual(["libm.so.6"]);
  });
});

test("ld.so's path, and where it leads", async () => {
  const { stdout: path } = await capture("--print-ld.so");
  expect(path).toBe("/lib64/ld-linux-x86-64.so.2\n");
  expect((await capture("--resolve-ld.so=/")).stdout).toBe(`${realpathSync(path.trim())}\n`);
  using tree = new SmallTree({
    "/lib64/ld-linux-x86-64.so.2": "-> /lib/ld-2.31.so",
    "/lib/ld-2.31.so": new Uint8Array(1),
  });
  expect((await capture(`--resolve-ld.so=${tree.directory}`)).stdout).toBe("/lib/ld-2.31.so\n");
});

describe("a profile", () => {
  const json = (path: string) => new TextEncoder().encode(JSON.stringify({ ICD: { library_path: path } }));
  const files = {
    "/usr/lib/libvulkan.so.1": { soname: "libvulkan.so.1" },
    "/usr/lib/libvulkan_a.so": { needed: ["libdep.so.1"] },
    "/usr/lib/libdep.so.1": { soname: "libdep.so.1" },
    "/opt/drivers/libvulkan_b.so": {},
    "/opt/c/libvulkan_b.so": {},
    "/opt/b/libforeign.so": { machine: 3, elfClass: 1 },
    "/usr/share/vulkan/icd.d/a.json": json("libvulkan_a.so"),
    "/usr/share/vulkan/icd.d/b.json": json("../../../../opt/drivers/libvulkan_b.so"),
    "/usr/share/vulkan/icd.d/c.json": json("/opt/c/libvulkan_b.so"),
    "/usr/share/vulkan/icd.d/foreign.json": json("/opt/b/libforeign.so"),
    "/usr/share/vulkan/icd.d/gone.json": json("/opt/b/libgone.so"),
    "/usr/share/vulkan/icd.d/bad.json": new TextEncoder().encode("{"),
    "/etc/vulkan/icd.d/a.json": json("libvulkan_a.so"),
    "/usr/share/vulkan/implicit_layer.d/l.json": new TextEncoder().encode(
      '{"layers": [{"library_path": "libdep.so.1"}]}',
    ),
    "/usr/share/drirc.d/x.conf": new TextEncoder().encode("<driconf/>"),
  };

  test("brings drivers, manifests that name them where they will be, and the variables", async () => {
    using provider = new SmallTree(files);
    const dest = folder();
    const words = [`--provider=${provider.directory}`, `--dest=${dest}`, "--profile=vulkan", "--mounted-at=/gfx"];
    const { stdout, stderr } = await capture(...words);
    expect(stderr).toBe("");
    const manifests = ["a", "b", "c"].map((name) => `/gfx/share/vulkan/icd.d/${name}.json`).join(":");
    expect(stdout.split("\n")).toEqual([
      "LD_LIBRARY_PATH=/gfx",
      `VK_DRIVER_FILES=${manifests}`,
      `VK_ICD_FILENAMES=${manifests}`,
      "DRIRC_CONFIGDIR=/gfx/share/drirc.d",
      "XDG_DATA_DIRS=/gfx/share:/usr/local/share:/usr/share",
      "",
    ]);
    const driverOf = async (name: string) =>
      JSON.parse(await Bun.file(join(dest, `share/vulkan/icd.d/${name}.json`)).text()).ICD.library_path;
    expect([await driverOf("a"), await driverOf("b"), await driverOf("c")]).toEqual([
      "libvulkan_a.so",
      "/gfx/libvulkan_b.so",
      "/gfx/drivers/c.json/libvulkan_b.so",
    ]);
    for (const name of ["libvulkan.so.1", "libdep.so.1", "libvulkan_a.so", "drivers/c.json/libvulkan_b.so"])
      expect(existsSync(join(dest, name))).toBe(true);
    expect(JSON.parse((await capture(...words, "--json")).stdout).changes).toMatchObject({ made: [], replaced: [] });
  });

  test("that there is not is refused", async () => {
    const { stderr, exitCode } = await capture("--profile=vulcan", `--dest=${folder()}`);
    expect([exitCode, stderr]).toEqual([1, expect.stringMatching(/no profile "vulcan": did you mean "vulkan"/)]);
  });
});

describe("capsule verify", () => {
  test("tells what is not as promised, and says so by its exit code", async () => {
    using provider = new SmallTree({ "/usr/lib/libfoo.so.1": { soname: "libfoo.so.1", needed: ["libbar.so.1"] } });
    using container = new SmallTree({ "/usr/lib/libbar.so.1": { soname: "libbar.so.1" } });
    using empty = new SmallTree();
    const dest = folder();
    symlinkSync("/run/host/usr/lib/libfoo.so.1", join(dest, "libfoo.so.1"));
    const words = ["verify", dest, "--provider", provider.directory, "--link-target", "/run/host", "--container"];
    const good = await command([...words, container.directory]);
    expect([good.exitCode, good.stdout]).toEqual([0, expect.stringMatching(/^1 checked in .*: all is as promised\n$/)]);
    const bad = await command([...words, empty.directory, "--json"]);
    expect(bad.exitCode).toBe(1);
    expect(JSON.parse(bad.stdout).faults).toMatchObject([{ name: "libfoo.so.1", kind: "missing" }]);
    expect((await command(["verify", "/nonexistent"])).exitCode).toBe(125);
    expect((await command(["verify"])).exitCode).toBe(2);
  });
});
