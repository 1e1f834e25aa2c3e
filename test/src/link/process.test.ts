// What a program may do with its process: no thread, filter or signal handler of this command is in its way.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { freestanding } from "../../support/freestanding.ts";
import { lines } from "../../support/lines.ts";
import { expectAsNative, link, WAYS } from "../../support/linked.ts";
import { native } from "../../support/run.ts";

setDefaultTimeout(60_000);

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

  test("begins with no signal ignored or blocked", async () => {
    const [model, linked] = [await native(await alone(), ["signals"]), await link([await alone(), "signals"])];
    expect(model.stdout).toBe("mask: 0\n");
    expect(lines(linked.stdout).filter((line) => !line.startsWith("handled"))).toEqual(["mask: 0"]);
    expect((await expectAsNative(await alone(), ["broken pipe"])).signal).toBe("SIGPIPE");
  });

  test.each([
    ["where it jumps to what is no code, even if that is how many arguments it has", "jump"],
    ["of a fault, even if its stack is as behind a return", "fault"],
  ])("dies %s", async (_, word) => {
    expect((await expectAsNative(await alone(), [word])).signal).toBe("SIGSEGV");
  });

  test("goes on where one of its threads ends", async () => {
    const { stdout, exitCode } = await expectAsNative(await threads(), ["before"]);
    expect([stdout, exitCode]).toEqual(["the other ends\nthe first ends\n", 7]);
  });
});
