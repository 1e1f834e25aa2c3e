// How much static TLS is made room for, and when.

import { describe, expect, test } from "bun:test";
import type { Library } from "../../../lib/elf/library.ts";
import type { Tls } from "../../../lib/elf/tls.ts";
import { Trace } from "../../../src/diagnostics/trace.ts";
import { tunableIn } from "../../../src/plan/glibc/tunables.ts";
import {
  AUDITED,
  DEFAULT,
  isMisaligned,
  RESERVE,
  roomForHosts,
  SURELY_FREE,
  staticNeed,
  TUNABLE,
  withRoomFor,
  withRoomForAttached,
  withRoomForAudited,
} from "../../../src/plan/static-tls.ts";

const tls = (size: number, alignment: number, more: Partial<Tls> = {}): Tls => ({
  ...{ size, alignment, isStatic: true, exported: [], wanted: [] },
  ...more,
});
const library = (tls?: Tls): Library => ({ tls }) as Library;
const large = library(tls(1000, 16));
const small = library(tls(100, 8));
const dynamic = library(tls(5000, 8, { isStatic: false }));
const none = library();

const roomIn = (tunables: string): number => Number(tunableIn(tunables, TUNABLE));

test("a block takes a multiple of its alignment, where it has one", () => {
  const sizes = [tls(0, 0), tls(17, 0), tls(17, 1), tls(16, 16), tls(17, 16), tls(1, 64)];
  expect(sizes.map((each) => staticNeed([[library(each)]]).size)).toEqual([0, 17, 17, 16, 32, 64]);
});

test("isMisaligned(): glibc aligns to 64 bytes, and no more", () => {
  expect([tls(8, 64), tls(8, 65), tls(8, 128)].map((each) => isMisaligned(library(each)))).toEqual([false, true, true]);
  expect(isMisaligned(none)).toBe(false);
});

describe("staticNeed()", () => {
  test("is of what must be in static TLS", () => {
    expect(staticNeed([[large, dynamic, none], [small]])).toEqual({ libraries: [large, small], size: 1008 + 104 });
    expect(staticNeed([[dynamic, none]])).toEqual({ libraries: [], size: 0 });
  });

  test("and of what defines a variable that another one of the same host tree wants there", () => {
    const definer = library(tls(24, 8, { isStatic: false, exported: ["current"] }));
    const user = library(tls(0, 0, { isStatic: false, wanted: ["current"] }));
    expect(staticNeed([[definer, user]]).libraries).toEqual([definer]);
    expect(staticNeed([[definer], [user]]).libraries).toEqual([]);
  });
});

describe("the room", () => {
  const trace = new Trace([]);
  const least = (size: number): Library[] => [library(tls(size, 1))];

  test("is not touched for what is surely free", () => {
    expect([SURELY_FREE, SURELY_FREE + 1].map((size) => roomForHosts([least(size)]))).toEqual([0, SURELY_FREE + 1]);
    expect(withRoomForAttached([least(SURELY_FREE)], "a=1", trace)).toBe("a=1");
    expect(roomIn(withRoomForAttached([least(SURELY_FREE + 1)], "a=1", trace))).toBeGreaterThan(SURELY_FREE + 1);
  });

  test("has every block with its alignment, what there was, and a reserve", () => {
    const all = 1008 + 16 + 104 + 8;
    expect(roomIn(withRoomFor([large, small, none], ""))).toBe(DEFAULT + all + RESERVE);
    expect(roomIn(withRoomFor([large, small], `a=1:${TUNABLE}=4000`))).toBe(4000 + all + RESERVE);
    expect(withRoomFor([small], "a=1")).toContain("a=1");
  });

  test("of what has an auditor is for its own libraries, too, unless the user gives as much", () => {
    const size = AUDITED + DEFAULT + 1008;
    expect(roomIn(withRoomForAudited([large, dynamic, none], ""))).toBe(size);
    expect(roomIn(withRoomForAudited([large], `${TUNABLE}=${size - 1}`))).toBe(size);
    for (const given of [size, size + 1]) {
      const before = `${TUNABLE}=${given}`;
      expect(withRoomForAudited([large], before)).toBe(before);
    }
  });
});
