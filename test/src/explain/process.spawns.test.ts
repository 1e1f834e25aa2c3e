// What a program may do with its process: no thread, filter or signal handler of this command is in its way.

import { describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { freestanding } from "../../support/freestanding.ts";
import { lines } from "../../support/lines.ts";
import { expectAsNative, link, shown, WAYS } from "../../support/linked.ts";
import { COMMAND, native, run } from "../../support/run.ts";

const BYTES = String.raw`exec @ARGV, "bytes", "caf\xe9 \xff\xfe\x80\xc3"`;

describe.each(WAYS)("a program, %s,", (_, flags) => {
  const built = async (folder: string): Promise<string> => {
    const directory = await freestanding(folder, [
      { path: "liblibrary.so", sources: ["library.c"] },
      { path: "program", sources: ["program.c"], needs: ["liblibrary.so"], runpath: "$ORIGIN", flags },
    ]);
    return join(directory, "program");
  };
  const alone = () => built("a-program-has-its-process-for-itself");
  const threads = () => built("a-thread-ends-alone");

  test("begins with the registers that the ABI names", async () => {
    const { stdout } = await expectAsNative(await alone(), ["registers"]);
    expect(stdout).toBe("frame: 0\nalignment: 0\n");
  });

  test("begins with no flags and masks but the processor's own", async () => {
    const { stdout } = await expectAsNative(await alone(), ["floating point"]);
    expect(stdout).toBe("sse: 8064\nx87: 895\nx87 status: 0\n");
  });

  test("has what stack protectors go by", async () => {
    const { stdout } = await expectAsNative(await alone(), ["thread pointer"]);
    expect(stdout).toBe("points at itself: 1\nhas a guard: 1\n");
  });

  test.each([0, 1, 2])("has descriptor %d closed where its parent has closed it", async (closed) => {
    const given = ["sh", "-c", `exec ${closed}>&-; exec "$@"`, "sh"];
    const words = [await alone(), "next descriptor"];
    const model = await run([...given, ...words]);
    expect(shown(await run([...given, ...COMMAND, "link", ...words]))).toEqual(shown(model));
    // It writes to descriptor 1, which is /dev/null by then.
    expect(model.stdout).toBe(closed === 1 ? "" : `next: ${closed}\n`);
  });

  test("may have a long path", async () => {
    const directory = mkdtempSync(join(tmpdir(), "capsule-test-"));
    const deep = join(directory, "d".repeat(200), "e".repeat(200));
    mkdirSync(deep, { recursive: true });
    for (const name of ["program", "liblibrary.so"]) copyFileSync(join(dirname(await alone()), name), join(deep, name));
    expect((await expectAsNative(join(deep, "program"), ["registers"])).exitCode).toBe(3);
    rmSync(directory, { recursive: true });
  });

  test("begins with no signal ignored or blocked", async () => {
    const [model, linked] = [await native(await alone(), ["signals"]), await link([await alone(), "signals"])];
    expect(model.stdout).toBe("mask: 0\n");
    expect(lines(linked.stdout).filter((line) => !line.startsWith("handled"))).toEqual(["mask: 0"]);
    expect((await expectAsNative(await alone(), ["broken pipe"])).signal).toBe("SIGPIPE");
  });

  // But for SIGSEGV, by which it is seen that a program returns from its entry.
  test("begins with no signal handled by anybody else", async () => {
    expect((await link([await alone(), "signals"])).stdout.replace("handled: 11\n", "")).not.toContain("handled");
  });

  test("finds a signal pending that it blocks", async () => {
    const { stdout } = await expectAsNative(await alone(), ["pending"]);
    expect(stdout).toBe("pending: 100\ntaken: 100\n");
  });

  test("is not interrupted by a signal that it blocks", async () => {
    const { stdout } = await expectAsNative(await alone(), ["critical"]);
    expect(stdout).toBe("handled\nhandled while blocked: 0\n");
  });

  test.each(["blocked", "defaults"])("ends as it says with all signals %s", async (word) => {
    expect((await expectAsNative(await alone(), [word])).exitCode).toBe(3);
  });

  test("has a filter of its own for system calls", async () => {
    const { stdout } = await expectAsNative(await alone(), ["filter"], { timeout: 2_000 });
    expect(stdout).toBe("filtered: 0\nerrno: 38\n");
  });

  test("gives up all system calls but four", async () => {
    const { stdout } = await expectAsNative(await alone(), ["strict"]);
    expect(stdout).toBe("strict: 0\n");
  });

  test("finds the bytes that are no UTF-8 among its arguments", async () => {
    const program = await alone();
    const model = await run(["perl", "-e", BYTES, program]);
    const linked = await run(["perl", "-e", BYTES, ...COMMAND, "link", program]);
    expect(shown(linked)).toEqual(shown(model));
    expect(model.stdout).toContain("byte: 255\n");
  });

  test.each([
    ["where it jumps to what is no code, even if that is how many arguments it has", "jump"],
    ["of a fault, even if its stack is as behind a return", "fault"],
  ])("dies %s", async (_, word) => {
    expect((await expectAsNative(await alone(), [word])).signal).toBe("SIGSEGV");
  });

  test("that goes on as another program has no part in what that does", async () => {
    const { stdout } = await expectAsNative(await alone(), ["start", await threads(), "before"]);
    expect(stdout).toBe("the other ends\nthe first ends\n");
  });

  test("goes on where one of its threads ends", async () => {
    const { stdout, exitCode } = await expectAsNative(await threads(), ["before"]);
    expect([stdout, exitCode]).toEqual(["the other ends\nthe first ends\n", 7]);
  });

  test("goes on where one of its threads ends that has no stack any more", async () => {
    const { stdout, exitCode } = await expectAsNative(await threads(), ["unmapped"]);
    expect([stdout, exitCode]).toEqual(["the other ends\nthe first ends\n", 7]);
  });

  test("goes on where its first thread ends, until the other does", async () => {
    const { stdout } = await expectAsNative(await threads(), ["after"]);
    expect(stdout).toBe("the first has ended\nthe other ends\n");
  });
});
