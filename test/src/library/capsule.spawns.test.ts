// A capsule in a process of one's own: each script here is one, as what it does may kill it.

import { beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expectLines } from "../../support/expect.ts";
import { build } from "../../support/fixtures.ts";
import { lines } from "../../support/lines.ts";
import { LinkedTrees } from "../../support/linked-trees.ts";
import { NEEDED, needed, ownCopies } from "../../support/needed.ts";
import { LIBRARIES, type Notgl, notgl } from "../../support/notgl.ts";
import { RUNTIME } from "../../support/pair.ts";
import { COMMAND, run } from "../../support/run.ts";

let family: Notgl;
let caller: string;

const scriptWith = (env: Record<string, string>, name: string, ...list: string[]) =>
  run([process.execPath, join(import.meta.dir, "scripts", `${name}.ts`), ...list], { env, timeout: 120_000 });
const script = (name: string, ...list: string[]) => scriptWith({}, name, ...list);

beforeAll(async () => {
  family = await notgl();
  const out = await build("library/what-was-loaded-before-is-redirected-and-back", [
    {
      path: "libcaller.so",
      sources: ["caller.c"],
      flags: ["-Wl,-z,lazy", `-L${family.reference}`, "-l:libnotgl.so.0"],
      runpath: family.reference,
    },
  ]);
  caller = join(out, "libcaller.so");
});

describe("a script opens a host tree's libraries in its own process", () => {
  test("and calls them beside the process's own", async () => {
    const { red, reference } = family;
    const library = `${red}/${LIBRARIES}/libnotgl.so.0.123.456`;
    const helper = `${red}${reference}/libhelper.so.0`;
    const { stdout, ...outcome } = await script("open", red, reference);
    // Before glibc 2.34 that is a library of its own.
    const isThreads = (line: string) => line.includes("libpthread.so.0");
    const places = (text: string) =>
      text
        .replace(/\S*\/capsule-\w{6}\/(1-together-)?\w*/g, "$1…")
        .replaceAll(/\/\S*\/(?=lib(c|dl)\.so|ld-linux)/g, "");
    const told = lines(places(stdout)).filter((line) => !isThreads(line));
    expectLines({ ...outcome, stdout: `${told.join("\n")}\n` }, [
      "the process's: reference",
      "the capsule's: red",
      "the process's helper: container (reference)",
      "the capsule's helper: for it alone",
      "a variable of the capsule's in the process: undefined",
      `libnotgl.so.0: ${library}, default directory, the script, opened`,
      `libhelper.so.0: ${helper}, runpath of ${library}, ${library}, dependency`,
      `libc.so.6: libc.so.6, the process has one copy of it, ${library}, shared`,
      "mirror: …-libc.so.6",
      "helper: 1-together-….so",
      `library: ${library}`,
      `library: ${helper}`,
      "stays: nothing",
      "the process's, afterwards: reference",
    ]);
  });

  test("and has libraries that were loaded before use them", async () => {
    const copy = `${family.reference}/libnotgl.so.0`;
    const redirected = `${copy} → ${family.red}/${LIBRARIES}/libnotgl.so.0.123.456`;
    const told = (colour: string, when: string) => [
      `by_call, ${when}: ${colour}`,
      `by_data, ${when}: ${colour}`,
      `by_address, ${when}: ${colour}`,
      `by_what_others_lack, ${when}: only in reference`,
    ];
    expectLines(await script("redirect", family.red, caller), [
      ...told("reference", "before"),
      ...told("red", "redirected"),
      "by_first_call, redirected: host (red)",
      `notgl_get_implementation: ${redirected}`,
      `notgl_get_implementation: ${redirected}`,
      `notgl_use_helper: ${redirected}`,
      `notgl_extension_reference stays: ${copy}`,
      ...told("reference", "undone"),
      "by_first_call, undone: container (reference)",
      "slots of others: 0",
      ...told("red", "redirected again"),
      ...told("reference", "closed"),
    ]);
  });

  test("and libraries that are loaded later, if they are exposed", async () => {
    expectLines(await script("expose", family.red, family.green, caller), [
      "by_call: red",
      "by_first_call: host (red)",
      'exposed twice: Cannot expose "libnotgl.so.0"',
      // Who has bound to it goes on.
      "stay: 2",
      "by_call, closed: red",
      "unused: 0",
    ]);
  });

  test("that throw and catch exceptions", async () => {
    const out = await build("library/exceptions-are-caught-inside-a-capsule", [
      { path: "libthrower.so", sources: ["thrower.cc"] },
    ]);
    expectLines(await script("throw", join(out, "libthrower.so")), [
      "caught in namespace 1: thrown",
      "caught in namespace 2: thrown",
    ]);
  });

  test("as often as it likes, and several at a time", async () => {
    expectLines(await script("again", family.red, family.green), [
      "at the same time: red and green",
      "one after the other: green and red",
      "namespaces: 2",
      "left in memory: nothing",
    ]);
  });
});

test("a Worker that has one may be told to end", async () => {
  expectLines(await script("worker", family.red), ["a Worker has namespace: 1", "the process ends: true"]);
});

