// A program on another glibc than the one that the kernel would start it with, in each way to have it: what it finds,
// and what is said where that glibc, or the way to it, is not to be had. The other glibc is a copy of the machine's own
// that says it is newer; test/real has those of other releases.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LOADER } from "../../lib/tree/glibc-names.ts";
import { expectLines } from "../support/expect.ts";
import { build } from "../support/fixtures.ts";
import { CLAIMED, claim, copyOwnGlibc, LIBRARIES, ownLoader, ownVersion, replaced } from "../support/own-glibc.ts";
import { HOST, hostAndProgram, type Pair, pair } from "../support/pair.ts";
import { capsuleCommand, native, type Outcome, run } from "../support/run.ts";
import { ServingPlace } from "../support/serving.ts";
import { FAILED, NOT_FOUND, NOT_RUNNABLE, USAGE, Workshop } from "../support/workshop.ts";

const WAYS: Record<string, string[]> = {
  "in-process": ["--mode", "in-process"],
  "attached, in a mount namespace": ["--mode", "attached", "--mount-namespace", "always"],
  "attached, by ld.so's name": ["--mode", "attached", "--mount-namespace", "never"],
};
const isRoot = process.getuid?.() === 0;

let workshop: Workshop;
let fixture: Pair;
/** A host tree with the fixture's library and a glibc that says it is newer. */
let tree: string;
beforeAll(async () => {
  workshop = await Workshop.open({});
  fixture = await pair("glibc/a-program-tells-which-glibc-it-runs-on", [
    ...hostAndProgram().map((output) => ("copyOf" in output ? output : { ...output, flags: ["-lm", "-fno-builtin"] })),
  ]);
  tree = hostWith(copyOwnGlibc(workshop.fresh("host")));
});
afterAll(() => workshop[Symbol.dispose]());

function hostWith(directory: string): string {
  mkdirSync(join(directory, LIBRARIES), { recursive: true });
  copyFileSync(join(fixture.out, HOST, "libhost.so.1"), join(directory, LIBRARIES, "libhost.so.1"));
  return directory;
}

/** By the machine's command line, whatever the tests run in. */
function start(
  flags: string[],
  host: string,
  args: string[] = [],
  more: Record<string, string> = {},
): Promise<Outcome> {
  const env = { ...places(host, flags), ...more };
  return run(capsuleCommand([...flags, "--host", host, "--isolate", "libhost.so.1"], fixture.program(), args, env), {
    env,
    timeout: 30_000,
  });
}

/** In a mount namespace their files are in the place of the machine's. */
const places = (host: string, flags: string[] = []) => ({
  PLACES: [host, ...flags.filter((flag) => flag.startsWith("/"))].map((tree) => join(tree, LIBRARIES)).join(":"),
});

const told = (directory: string, name: string, args: string[], calledFirst = fixture.program()) => [
  `libc: ${directory}/libc.so.6`,
  `libm: ${directory}/libm.so.6, 1`,
  `ld.so: ${directory}/${ownLoader()}`,
  "host: of the host tree",
  `own file: program, called ${calledFirst} and ${calledFirst}, named ${name}`,
  `started as: ${fixture.program()}`,
  `arguments: ${args.length}, the last ${args.at(-1) ?? ""}`,
];

/** In a mount namespace the tree's ld.so is in the place of the machine's. */
const ofTree = (stdout: string) =>
  stdout.replaceAll(`ld.so: ${realpathSync(`/lib64/${LOADER}`)}`, `ld.so: ${join(tree, LIBRARIES, ownLoader())}`);

