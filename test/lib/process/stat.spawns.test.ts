import { expect, test } from "bun:test";
import { isBusy } from "../../../lib/process/stat.ts";

test("a thread is busy while it runs; not while it sleeps, is stopped or is gone", async () => {
  expect(isBusy("self", process.pid)).toBe(true);
  await using child = Bun.spawn(["sleep", "1000"]);
  const { pid } = child;
  const untilIdle = async () => {
    while (isBusy(pid, pid)) await new Promise(setImmediate);
  };
  await untilIdle();
  child.kill("SIGSTOP");
  await untilIdle();
  child.kill("SIGKILL");
  await child.exited;
  expect(isBusy(pid, pid)).toBe(false);
});