test("plug-ins of glibc's own are left to glibc, and those of others are opened", async () => {
  const directory = "usr/lib/x86_64-linux-gnu";
  const module = (path: string, flags: string[] = []) => ({
    path: `${directory}/${path}`,
    sources: ["module.c"],
    flags,
  });
  const out = await build("library/plug-ins-of-glibcs-are-left-to-glibc", [
    module("libnss_files.so.2"),
    module("libnss_nis.so.2", ["-DIS_GLIBCS"]),
    module("libnss_mine.so.2"),
    module("gconv/MINE.so", ["-DIS_GLIBCS"]),
  ]);
  const cannot = (name: string, is: string) =>
    `Cannot open "${name}" in a capsule: ${is}the whole process has one copy of it, which bun:ffi's own dlopen gives`;
  expectLines(await script("plug-ins", out, join(out, directory, "gconv/MINE.so")), [
    cannot("libnss_files.so.2", ""),
    cannot("…/libnss_files.so.2", 'it is "libnss_files.so.2", and '),
    cannot("libnss_nis.so.2", ""),
    cannot("…/libnss_nis.so.2", "it is a plug-in of glibc's, and "),
    "opened: 1",
    cannot("…/gconv/MINE.so", "it is a plug-in of glibc's, and "),
  ]);
});

describe("what a library needs is the host's, though it does not call itself so", () => {
  test("and the process has another one of that name", async () => {
    const out = await build(NEEDED, [...needed, ...ownCopies]);
    const LD_LIBRARY_PATH = join(out, RUNTIME);
    expectLines(await scriptWith({ LD_LIBRARY_PATH }, "names", join(out, "host"), "libhost.so.1"), [
      "bare: host, /host/usr/lib/x86_64-linux-gnu/libbare.so",
      "other: host, /host/usr/lib/x86_64-linux-gnu/libother.so.1",
      "2 loaded",
      "by name: open",
    ]);
  });

  test("or it is missing, and so the error says", async () => {
    const out = await build(NEEDED, [...needed, ...ownCopies]);
    const host = mkdtempSync(join(tmpdir(), "capsule-test-"));
    cpSync(join(out, "host"), host, { recursive: true, verbatimSymlinks: true });
    rmSync(join(host, "usr/lib/x86_64-linux-gnu/libbare.so"));
    const { stdout } = await scriptWith({ LD_LIBRARY_PATH: join(out, RUNTIME) }, "names", host, "libhost.so.1");
    expect(stdout).toStartWith(`Cannot find "libbare.so", which "…/usr/lib/x86_64-linux-gnu/libhost.so.1" needs, in`);
    rmSync(host, { recursive: true });
  });
});

test("what cannot be is an error, and nothing is changed", async () => {
  const directory = mkdtempSync(join(tmpdir(), "capsule-test-"));
  const text = join(directory, "text");
  writeFileSync(text, "no library");
  const at = (host: string) => `in the capsule of "${host}"`;
  expectLines(await script("errors", family.red, directory, text), [
    `no such library: LinkError: Cannot find "libnone.so.1" in "${family.red}"`,
    `no such function: LinkError: Cannot find "notgl_none" ${at(family.red)}`,
    'one that everybody shares: LinkError: Cannot open "libc.so.6" in a capsule',
    'no such file: LinkError: Cannot find "./none.so"',
    `a directory: ElfError: Cannot read "${directory}"`,
    `no library: ElfError: Cannot read "${text}"`,
    "an address: number",
    `no address: LinkError: Cannot find "notgl_none" ${at(family.red)}`,
    `no version: LinkError: Cannot find "notgl_use_helper@NOTGL_2" ${at(family.red)}`,
    "none found: undefined",
    `not to be exposed: LinkError: Cannot find "libnone.so.1" in "${family.red}"`,
    "nothing to redirect: 0",
    "closed twice: 0",
    `used when it is closed: Error: Cannot use the capsule of "${family.red}"`,
    `no tree: LinkError: Cannot use the host tree "${directory}/none"`,
    `a tree that is none: LinkError: Cannot use the host tree "${text}"`,
    `an empty tree: LinkError: Cannot find "libnotgl.so.0" in "${directory}"`,
    'no profile: UsageError: There is no profile "none"',
    "one more than there can be: LinkError: Cannot make another capsule",
    "as many as there can be: 15",
    "again: 8",
  ]);
  rmSync(directory, { recursive: true });
});

test.each(["end", "exit"])("a script that ends (%s) while threads of a library still run is no crash", async (how) => {
  using trees = new LinkedTrees();
  const source = `#include <pthread.h>
#include <unistd.h>
static volatile long count;
static void *run(void *p) { for (;;) { count++; usleep(20); } }
__attribute__((constructor)) static void begin(void) { pthread_t t; for (int i = 0; i < 4; i++) pthread_create(&t, 0, run, 0); }`;
  const host = trees.path("host");
  mkdirSync(join(host, "usr/lib"), { recursive: true });
  trees.compile("host/usr/lib/libbusy.so.1", source, "-shared", "-fPIC", "-pthread", "-Wl,-soname,libbusy.so.1");
  for (let time = 0; time < 3; time++)
    expect(await script("ends", host, how)).toMatchObject({
      stdout: "opened\n",
      stderr: "",
      exitCode: 0,
      signal: null,
    });
});

test("a script that capsule exec runs has the host tree of that, unless it names another", async () => {
  const { red, green } = family;
  const hostIn = async (env: Record<string, string>, ...list: string[]) => {
    const words = [process.execPath, join(import.meta.dir, "scripts", "host.ts"), ...list];
    const { stdout } = await run([...COMMAND, "exec", "--host", red, "--isolate", "libnotgl.so.0", ...words], { env });
    return stdout;
  };
  expect(await hostIn({})).toBe(`${red}\n`);
  expect(await hostIn({}, green)).toBe(`${green}\n`);
  expect(await hostIn({ CAPSULE_PREFIX: green })).toBe(`${green}\n`);
});