describe("a program runs on the host tree's glibc, as that is newer, and finds itself as natively:", () => {
  for (const [way, flags] of Object.entries(WAYS))
    test(way, async () => {
      const outcome = await start(flags, tree);
      expectLines({ ...outcome, stdout: ofTree(outcome.stdout) }, told(join(tree, LIBRARIES), "program", []));
    });

  for (const [way, flags] of Object.entries(WAYS))
    test(`so does what it starts, ${way}`, async () => {
      const outcome = await start(flags, tree, ["again"]);
      const place = join(tree, LIBRARIES);
      expect(outcome).toMatchObject({ stderr: "", exitCode: 0 });
      const shown = ofTree(outcome.stdout)
        .split("\n")
        .filter((line) => !line.startsWith("started as: "));
      const expected = [
        ...told(place, "program", ["again"]),
        ...told(place, "exe", ["once"], "by its own file"),
        "the child ended with 0",
        ...told(place, "program", ["once", "by", "a", "shell"]),
        "the shell ended with 0",
        ...told(place, "program", [""], "in its place"),
      ].filter((line) => !line.startsWith("started as: "));
      // The kernel has named who was started by /proc/self/exe after that; by ld.so's name it is the program's.
      const same = (lines: string[]) => lines.map((line) => line.replace("named exe", "named program"));
      expect(same(shown.filter(Boolean))).toEqual(same(expected));
    });

  for (const [way, flags] of Object.entries(WAYS))
    test(`nothing of it is left among the temporary files, ${way}`, async () => {
      using place = new ServingPlace();
      expect(await start(flags, tree, ["again"], { TMPDIR: place.path })).toMatchObject({ stderr: "", exitCode: 0 });
      await place.emptied();
    });
});

describe("--glibc", () => {
  const libcOf = async (flags: string[], host = tree) => {
    const outcome = await start(flags, host);
    expect(outcome.stderr).toBe("");
    return /^libc: (.*)$/m.exec(outcome.stdout)?.[1];
  };
  const own = () => realpathSync("/lib/x86_64-linux-gnu/libc.so.6");

  for (const [way, flags] of Object.entries(WAYS)) {
    const plain = flags.slice(0, 2);
    test(`runtime leaves the program on the machine's, ${way}`, async () => {
      expect(await libcOf([...plain, "--glibc", "runtime"])).toBe(own());
    });

    test(`DIR takes that tree's, ${way}`, async () => {
      const other = copyOwnGlibc(workshop.fresh("glibc"));
      expect(await libcOf([...flags, "--glibc", other])).toBe(join(other, LIBRARIES, "libc.so.6"));
    });

    test(`host takes the host's also where it is the same version, ${way}`, async () => {
      const same = hostWith(copyOwnGlibc(workshop.fresh("host"), (_, bytes) => bytes));
      expect(await libcOf(plain, same)).toBe(own());
      expect(await libcOf([...flags, "--glibc", "host"], same)).toBe(join(same, LIBRARIES, "libc.so.6"));
    });
  }

  test("--trace plan says which, and why", async () => {
    const { stderr } = await start(["--mode", "attached", "--trace", "plan"], tree);
    expect(stderr).toContain(
      `plan: glibc: ${CLAIMED}, of the host tree ${tree} ("${tree}/${LIBRARIES}/libc.so.6"): no older than ${ownVersion()}, the machine's own`,
    );
  });

  test("of a host's where there is none", async () => {
    const outcome = await start(["--glibc", "host"], hostWith(workshop.fresh("host")));
    workshop.expectRefusal(outcome, USAGE, "no host tree has one");
  });

  test("of something that there is not", async () => {
    workshop.expectRefusal(await start(["--glibc", "newest"], tree), USAGE, '"newest"', "auto, runtime, host");
    workshop.expectRefusal(await start(["--glibc", "/no/such/tree"], tree), FAILED, "/no/such/tree");
  });
});

describe("what was remembered of a start over", () => {
  test("holds for as long as it is so, and no longer", async () => {
    const env = { XDG_CACHE_HOME: workshop.fresh("cache") };
    const host = hostWith(copyOwnGlibc(workshop.fresh("host")));
    const flags = WAYS["in-process"] ?? [];
    const expected = told(join(host, LIBRARIES), "program", []);
    for (let time = 0; time < 2; time++) expectLines(await start(flags, host, [], env), expected);
    expect(existsSync(join(env.XDG_CACHE_HOME, "capsule", "started-over.json"))).toBe(true);
    // The tree has an older one by now, then one that is newer than the first.
    rmSync(host, { recursive: true });
    hostWith(copyOwnGlibc(host, (_, bytes) => bytes));
    const { stdout, stderr } = await start(flags, host, [], env);
    expect(stderr).toBe("");
    expect(stdout).toContain(`libc: ${realpathSync("/lib/x86_64-linux-gnu/libc.so.6")}\n`);
    rmSync(host, { recursive: true });
    hostWith(copyOwnGlibc(host));
    for (let time = 0; time < 2; time++) expectLines(await start(flags, host, [], env), expected);
  });

  test("damaged, it is found out again", async () => {
    const env = { XDG_CACHE_HOME: workshop.fresh("cache") };
    mkdirSync(join(env.XDG_CACHE_HOME, "capsule"), { recursive: true });
    writeFileSync(join(env.XDG_CACHE_HOME, "capsule", "started-over.json"), "{");
    expectLines(await start(WAYS["in-process"] ?? [], tree, [], env), told(join(tree, LIBRARIES), "program", []));
  });
});

