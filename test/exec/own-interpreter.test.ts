// A program that names an ld.so of its own, and brings its libc: it runs on the glibc that was chosen, or on its own, and
// never on two halves. Its own is a copy of the machine's, the chosen one says that it is newer.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, mkdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { LIBC, LOADER } from "../../lib/tree/glibc-names.ts";
import { canBeAudited } from "../../src/plan/glibc/auditing.ts";
import { build } from "../support/fixtures.ts";
import { lines } from "../support/lines.ts";
import { CLAIMED, claim, copyOwnGlibc, LIBRARIES, ownLoader, ownVersion, replaced } from "../support/own-glibc.ts";
import { HOST } from "../support/pair.ts";
import { capsuleCommand, command, native, type Outcome, run } from "../support/run.ts";
import { NOT_RUNNABLE, Workshop } from "../support/workshop.ts";

const FOLDER = "glibc/a-program-tells-which-glibc-it-runs-on";
const IN_NAMESPACE = ["--mode", "attached", "--mount-namespace", "always"];
const BY_NAME = ["--mode", "attached", "--mount-namespace", "never"];
const MACHINE = realpathSync("/lib/x86_64-linux-gnu");
const isAudited = canBeAudited({ version: ownVersion() });
const FIXED = ["-fno-pie", "-no-pie"];

let workshop: Workshop;
/** A host tree without a glibc, and another with one that says it is newer. */
let host: string;
let tree: string;
beforeAll(async () => {
  workshop = await Workshop.open({});
  const libraries = await build(FOLDER, [{ path: `${HOST}/libhost.so.1`, sources: ["host.c"] }]);
  const hostWith = (directory: string): string => {
    mkdirSync(join(directory, LIBRARIES), { recursive: true });
    copyFileSync(join(libraries, HOST, "libhost.so.1"), join(directory, LIBRARIES, "libhost.so.1"));
    return directory;
  };
  host = hostWith(workshop.fresh("host"));
  tree = hostWith(copyOwnGlibc(workshop.fresh("host")));
});
afterAll(() => workshop[Symbol.dispose]());

const same = (_: string, bytes: Buffer): Buffer => bytes;
/** Of the release before. */
const older = (soname: string, bytes: Buffer): Buffer => {
  const words = ` release version ${ownVersion()}`;
  const claimed = claim("2.31")(soname, bytes);
  return soname === LIBC ? replaced(claimed, words, words.replace(/\d\d$/, "31")) : claimed;
};

interface Own {
  readonly program: string;
  /** Where its glibc is. */
  readonly place: string;
}

/** A program with a glibc of its own beside it. `only` are the files of that, if not all. */
async function own({
  change = same,
  only,
  flags = [],
  tag = "--enable-new-dtags",
  interpreter,
}: {
  change?: (soname: string, bytes: Buffer) => Buffer;
  only?: readonly string[];
  flags?: string[];
  tag?: string;
  interpreter?: string;
} = {}): Promise<Own> {
  const all = join(copyOwnGlibc(workshop.fresh("own"), change), LIBRARIES);
  const place = only ? workshop.fresh("own") : all;
  if (only) {
    mkdirSync(place);
    for (const name of only) copyFileSync(join(all, name), join(place, name));
  }
  const program = join(place, "program");
  const sources = join(import.meta.dir, "../../fixtures", FOLDER);
  const linker = [`--dynamic-linker,${interpreter ?? join(place, ownLoader())}`, `${tag},-rpath,${place}`];
  const words = [join(sources, "program.c"), join(host, LIBRARIES, "libhost.so.1"), "-lm", "-ldl", "-fno-builtin"];
  const made = await native("cc", ["-o", program, ...words, ...flags, ...linker.map((text) => `-Wl,${text}`)]);
  expect(made.stderr).toBe("");
  return { program, place };
}

