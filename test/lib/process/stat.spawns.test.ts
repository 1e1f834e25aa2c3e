import { expect, test } from "bun:test";
import { isBusy } from "../../../lib/process/stat.ts";

test("a thread is busy while it runs; not while it sleeps, is stopped or is gone", async () => {
  expect(isBusy("self", process.pid)).toBe(true);
  await using child = Bun.spawn(["sleep", "1000"]);
  const { pid } = child;
  while (isBusy(pid, pid)) await new Promise(setImmediate);
  child.kill("SIGSTOP");
  expect(isBusy(pid, pid)).toBe(false);
  child.kill("SIGKILL");
  await child.exited;
  expect(isBusy(pid, pid)).toBe(false);
});
