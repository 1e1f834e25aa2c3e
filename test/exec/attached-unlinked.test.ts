// Programs that are not linked themselves, as first programs: static, of 32 bits, for another libc. What they start is.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "../support/fixtures.ts";
import { copyOwnGlibc } from "../support/own-glibc.ts";
import { HOST, type Pair, pair, RUNTIME } from "../support/pair.ts";
import { runs32 } from "../support/programs-of-32-bits.ts";
import { capsule, command, native, type Outcome } from "../support/run.ts";
import { FAILED, NOT_FOUND, NOT_RUNNABLE, Workshop } from "../support/workshop.ts";

const FOLDER = "attached-linking/who-loads-nothing-starts-what-is-linked";
const STATIC32 = ["-m32", "-nostdlib", "-static", "-fno-pie", "-no-pie", "-fno-stack-protector", "-O1"];
const DYNAMIC32 = ["-m32", "-nostdlib", "-fno-pie", "-no-pie", "-fno-stack-protector", "-O1"];
const LOADER32 = "/lib/ld-linux.so.2";

/** Each linked in another way, with what is said of it. */
const LAUNCHERS: Record<string, { source?: string; flags: string[]; why: string }> = {
  static: { flags: ["-static", "-fno-pie", "-no-pie"], why: "is statically linked, so it loads nothing itself" },
  "static, anywhere": { flags: ["-static-pie"], why: "is statically linked, so it loads nothing itself" },
  "static, and asks libc for a user": { flags: ["-static", "-DASKS"], why: "is statically linked" },
  "of 32 bits": { source: "launcher32.c", flags: STATIC32, why: "is a 32-bit program, so it loads nothing itself" },
};

let workshop: Workshop;
let fixture: Pair;
beforeAll(async () => {
  workshop = await Workshop.open({});
  fixture = await pair(FOLDER, [
    { path: `${HOST}/libhost.so.1`, sources: ["host.c"], flags: ['-DPLACE="host"'] },
    { path: `${RUNTIME}/libhost.so.1`, sources: ["host.c"], flags: ['-DPLACE="runtime"'] },
    { path: "program", sources: ["program.c"], needs: [`${RUNTIME}/libhost.so.1`] },
  ]);
});
afterAll(() => workshop[Symbol.dispose]());

const launcher = async (name: string): Promise<string> => {
  const { source = "launcher.c", flags } = LAUNCHERS[name] ?? { flags: [] };
  return join(await build(FOLDER, [{ path: "launcher", sources: [source], flags }]), "launcher");
};

const env = () => ({ LD_LIBRARY_PATH: fixture.runtime });
const start = (flags: string[], program: string, args = [fixture.program(), "a word"]): Promise<Outcome> =>
  capsule([...flags, ...fixture.flags()], program, args, { env: env() });

/** As natively, but with the host's library. */
async function expectStarted(outcome: Outcome, program: string, args = [fixture.program(), "a word"]): Promise<void> {
  const model = await native(program, args, { env: env() });
  expect(model).toMatchObject({ stderr: "", exitCode: 3 });
  const { stderr, exitCode, stdout } = outcome;
  expect({ stderr, exitCode, stdout }).toEqual({
    ...{ stderr: "", exitCode: 3 },
    stdout: model.stdout.replace("of the runtime", "of the host"),
  });
}

function script(text: string): string {
  const path = workshop.fresh("script");
  writeFileSync(path, text);
  chmodSync(path, 0o755);
  return path;
}

for (const [name, { why }] of Object.entries(LAUNCHERS))
  describe(`a program that is ${name}`, () => {
    const isRunnable = name !== "of 32 bits" || runs32; // takes a kernel that runs it
    for (const mode of ["auto", "attached"])
      test.skipIf(!isRunnable)(`runs, and what it starts is linked, ${mode}`, async () => {
        const program = await launcher(name);
        await expectStarted(await start(["--mode", mode], program), program);
      });

    test("is refused in-process, with the reason", async () => {
      const outcome = await start(["--mode", "in-process"], await launcher(name));
      workshop.expectRefusal(outcome, NOT_RUNNABLE, why.replace(/, so .*/, ""), "--mode attached");
    });

    test("is told of by --trace plan, plan and doctor", async () => {
      const program = await launcher(name);
      const said = [why, "; what it starts is linked"];
      const words = [...fixture.flags(), program];
      for (const mode of ["auto", "attached"]) {
        const options = { env: { ...env(), CAPSULE_MODE: mode } };
        const texts = [
          (await start(["--mode", mode, "--trace", "plan"], program)).stderr,
          (await command(["plan", "--json", ...words], options)).stdout,
          (await command(["doctor", "--verbose", ...words], options)).stdout,
        ];
        for (const text of texts) for (const part of said) expect(text).toContain(part);
      }
    });

    test.skipIf(!isRunnable)("runs a script that names it, and what that starts is linked", async () => {
      const program = script(`#!${await launcher(name)} ${fixture.program()}\n`);
      for (const mode of ["auto", "attached"])
        await expectStarted(await start(["--mode", mode], program, []), program, []);
      const { stderr } = await start(["--trace", "plan"], program, []);
      expect(stderr).toContain(`mode: attached, as it is a script; its interpreter ${why}`);
    });
  });