/** A program that needs no libm, with a glibc of its own, and a host tree with a newer one, whose library needs libm. */
async function needingLibm(change: Parameters<typeof copyOwnGlibc>[1], tag: string) {
  const place = join(copyOwnGlibc(workshop.fresh("own"), change), LIBRARIES);
  const wanting = copyOwnGlibc(workshop.fresh("host"));
  const library = join(wanting, LIBRARIES, "libhost.so.1");
  const program = join(place, "program");
  const compile = async (source: string, ...words: string[]) => {
    const file = `${workshop.fresh("source")}.c`;
    writeFileSync(file, source);
    expect((await native("cc", [file, ...words])).stderr).toBe("");
  };
  await compile(TELLS_LIBM, "-shared", "-fPIC", "-fno-builtin", "-Wl,-soname,libhost.so.1", "-o", library, "-lm");
  const linker = [`--dynamic-linker,${join(place, ownLoader())}`, `${tag},-rpath,${place}`, "--as-needed"];
  const flags = linker.map((text) => `-Wl,${text}`);
  await compile(ASKS_HOST, "-o", program, library, ...flags, `-Wl,-rpath-link,${join(wanting, LIBRARIES)}`);
  return { place, program, wanting };
}

const TELLS_LIBM = `#define _GNU_SOURCE
#include <dlfcn.h>
double cos(double);
const char *host(void) {
  static Dl_info info;
  return dladdr((void *)cos, &info) ? info.dli_fname : "unknown";
}
`;
const ASKS_HOST = `#include <dlfcn.h>
#include <stdio.h>
const char *host(void);
int main(void) {
  puts(host());
  return puts(dlopen("libdl.so.2", RTLD_LAZY | RTLD_NOLOAD) ? "with libdl" : "without libdl") < 0;
}
`;

const places = (...directories: string[]) => ({ PLACES: directories.join(":") });

/** On the tree that has a glibc, or the other. */
function start(flags: string[], hosts: string, { program, place }: Own, words = [program]): Promise<Outcome> {
  const [first = "", ...rest] = words;
  const from = ["--host", hosts, "--isolate", "libhost.so.1"];
  // What is mounted over its own is there by two names: the first counts.
  const env = places(join(tree, LIBRARIES), MACHINE, place);
  return run(capsuleCommand([...flags, ...from], first, rest, env), { env });
}

/** The glibc's files are those of one directory, and the library is the host's. */
function expectOn(outcome: Outcome, place: string, program: string): void {
  const [libc, libm, loader, library, file] = lines(outcome.stdout);
  expect(outcome).toMatchObject({ stderr: "", exitCode: 0 });
  expect([libc, libm, loader, library]).toEqual([
    `libc: ${place}/${LIBC}`,
    `libm: ${place}/libm.so.6, 1`,
    `ld.so: ${place}/${ownLoader()}`,
    "host: of the host tree",
  ]);
  expect(file).toStartWith(`own file: ${basename(program)}, called ${program}`);
}

test("natively it runs on its own", async () => {
  const { program, place } = await own();
  const env = { LD_LIBRARY_PATH: join(host, LIBRARIES), ...places(place) };
  expectOn(await native(program, [], { env }), place, program);
});

const ofTree = () => join(tree, LIBRARIES);

describe("on the newer glibc of a tree", () => {
  const kinds: [string, Parameters<typeof own>[0]][] = [
    ["anywhere", {}],
    ["at a fixed address", { flags: FIXED }],
    ["by DT_RPATH", { tag: "--disable-new-dtags" }],
    ["that has an ld.so and a libc alone", { only: [ownLoader(), LIBC] }],
  ];
  for (const [words, kind] of kinds)
    test(`it runs in a mount namespace, ${words}`, async () => {
      const program = await own(kind);
      expectOn(await start(IN_NAMESPACE, tree, program), ofTree(), program.program);
    });

  for (const [words, kind] of kinds)
    test(`it runs by the ld.so's name, ${words}`, async () => {
      const program = await own(kind);
      expectOn(await start(BY_NAME, tree, program), ofTree(), program.program);
    });

  test("so does what a script names as its interpreter", async () => {
    const { program, place } = await own();
    const script = workshop.fresh("script");
    writeFileSync(script, `#!${program}\n`);
    chmodSync(script, 0o755);
    for (const flags of [IN_NAMESPACE, BY_NAME]) {
      const { stdout, stderr } = await start(flags, tree, { program, place }, [script]);
      expect(stderr).toBe("");
      expect(stdout).toStartWith(`libc: ${ofTree()}/${LIBC}\nlibm: ${ofTree()}/libm.so.6, 1\n`);
    }
  });

  test("a relative path of an ld.so is the kernel's to find", async () => {
    const { program, place } = await own();
    const relative = join(place, "..", ownLoader());
    expect((await native("patchelf", ["--set-interpreter", `../${ownLoader()}`, program])).exitCode).toBe(0);
    copyFileSync(join(place, ownLoader()), relative);
    chmodSync(relative, 0o755);
    const env = places(ofTree());
    const from = ["--host", tree, "--isolate", "libhost.so.1"];
    const outcome = await run(capsuleCommand([...IN_NAMESPACE, ...from], program, [], env), { env, cwd: place });
    expectOn(outcome, ofTree(), program);
  });

  test("a link to the machine's ld.so is the machine's", async () => {
    const link = workshop.fresh("link");
    symlinkSync(realpathSync(`/lib64/${LOADER}`), link);
    const program = await own({ only: [], interpreter: link });
    for (const flags of [IN_NAMESPACE, BY_NAME]) expectOn(await start(flags, tree, program), ofTree(), program.program);
  });
});

