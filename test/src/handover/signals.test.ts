import { afterEach, describe, expect, test } from "bun:test";
import type { Libc } from "../../../lib/process/libc.ts";
import { SIGPWR, SIGSETXID } from "../../../lib/process/signals.ts";
import { resetSignals, settledSignals, signalsIn } from "../../../src/handover/signals.ts";

describe("signalsIn()", () => {
  test("counts bits from 1, the lowest first", () => {
    expect(signalsIn("0000000000000000")).toEqual([]);
    expect(signalsIn("0000000000000001")).toEqual([1]);
    expect(signalsIn("8000000000000000")).toEqual([64]);
    expect(signalsIn("0000000000004406")).toEqual([2, 3, 11, 15]);
    expect(signalsIn("ffffffffffffffff")).toHaveLength(64);
  });

  test("takes a mask without leading zeros", () => {
    expect(signalsIn("0")).toEqual([]);
    expect(signalsIn("100000000")).toEqual([33]);
  });
});

describe("resetSignals()", () => {
  const reset = (): number[] => {
    const signals: number[] = [];
    resetSignals({ signals: { restore: (signal: number) => signals.push(signal) } } as unknown as Libc);
    return signals;
  };
  const { BUN_JSC_useConcurrentGC: before } = process.env;
  afterEach(() => {
    if (before === undefined) delete process.env.BUN_JSC_useConcurrentGC;
    else process.env.BUN_JSC_useConcurrentGC = before;
  });

  test("resets what Bun catches and ignores", () => {
    const [SIGSEGV, SIGPIPE, SIGXFSZ] = [11, 13, 25];
    expect(settledSignals(process.pid)).toContain(SIGSEGV);
    expect(reset()).toEqual(expect.arrayContaining([SIGSEGV, SIGPIPE, SIGXFSZ]));
  });

  test("leaves glibc the signals by which its threads talk, above the standard ones", () => {
    expect(settledSignals(process.pid)).toContain(SIGSETXID);
    expect(Math.max(...reset())).toBeLessThan(32);
  });

  test("leaves JavaScriptCore the signal by which it stops threads, while it does", () => {
    expect(settledSignals(process.pid)).toContain(SIGPWR);
    delete process.env.BUN_JSC_useConcurrentGC;
    expect(reset()).not.toContain(SIGPWR);
    process.env.BUN_JSC_useConcurrentGC = "0";
    expect(reset()).toContain(SIGPWR);
  });
});
