// What is opened with a file, and closed again. glibc is played here.

import { describe, expect, test } from "bun:test";
import { RTLD_DEEPBIND, RTLD_GLOBAL, RTLD_LAZY, RTLD_NOW } from "../../../lib/loader/calls.ts";
import { writeU64 } from "../../../lib/memory/layout.ts";
import { toAddress } from "../../../lib/memory/numbers.ts";
import type { Linking, Process } from "../../../lib/process/process.ts";
import { NONE, openIn, openInTurn, openTogether } from "../../../src/server/opening.ts";

const NAMESPACE = 7;

/** Makes the calls of a pass. A file's handle is 0x100 times the number of its name, and of those in `missing` there is none. */
function made<Result>(pass: Linking<Result>, missing: readonly string[] = []) {
  const calls: string[] = [];
  let step = pass.next();
  while (!step.done)
    step = pass.next(
      step.value.map(({ name, arguments: list }) => {
        const [first, path, mode] = list;
        if (name === "dlinfo") {
          writeU64(new DataView((mode as Uint8Array).buffer), 0, NAMESPACE);
          return 0;
        }
        calls.push([name, ...list].join(" "));
        if (name === "dlclose") return 0;
        expect(typeof first).toBe("number");
        return missing.includes(`${path}`) || missing.includes(`${path} ${mode}`)
          ? 0
          : 0x100 * Number(`${path}`.slice(1));
      }),
    );
  return { calls, result: step.value };
}

const process = {} as Process;

describe("openIn()", () => {
  const open = (mode: number, missing: readonly string[] = []) => made(openIn(process, -1, "o1", "f2", mode), missing);

  test("opens the file in the namespace of what it needs, and closes that afterwards", () => {
    expect(open(RTLD_NOW)).toEqual({
      calls: [`dlmopen -1 o1 ${RTLD_NOW}`, `dlmopen ${NAMESPACE} f2 ${RTLD_NOW}`, "dlclose 256"],
      result: toAddress(0x200),
    });
  });

  test("closes nothing if the file cannot be opened, since dlerror() would forget the reason", () => {
    const { calls, result } = open(RTLD_LAZY, ["f2"]);
    expect(calls).toEqual([`dlmopen -1 o1 ${RTLD_LAZY}`, `dlmopen ${NAMESPACE} f2 ${RTLD_LAZY}`]);
    expect(result).toBe(NONE);
  });

  test("does not open the file if what it needs cannot be opened", () => {
    expect(open(RTLD_LAZY, ["o1"])).toEqual({ calls: [`dlmopen -1 o1 ${RTLD_LAZY}`], result: NONE });
  });

  test("leaves it to glibc to refuse RTLD_GLOBAL", () => {
    const mode = RTLD_NOW | RTLD_GLOBAL;
    expect(open(mode, ["f2"])).toEqual({ calls: [`dlmopen -1 f2 ${mode}`], result: NONE });
  });
});

describe("openTogether()", () => {
  test("takes only the flags that are for all that is opened", () => {
    expect(made(openTogether(NAMESPACE, "o1", RTLD_LAZY | 0x1000)).calls).toEqual([
      `dlmopen ${NAMESPACE} o1 ${RTLD_LAZY}`,
    ]);
  });

  test("binds with RTLD_DEEPBIND all that can be bound, and else as it was asked to", () => {
    const mode = RTLD_LAZY | RTLD_DEEPBIND;
    const early = `dlmopen ${NAMESPACE} o1 ${RTLD_NOW | RTLD_DEEPBIND}`;
    const pass = () => openTogether(NAMESPACE, "o1", mode);
    expect(made(pass())).toEqual({ calls: [early], result: toAddress(0x100) });
    expect(made(pass(), [`o1 ${RTLD_NOW | RTLD_DEEPBIND}`])).toEqual({
      calls: [early, `dlmopen ${NAMESPACE} o1 ${mode}`],
      result: toAddress(0x100),
    });
  });
});

test("openInTurn() stops at the first that cannot be opened", () => {
  const pass = () => openInTurn(NAMESPACE, ["f1", "f2", "f3"], RTLD_NOW);
  expect(made(pass()).result).toEqual([0x100, 0x200, 0x300].map(toAddress));
  expect(made(pass(), ["f2"])).toEqual({
    calls: [`dlmopen ${NAMESPACE} f1 ${RTLD_NOW}`, `dlmopen ${NAMESPACE} f2 ${RTLD_NOW}`],
    result: [toAddress(0x100), NONE],
  });
});