describe("started in the midst, on the newer glibc of a tree", () => {
  const shell = ({ program }: Own) => ["/bin/sh", "-c", `'${program}'; exit $?`];

  for (const [way, flags] of [
    ["in a mount namespace", IN_NAMESPACE],
    ["by the ld.so's name", BY_NAME],
  ] as const) {
    for (const tag of ["--enable-new-dtags", "--disable-new-dtags"]) {
      test(`it runs on the tree's, ${way} (${tag})`, async () => {
        const program = await own({ tag });
        expectOn(await start(flags, tree, program, shell(program)), ofTree(), program.program);
      });

      test(`with an ld.so and a libc alone, too, ${way} (${tag})`, async () => {
        const program = await own({ only: [ownLoader(), LIBC], tag });
        expectOn(await start(flags, tree, program, shell(program)), ofTree(), program.program);
      });
    }

    test(`a relative path of an ld.so, too, ${way}`, async () => {
      const program = await own({ interpreter: `./${ownLoader()}` });
      const words = ["/bin/sh", "-c", `cd '${program.place}'; '${program.program}'; exit $?`];
      expectOn(await start(flags, tree, program, words), ofTree(), program.program);
    });

    test(`a start script's ld.so by name, too, which keeps its library path, ${way}`, async () => {
      const extra = workshop.fresh("extra");
      mkdirSync(extra);
      const library = join(extra, "libextra.so");
      const made = ["-shared", "-nostdlib", "-Wl,-soname,libextra.so", "-o", library, "-xc", "/dev/null"];
      expect((await native("cc", made)).stderr).toBe("");
      const program = await own({ flags: ["-Wl,--no-as-needed", library] });
      const script = workshop.fresh("script");
      const path = `${program.place}:${extra}`;
      const loader = join(program.place, ownLoader());
      const words = `exec '${loader}' --inhibit-cache --library-path '${path}' '${program.program}' "$@"`;
      writeFileSync(script, `#!/bin/sh\n${words}\n`, { mode: 0o755 });
      const outcome = await start(flags, tree, program, [script, "one", "--library-path"]);
      expectOn(outcome, ofTree(), program.program);
      expect(outcome.stdout).toContain("arguments: 2, the last --library-path\n");
    });
  }

  for (const [way, flags] of [
    ["in a mount namespace", IN_NAMESPACE],
    ["by the ld.so's name", BY_NAME],
  ] as const)
    for (const [whose, change] of [
      ["the tree's", same],
      ["its own, as that is as good", claim(CLAIMED)],
    ] as const)
      test(`what a host's library needs besides of glibc is ${whose}, ${way}`, async () => {
        // DT_RPATH is for all that the process opens, DT_RUNPATH is for what the program needs itself.
        for (const tag of ["--enable-new-dtags", "--disable-new-dtags"]) {
          const { place, program, wanting } = await needingLibm(change, tag);
          const words = capsuleCommand([...flags, "--host", wanting, "--isolate", "libhost.so.1"], "/bin/sh", [
            "-c",
            `'${program}'; exit $?`,
          ]);
          const isOwn = change !== same && flags === IN_NAMESPACE;
          const { stdout, stderr } = await run(words);
          expect(stderr).toBe("");
          expect(realpathSync(lines(stdout)[0] ?? "")).toStartWith(
            isOwn ? place : realpathSync(join(wanting, LIBRARIES)),
          );
        }
      });

  test("one that is as good stays on its own in a mount namespace", async () => {
    const program = await own({ change: claim(CLAIMED) });
    expectOn(await start(IN_NAMESPACE, tree, program, shell(program)), program.place, program.program);
  });
});

