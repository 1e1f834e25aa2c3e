// What capsule costs a program that draws: no system call more than natively, and nothing is asked. strace attaches to
// glxgears once it draws.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Display } from "../support/display.ts";
import { bullseye } from "../support/hosts.ts";
import { lines } from "../support/lines.ts";
import { nativeMesa } from "../support/native-mesa.ts";
import { capsuleCommand, run, start } from "../support/run.ts";

setDefaultTimeout(600_000);

/** System calls that are looked at: about a thousand frames. */
const CALLS = 6000;
/** Threads of Bun, by their names. The one that answers requests is Worker. */
const BUN = /^(Bun Pool \d+|JITWorker|JSCWarmUp|HeapHelper|mi-scavenger|Worker)$/;
/** What they do when they have not been needed for some seconds. */
const FALLING_ASLEEP = ["madvise", "rt_sigprocmask", "exit", "futex_waitv"];

interface Call {
  readonly thread: string;
  readonly name: string;
  /** As strace writes it. */
  readonly text: string;
}

let display: Display;
let directory: string;
beforeAll(async () => {
  display = await Display.start();
  directory = await bullseye.directory();
});
afterAll(() => display[Symbol.asyncDispose]());

/**
 * The system calls of glxgears while it draws, of all threads, but for futex(2): how often its threads wait for each
 * other differs. A request to capsule would also be one for `--trace request`, which writes.
 */
async function callsWhileDrawing(argv: string[], env: Record<string, string>): Promise<Call[]> {
  await using program = start(argv, { env: { ...display.env, vblank_mode: "0", ...env } });
  await display.until((picture) => picture.patch("blue").count > 1000, program);
  const tasks = `/proc/${program.pid}/task`;
  const threads = new Map(
    readdirSync(tasks).map((id) => [id, readFileSync(join(tasks, id, "comm"), "utf8").trimEnd()]),
  );
  const strace = `strace -f -qq -e trace='!futex' -o /dev/stdout -p ${program.pid} | head -n ${CALLS}`;
  const { stdout } = await run(["sh", "-c", strace], { timeout: 60_000 });
  return lines(stdout).flatMap((text) => {
    const match = /^(\d+) +(\w+)\(/.exec(text);
    // the rest of a call that was interrupted, or of one that was under way when strace came
    if (!match || text.includes("resuming interrupted")) return [];
    const [, id = "", name = ""] = match;
    return [{ thread: threads.get(id) ?? "new", name, text }];
  });
}

/** How often per frame, which is a writev(2) and an answer from X each. */
function perFrame(calls: readonly Call[]): Record<string, number> {
  const count = (name: string) => calls.filter((call) => call.name === name).length;
  const names = ["poll", "recvmsg", "getpid"];
  return Object.fromEntries(names.map((name) => [name, Math.round((100 * count(name)) / count("writev")) / 100]));
}

test("a frame loop makes no other system call in the capsule than natively, and asks nothing", async () => {
  const native = await callsWhileDrawing(["glxgears"], await nativeMesa(directory));
  const all = await callsWhileDrawing(capsuleCommand(["--host", directory, "--trace", "request"], "glxgears"), {});
  const calls = all.filter(({ thread }) => !BUN.test(thread));
  expect(native.length).toBeGreaterThan(0.9 * CALLS);
  expect(calls.length).toBeGreaterThan(0.9 * CALLS);

  const known = new Set(native.map(({ name }) => name));
  // its figures, every five seconds
  known.add("write");
  expect(calls.filter(({ name }) => !known.has(name))).toEqual([]);
  expect(calls.filter(({ text }) => text.includes("capsule:"))).toEqual([]);
  expect(perFrame(calls)).toEqual(perFrame(native));

  const others = all.filter(({ thread }) => BUN.test(thread));
  expect(others.filter(({ name }) => !FALLING_ASLEEP.includes(name))).toEqual([]);
});