test("a script that starts a static launcher in its midst", async () => {
  const program = script(`#!/bin/sh\n${await launcher("static")} "$@"\n`);
  for (const mode of ["auto", "attached"]) await expectStarted(await start(["--mode", mode], program), program);
});

test("a static program that opens libraries is told that they are another glibc's, by the ld.so's name", async () => {
  const source = workshop.fresh("opens");
  writeFileSync(`${source}.c`, '#include <dlfcn.h>\nint main(void) { return !dlopen("libc.so.6", RTLD_NOW); }\n');
  // (The linker warns that such a program needs that glibc.)
  expect((await native("cc", ["-static", "-o", source, `${source}.c`])).exitCode).toBe(0);
  const glibc = copyOwnGlibc(workshop.fresh("glibc"));
  const flags = ["--glibc", glibc, "--mount-namespace", "never"];
  workshop.expectRefusal(await start(flags, source, []), FAILED, "statically linked and opens libraries", "--glibc");
  expect((await start([], source, [])).exitCode).toBe(0);
});

describe("refused is", () => {
  test("a static program that is setuid", async () => {
    const path = join(
      await build(FOLDER, [{ path: "launcher", sources: ["launcher.c"], flags: ["-static"] }]),
      "launcher",
    );
    const program = workshop.fresh("setuid");
    await Bun.write(program, Bun.file(path));
    chmodSync(program, 0o4755);
    for (const mode of ["auto", "attached", "in-process"])
      workshop.expectRefusal(await start(["--mode", mode], program), NOT_RUNNABLE, program, "setuid");
  });

  test("a program whose interpreter is not there, by name", async () => {
    const flags = ["-fno-pie", "-no-pie", "-Wl,--dynamic-linker=/no/such/ld.so"];
    const program = join(await build(FOLDER, [{ path: "launcher", sources: ["launcher.c"], flags }]), "launcher");
    for (const mode of ["auto", "attached"])
      workshop.expectRefusal(await start(["--mode", mode], program), NOT_FOUND, program, '"/no/such/ld.so"');
  });
});

describe.skipIf(!runs32 || !existsSync(LOADER32))(
  "a 32-bit program with an ld.so (takes libc6-i386, and a kernel that runs it)",
  () => {
    const made = () =>
      build(FOLDER, [
        { path: "own/libhost.so.1", sources: ["host32.c"], flags: ["-m32", "-nostdlib", "-fno-stack-protector"] },
        {
          path: "needs-it",
          sources: ["launcher32.c"],
          needs: ["own/libhost.so.1"],
          runpath: "{out}/own",
          flags: [...DYNAMIC32, "-DOWN"],
        },
        {
          path: "launcher",
          sources: ["launcher32.c"],
          flags: [...DYNAMIC32, "-Wl,--dynamic-linker,/lib/ld-linux.so.2", "-pie", "-fPIE"],
        },
      ]);

    test("runs without a word, and what it starts is linked", async () => {
      const program = join(await made(), "launcher");
      await expectStarted(await start([], program), program);
    });

    test("that needs an isolated library has its own, and a line says so", async () => {
      const program = join(await made(), "needs-it");
      const { stderr, exitCode } = await start([], program, []);
      expect(stderr).toBe(`capsule: "${program}" gets its own libhost.so.1, as it is a 32-bit program\n`);
      expect(exitCode).toBe(32);
    });
  },
);

describe.skipIf(Bun.which("musl-gcc") === null)("a program for musl (takes musl-tools)", () => {
  const compile = async (name: string, ...words: string[]): Promise<string> => {
    const path = workshop.fresh(name);
    const source = join(import.meta.dir, "../../fixtures", FOLDER, words[0] ?? "");
    expect((await native("musl-gcc", ["-o", path, source, ...words.slice(1)])).exitCode).toBe(0);
    return path;
  };

  for (const flags of [[], ["-static"]])
    test(`runs, and what it starts is linked ${flags.join(" ")}`, async () => {
      const program = await compile("launcher", "launcher.c", ...flags);
      for (const mode of ["auto", "attached"]) await expectStarted(await start(["--mode", mode], program), program);
    });

  test("that needs an isolated library itself is refused, since its ld.so would take glibc's for its own", async () => {
    const library = await compile(
      "libhost.so",
      "host.c",
      '-DPLACE="musl"',
      "-shared",
      "-fPIC",
      "-Wl,-soname,libhost.so.1",
    );
    const directory = workshop.fresh("own");
    await Bun.write(join(directory, ".made"), "");
    symlinkSync(library, join(directory, "libhost.so.1"));
    const program = await compile("program", "program.c", library, `-Wl,-rpath,${directory}`);
    expect((await native(program)).stdout).toBe("the library of the musl, told nothing\n");
    for (const mode of ["auto", "attached"])
      workshop.expectRefusal(
        await start(["--mode", mode], program, []),
        NOT_RUNNABLE,
        program,
        "libhost.so.1",
        "ld-musl-",
      );
  });
});

test("of a profile's libraries that nobody can give, it is still said", async () => {
  const outcome = await capsule(["--host", fixture.host, "--isolate", "libabsent.so.1"], await launcher("static"), []);
  workshop.expectRefusal(outcome, FAILED, "libabsent.so.1");
});