// Before 2.34 the program itself needs it, for dlopen.
test.skipIf(!isAudited)("a program gets no library of glibc's that it does not need", async () => {
  const { program, wanting } = await needingLibm(same, "--enable-new-dtags");
  const flags = ["--mode", "attached", "--glibc", "runtime", "--host", wanting, "--isolate", "libhost.so.1"];
  const { stdout, stderr } = await run(capsuleCommand(flags, program));
  expect(stderr).toBe("");
  expect(lines(stdout)[1]).toBe("without libdl");
});

describe("on the machine's glibc", () => {
  test("one that is as good stays on its own", async () => {
    const program = await own();
    expectOn(await start(["--mode", "attached"], host, program), program.place, program.program);
  });

  test("one that is newer stays on its own", async () => {
    const program = await own({ change: claim("2.99") });
    for (const flags of [["--mode", "attached"], BY_NAME])
      expectOn(await start(flags, host, program), program.place, program.program);
  });

  test("one that is older gives way to it, and plan says how", async () => {
    const program = await own({ change: older });
    expectOn(await start(IN_NAMESPACE, host, program), MACHINE, program.program);
    const words = ["plan", "--mode", "attached", "--host", host, "--isolate", "libhost.so.1", program.program];
    expect((await command(words)).stdout).toContain("in a mount namespace, if the kernel permits it");
  });

  test.skipIf(!isAudited)("one that is older is started over on it without a mount namespace", async () => {
    const program = await own({ change: older });
    expectOn(await start(BY_NAME, host, program), MACHINE, program.program);
  });

  test.skipIf(!isAudited)("so is one that is started in the midst", async () => {
    for (const tag of ["--enable-new-dtags", "--disable-new-dtags"]) {
      const program = await own({ change: older, tag });
      const words = ["/bin/sh", "-c", `'${program.program}'; exit $?`];
      for (const flags of [[], IN_NAMESPACE])
        expectOn(await start(flags, host, program, words), MACHINE, program.program);
    }
  });

  // Before glibc 2.35 nobody starts it over.
  test.skipIf(isAudited)(
    "one that is older stays on its own without a mount namespace, unless an isolated library wants more",
    async () => {
      const program = await own({ change: older });
      expectOn(await start(BY_NAME, host, program), program.place, program.program);
      const wanting = workshop.fresh("host");
      mkdirSync(join(wanting, LIBRARIES), { recursive: true });
      const sources = join(import.meta.dir, "../../fixtures", FOLDER);
      const library = join(wanting, LIBRARIES, "libhost.so.1");
      const flags = ["-shared", "-fPIC", "-Wl,-soname,libhost.so.1", "-o", library, join(sources, "host.c")];
      const version = `GLIBC_${ownVersion()}`;
      const assembly = `${workshop.fresh("wanting")}.s`;
      writeFileSync(assembly, NEWEST);
      expect((await native("cc", [...flags, assembly])).stderr).toBe("");
      const text = Buffer.from(await Bun.file(library).arrayBuffer()).toString("latin1");
      // Nothing newer was made in some release.
      if (!text.includes(version)) return;
      const outcome = await start(BY_NAME, wanting, program);
      workshop.expectRefusal(outcome, NOT_RUNNABLE, library, program.place, "--mount-namespace never");
      rmSync(wanting, { recursive: true });
    },
  );
});

/** arc4random is of 2.36. */
const NEWEST = `.section .note.GNU-stack,"",@progbits
.data
.quad arc4random
`;
