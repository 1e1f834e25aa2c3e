import { expect, test } from "bun:test";
import { add } from "../../../lib/memory/numbers.ts";
import { Libc } from "../../../lib/process/libc.ts";

const MILLISECONDS = 50;
const { futexes, pages } = new Libc();
const word = pages.allocate(4096, false);

/** In milliseconds. */
function timeOf(sleep: () => void): number {
  const start = performance.now();
  sleep();
  return performance.now() - start;
}

test("a thread sleeps for the time that it is given: on one word", () => {
  expect(timeOf(() => futexes.sleepOn(word, 0, MILLISECONDS))).toBeGreaterThanOrEqual(MILLISECONDS);
});

test.skipIf(!futexes.canSleepOnAny)("on several (futex_waitv(2), Linux 5.16)", () => {
  const words = [word, add(word, 4)].map((at) => ({ word: at, value: 0 }));
  expect(timeOf(() => futexes.sleepOnAny(words, MILLISECONDS))).toBeGreaterThanOrEqual(MILLISECONDS);
});

test("not at all if the word has another value", () => {
  expect(timeOf(() => futexes.sleepOn(word, 1, 10_000))).toBeLessThan(5000);
  if (futexes.canSleepOnAny) expect(timeOf(() => futexes.sleepOnAny([{ word, value: 1 }], 10_000))).toBeLessThan(5000);
});
