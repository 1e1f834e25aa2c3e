// Programs without a libc, with TypeScript for their dynamic linker.

import { beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expectLines } from "../../support/expect.ts";
import { FIXED, freestanding } from "../../support/freestanding.ts";
import { lines } from "../../support/lines.ts";
import { command, run } from "../../support/run.ts";

const link = (words: string[], env: Record<string, string> = {}) => command(["link", ...words], { env });

/** In which a program is built: where it is decides whether it runs in the process of the command. */
const WAYS: readonly [words: string, flags: string[]][] = [
  ["in the process of the command", []],
  ["in a process of its own, at a fixed address", FIXED],
];

describe.each(WAYS)("a program without a libc, %s,", (_, flags) => {
  const libraries = (hash: string, more: string[] = []) => ({
    path: "libgreet.so",
    sources: ["greet.c"],
    flags: [`-Wl,--hash-style=${hash}`, ...more],
  });
  const greets = async (hash: string, more: string[] = []): Promise<string> => {
    const program = { path: "program", sources: ["program.c"], needs: ["libgreet.so"], runpath: "$ORIGIN" };
    const out = await freestanding("a-program-without-a-libc-is-run-and-ended", [
      libraries(hash, more),
      { ...program, flags: [...flags, `-Wl,--hash-style=${hash}`, ...more] },
    ]);
    return join(out, "program");
  };
  const GREETED = [
    "libgreet.so begins",
    "the program begins",
    "Hello from libgreet.so!",
    "Hello again from libgreet.so!",
    "calls: 2",
    "one variable for both",
    "the program ends",
    "libgreet.so ends",
  ];

  for (const hash of ["gnu", "sysv"])
    test(`is linked, run and ended, symbols found by ${hash} hash`, async () => {
      expectLines(await link([await greets(hash)]), GREETED);
    });

  test("and with packed relocations, bound at the start", async () => {
    expectLines(await link([await greets("gnu", ["-Wl,-z,pack-relative-relocs", "-Wl,-z,now"])]), GREETED);
  });

  const finds = () =>
    freestanding("a-program-finds-its-context", [
      { path: "libpick.so", sources: ["library.c"] },
      { path: "program", sources: ["program.c"], needs: ["libpick.so"], runpath: "$ORIGIN", flags },
    ]);
  const CONTEXT = ["one", "a word", "colour: red", "AT_PHDR is right", "AT_BASE: 0", "AT_ENTRY is right"];

  test("finds what the kernel would tell it, and ends with its own exit code", async () => {
    const out = await link([join(await finds(), "program"), "one", "a word"], { COLOUR: "red" });
    const told = lines(out.stdout).filter((line) => line !== "rdx is for atexit");
    expect(out.stderr).toBe("");
    expect(told).toEqual(["arguments: 3", ...CONTEXT, "AT_EXECFN: program"]);
    expect(out.exitCode).toBe(7);
  });

  test("sees none of what this command was started with", async () => {
    const { stdout } = await run(["/bin/sh", "-c", "env | grep -c BUN_ || true"], {});
    expect(stdout).toBe("0\n");
    const program = join(await finds(), "program");
    // the same as ld.so and the kernel would have it start
    const native = await run([program, "x"], { env: { COLOUR: "blue" } });
    const out = await link([program, "x"], { COLOUR: "blue" });
    const same = (text: string) => lines(text).filter((line) => !/^AT_BASE|^rdx/.test(line));
    expect(same(out.stdout)).toEqual(same(native.stdout));
    expect([out.exitCode, native.exitCode]).toEqual([7, 7]);
  });

  test("has its own name", async () => {
    expect(lines((await link([join(await finds(), "program"), "name"])).stdout)).toContain("process: program");
  });

  test("dies of its own faults", async () => {
    const { signal, stderr } = await link([join(await finds(), "program"), "crash"]);
    expect([signal, stderr]).toEqual(["SIGSEGV", ""]);
  });
});