describe("refused, with the files, is", () => {
  const refused = async (host: string, ...mentions: string[]) => {
    for (const mode of ["in-process", "attached"])
      workshop.expectRefusal(await start(["--mode", mode], host), FAILED, ...mentions);
  };
  const spoiled = (spoil: (soname: string, bytes: Buffer) => Buffer): string =>
    hostWith(copyOwnGlibc(workshop.fresh("host"), (soname, bytes) => spoil(soname, claim(CLAIMED)(soname, bytes))));

  test("a glibc of which ld.so is of another release", async () => {
    const words = ` release version ${ownVersion()}`;
    const host = spoiled((soname, bytes) =>
      soname === "libc.so.6" ? replaced(bytes, words, words.replace(/\d\d$/, "98")) : bytes,
    );
    await refused(host, `${host}/${LIBRARIES}/libc.so.6`, `${host}/${LIBRARIES}/${ownLoader()}`, "--glibc");
  });

  test("a glibc of which ld.so lacks what libc needs", async () => {
    const host = spoiled((soname, bytes) =>
      soname === LOADER ? replaced(bytes, "_rtld_global_ro\0", "_rtld_global_rx\0") : bytes,
    );
    await refused(host, `${host}/${LIBRARIES}/libc.so.6`, `${host}/${LIBRARIES}/${ownLoader()}`);
  });

  test("a glibc without an ld.so", async () => {
    const host = hostWith(copyOwnGlibc(workshop.fresh("host")));
    rmSync(join(host, "lib64", LOADER));
    await refused(host, `${host}/${LIBRARIES}/libc.so.6`, `${host}/lib64/${LOADER}`, "there is none");
  });

  test("a glibc whose ld.so is a link that leads to nothing", async () => {
    const host = hostWith(copyOwnGlibc(workshop.fresh("host")));
    rmSync(join(host, "lib64", LOADER));
    symlinkSync("/nowhere/ld.so", join(host, "lib64", LOADER));
    await refused(host, `${host}/lib64/${LOADER}`, "leads to nothing");
  });

  test("a library that needs a newer glibc than any tree has", async () => {
    const host = hostWith(workshop.fresh("host"));
    const library = join(host, LIBRARIES, "libhost.so.1");
    const bytes = Buffer.from(await Bun.file(library).arrayBuffer());
    writeFileSync(library, replaced(bytes, "GLIBC_2.2.5\0", "GLIBC_9.9.9\0"));
    await refused(host, library, "9.9.9", ownVersion());
  });

  test("a library for another libc", async () => {
    const musl = await build("glibc/a-libc-of-another-kind", [
      { path: "libc.musl-x86_64.so.1", sources: ["libc.c"], flags: ["-nostdlib"] },
      { path: "libhost.so.1", sources: ["host.c"], needs: ["libc.musl-x86_64.so.1"], flags: ["-nostdlib"] },
    ]);
    const host = workshop.fresh("host");
    mkdirSync(join(host, LIBRARIES), { recursive: true });
    for (const name of ["libhost.so.1", "libc.musl-x86_64.so.1"])
      copyFileSync(join(musl, name), join(host, LIBRARIES, name));
    await refused(host, join(host, LIBRARIES, "libhost.so.1"), join(host, LIBRARIES, "libc.musl-x86_64.so.1"));
  });

  test("a program for another libc", async () => {
    const flags = ["-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"];
    const folder = "bad-input/programs-that-cannot-be-hosted";
    const program = join(await build(folder, [{ path: "program", sources: ["plain.c"], flags }]), "program");
    const start = (mode: string) => run(capsuleCommand(["--mode", mode, "--host", tree], program));
    const interpreter = "/lib/ld-musl-x86_64.so.1";
    workshop.expectRefusal(await start("in-process"), NOT_RUNNABLE, program, interpreter);
    // As the kernel has it, where that is not installed; what it would run is told by attached-unlinked.test.ts.
    if (existsSync(interpreter)) return;
    for (const mode of ["auto", "attached"])
      workshop.expectRefusal(await start(mode), NOT_FOUND, program, interpreter, "no such file");
  });

  test.skipIf(!isRoot)("a tree from which nothing can be run (takes root)", async () => {
    const host = workshop.fresh("noexec");
    mkdirSync(host);
    expect((await run(["mount", "-t", "tmpfs", "-o", "noexec", "none", host])).exitCode).toBe(0);
    try {
      hostWith(copyOwnGlibc(join(host, "tree")));
      await refused(join(host, "tree"), join(host, "tree"), "noexec");
    } finally {
      await run(["umount", host]);
    }
  });

  test("a runtime that there is not", async () => {
    for (const mode of ["in-process", "attached"])
      workshop.expectRefusal(await start(["--mode", mode, "--runtime", "/no/such"], tree), FAILED, "/no/such");
  });
});

