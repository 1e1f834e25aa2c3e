import { describe, expect, test } from "bun:test";
import { signalsIn } from "../../../src/handover/signals.ts";

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
