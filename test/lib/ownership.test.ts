import { expect, test } from "bun:test";
import type { Stats } from "node:fs";
import { isOurs } from "../../lib/ownership.ts";

const uid = process.getuid?.() ?? 0;
const of = (uid: number, mode: number): boolean => isOurs({ uid, mode } as Stats);

test.each([0o100600, 0o100644, 0o40700, 0o40755, 0o100755])(
  "isOurs(): of mode %o it is, if this user has it",
  (mode) => {
    expect(of(uid, mode)).toBe(true);
    expect(of(uid + 1, mode)).toBe(false);
  },
);

test.each([0o100620, 0o100602, 0o40777, 0o40770, 0o41777])(
  "isOurs(): not of mode %o, which others may write",
  (mode) => {
    expect(of(uid, mode)).toBe(false);
  },
);
