// A program that is started detached, and the instructions that do it.

import { afterAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { emitDetach } from "../../../lib/process/detached.ts";
import { emitWatch } from "../../../lib/process/watcher.ts";
import { Assembler } from "../../../lib/x86-64/assembler.ts";
import { run } from "../../support/run.ts";
import { Scratch } from "../elf/scratch.ts";
import { agreement, disassemble } from "../x86-64/disassemble.ts";

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());

test.each([
  ["what starts it", emitDetach],
  ["what watches for ends", emitWatch],
])("%s is what its text says", (_, emit) => {
  const assembler = new Assembler();
  emit(assembler);
  const code = assembler.assemble();
  const [listed, found] = agreement(code, disassemble(code, scratch));
  expect(found.length).toBeGreaterThan(8);
  expect(found).toEqual(listed);
});

describe("a program that is started detached", () => {
  const show = async (thread: string) => {
    const outcome = await run([process.execPath, join(import.meta.dir, "starts-detached.ts"), thread]);
    expect(outcome).toMatchObject({ stderr: "", exitCode: 0 });
    return JSON.parse(outcome.stdout) as Record<string, unknown>;
  };

  for (const thread of ["main", "worker"])
    test(`has what it is given and nothing else (by a ${thread} thread)`, async () => {
      expect(await show(thread)).toEqual({
        isOurChild: false,
        children: "",
        signalsOfChildren: 0,
        hasOwnSession: true,
        descriptors: "0 1 2 3 4",
        third: "/dev/zero",
        fourth: "/dev/full",
        directory: "/",
        arguments: ["sleep", "1000"],
        environment: ["A=b", "ODD=\xe9"],
        blocked: "0000000000000000",
        refusal: "ENOENT, execve",
      });
    });
});