describe("thread-local data", () => {
  for (const [model, library] of [
    ["by __tls_get_addr", []],
    ["by descriptors", ["-mtls-dialect=gnu2"]],
  ] as const)
    for (const [words, flags] of [
      ["goes anywhere", []],
      ["is at a fixed address", FIXED],
      ["has itself no model that is static", ["-fPIC", "-ftls-model=global-dynamic"]],
    ] as const)
      test(`of a library, ${model}, and of a program that ${words}`, async () => {
        const unresolved = ["-Wl,--unresolved-symbols=ignore-all"];
        const out = await freestanding("thread-local-data-of-any-model-is-there", [
          { path: "liblibrary.so", sources: ["library.c"], flags: [...library, ...unresolved] },
          {
            ...{ path: "program", sources: ["program.c"], needs: ["liblibrary.so"], runpath: "$ORIGIN" },
            flags: [...flags, ...library, ...unresolved],
          },
        ]);
        expectLines(await link([join(out, "program")]), [
          "own: 5",
          "shown: 11",
          "zero: 0",
          "shown by the library: 12",
          "one variable for both",
          "counted: 8",
          "not aligned: 0",
          "chosen: 42",
          "chosen by its address: 42",
        ]);
      });
});

describe("what cannot be linked is an error before any of its code runs:", () => {
  let out: string;
  beforeAll(async () => {
    out = mkdtempSync(join(tmpdir(), "capsule-test-link-"));
    const built = await freestanding("a-program-without-a-libc-is-run-and-ended", [
      { path: "libgreet.so", sources: ["greet.c"] },
      { path: "other/libgreet.so", sources: ["other.c"] },
      { path: "program", sources: ["program.c"], needs: ["libgreet.so"], runpath: "$ORIGIN" },
    ]);
    for (const name of ["libgreet.so", "program"]) copyFileSync(join(built, name), join(out, name));
    copyFileSync(join(built, "other/libgreet.so"), join(out, "other"));
    return () => rmSync(out, { recursive: true });
  });
  const refused = async (words: string[], exitCode: number, message: string | RegExp) => {
    const outcome = await link(words);
    expect(outcome.stderr).toMatch(message);
    expect([outcome.stdout, outcome.exitCode]).toEqual(["", exitCode]);
  };

  test("a program of glibc's", async () => {
    await refused(
      ["/bin/true"],
      126,
      /^capsule: Cannot run "\S*true": it needs libc\.so\.6, and this linker is for programs without a libc/,
    );
  });

  test("what has linked itself: a static program that goes anywhere, and ld.so", async () => {
    const built = await freestanding("a-program-finds-its-context", [
      { path: "program", sources: ["program.c", "library.c"], flags: ["-static-pie", "-fPIE"] },
    ]);
    const ldSo = "/lib64/ld-linux-x86-64.so.2";
    for (const words of [[join(built, "program")], [ldSo, "--version"], ["--explain", ldSo], ["--explain=html", ldSo]])
      await refused(words, 126, /^capsule: Cannot link "\S+": it is statically linked: .*PT_INTERP.*DT_NEEDED/);
  });

  test("a library, which has no entry point", async () => {
    await refused([join(out, "libgreet.so")], 126, /^capsule: Cannot run "\S+libgreet.so": it has no entry point/);
  });

  test("a missing library", async () => {
    rmSync(join(out, "libgreet.so"));
    await refused(
      [join(out, "program")],
      125,
      /^capsule: Cannot find "libgreet.so", which "\S+program" needs, in "\/": /,
    );
  });

  test("a symbol that nobody defines, with who was asked", async () => {
    copyFileSync(join(out, "other"), join(out, "libgreet.so"));
    await refused(
      [join(out, "program")],
      125,
      /^capsule: Cannot relocate "\S+program": R_X86_64_\S+ at vaddr 0x\w+ wants "\w+", which no object defines; asked were .*"libgreet.so"/,
    );
  });

  test("a library that is damaged", async () => {
    writeFileSync(join(out, "libgreet.so"), "no library");
    await refused([join(out, "program")], 125, /^capsule: Cannot read "\S+libgreet.so": /);
  });

  test("what is no program", async () => {
    writeFileSync(join(out, "text"), "no program");
    await refused([join(out, "text")], 126, /^capsule: Cannot run "\S+text": /);
    await refused(["no-such-program"], 127, /no directory in PATH has it/);
  });
});