// In a user namespace of its own nobody may make others when their number is limited to none there.
const LIMITED =
  'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set -sys_admin --inh-caps -sys_admin "$@"';
const canLimit = Bun.spawnSync(["unshare", "--user", "--map-root-user", "sh", "-c", LIMITED, "sh", "true"]).success;

describe.skipIf(!canLimit)("where the kernel permits no mount namespace (takes user namespaces and setpriv)", () => {
  const limited = (flags: string[]) => {
    const command = capsuleCommand([...flags, "--host", tree, "--isolate", "libhost.so.1"], fixture.program());
    return run(["unshare", "--user", "--map-root-user", "sh", "-c", LIMITED, "sh", ...command], { timeout: 30_000 });
  };

  test("programs are started by ld.so's name, and --trace plan says why", async () => {
    expectLines(await limited(["--mode", "attached"]), told(join(tree, LIBRARIES), "program", []));
    const { stderr } = await limited(["--mode", "attached", "--trace", "plan"]);
    expect(stderr).toMatch(
      /plan: mount namespace: none \(unshare of mounts: EPERM; unshare of users and mounts: \S+\)/,
    );
  });

  test("--mount-namespace always is refused", async () => {
    workshop.expectRefusal(await limited(["--mount-namespace", "always"]), FAILED, "EPERM", "--mount-namespace auto");
  });
});

// A filter of system calls, as containers have them; bubblewrap makes its namespaces by clone(2).
const canWrap = Bun.which("bwrap") !== null && Bun.spawnSync(["bwrap", "--dev-bind", "/", "/", "true"]).success;

describe.skipIf(!canWrap)("where unshare(2) is refused, and bubblewrap is there (takes bubblewrap)", () => {
  const refused = async (flags: string[], args: string[] = []) => {
    const folder = "glibc/a-program-tells-which-glibc-it-runs-on";
    const filter = join(await build(folder, [{ path: "refuse", sources: ["refuse.c"] }]), "refuse");
    const command = capsuleCommand([...flags, "--host", tree, "--isolate", "libhost.so.1"], fixture.program(), args);
    return run([filter, ...command], { timeout: 30_000, env: places(tree) });
  };

  test("that makes the mount namespace", async () => {
    const { stdout, stderr, exitCode } = await refused(["--mount-namespace", "always", "--trace", "plan"]);
    expect(stderr).toMatch(/plan: mount namespace: by \S*bwrap, which stays/);
    expect(ofTree(stdout)).toBe(`${told(join(tree, LIBRARIES), "program", []).join("\n")}\n`);
    expect(exitCode).toBe(0);
  });

  test("without it, programs are started by ld.so's name", async () => {
    const outcome = await refused(["--mode", "attached", "--mount-namespace", "never"]);
    expectLines(outcome, told(join(tree, LIBRARIES), "program", []));
  });
});

test("--mount-namespace is a choice of three, and not for programs in-process", async () => {
  workshop.expectRefusal(await start(["--mount-namespace", "maybe"], tree), USAGE, '"maybe"', "auto, always, never");
  const outcome = await start(["--mode", "in-process", "--mount-namespace", "always"], tree);
  workshop.expectRefusal(outcome, USAGE, "--mode attached");
});

test("a mount namespace is the program's own: outside, nothing has changed", async () => {
  const before = await native(fixture.program(), [], { env: { LD_LIBRARY_PATH: join(fixture.out, HOST) } });
  await start(WAYS["attached, in a mount namespace"] ?? [], tree);
  const after = await native(fixture.program(), [], { env: { LD_LIBRARY_PATH: join(fixture.out, HOST) } });
  expect(after).toMatchObject({ stdout: before.stdout, stderr: "" });
});
