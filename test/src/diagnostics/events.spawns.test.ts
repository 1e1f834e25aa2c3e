// What a run tells by --events, and what becomes of it where nobody reads.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CapsuleEvent, descriptorOf, EventWriter } from "../../../src/diagnostics/events.ts";
import { type Notgl, notgl } from "../../support/notgl.ts";
import { COMMAND, run } from "../../support/run.ts";

const directory = mkdtempSync(join(tmpdir(), "capsule-test-"));
afterAll(() => rmSync(directory, { recursive: true }));

/** Both ends of a pipe that does not block. */
async function pipe(name: string): Promise<number> {
  const path = join(directory, name);
  await run(["mkfifo", path]);
  return openSync(path, 0o2 | 0o4000); // O_RDWR | O_NONBLOCK
}

/** All that is in the pipe now. */
function drain(descriptor: number): string {
  const pieces: Buffer[] = [];
  for (;;) {
    const piece = Buffer.alloc(65536);
    try {
      pieces.push(piece.subarray(0, readSync(descriptor, piece)));
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe("EAGAIN");
      return Buffer.concat(pieces).toString();
    }
  }
}

const request = (number: number): CapsuleEvent => ({
  ...{ event: "request", pid: 1, kind: "dlopen" },
  name: `lib${number}-é`.padEnd(1000, "."),
});

describe("a reader that is slow", () => {
  test("gets everything later, in order", async () => {
    const end = await pipe("slow");
    const writer = new EventWriter(end, false);
    for (let i = 0; i < 300; i++) writer.write(request(i));
    expect(writer.isWaiting).toBe(true);
    let text = "";
    while (writer.isWaiting) {
      text += drain(end);
      writer.flush();
    }
    text += drain(end);
    const events = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as CapsuleEvent);
    expect(events).toEqual(Array.from({ length: 300 }, (_, i) => request(i)));
    closeSync(end);
  });

  test("is told how much it has missed", async () => {
    const end = await pipe("late");
    const writer = new EventWriter(end, false);
    for (let i = 0; i < 3000; i++) writer.write(request(i));
    let text = "";
    while (writer.isWaiting) {
      text += drain(end);
      writer.flush();
    }
    writer.write({ event: "ended", pid: 1 });
    text += drain(end);
    const events = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as CapsuleEvent);
    const [lost, ended] = events.slice(-2);
    expect(ended).toEqual({ event: "ended", pid: 1 });
    expect(lost).toEqual({ event: "lost", count: 3000 - (events.length - 2) });
    closeSync(end);
  });
});

describe("--events", () => {
  let family: Notgl;
  beforeAll(async () => {
    family = await notgl();
  });

  const capsule = (words: string, redirections = "") =>
    run([
      ...["sh", "-c", `exec "$@" ${redirections}`, "sh", ...COMMAND, "exec", "--host", family.red],
      ...["--isolate", "libnotgl.so.0", ...words.split(" "), "/bin/echo", "it runs"],
    ]);
  const refused = async (words: string, message: string, redirections = "") => {
    const outcome = await capsule(words, redirections);
    expect(outcome.stderr).toBe(`capsule: ${message}\n`);
    expect([outcome.exitCode, outcome.stdout]).toEqual([2, ""]);
  };

  test("writes them where it is told", async () => {
    const path = join(directory, "events");
    const outcome = await capsule("--events 5", `5>'${path}'`);
    expect([outcome.stdout, outcome.stderr]).toEqual(["it runs\n", ""]);
    expect(await Bun.file(path).text()).toStartWith('{"event":"start",');
  });

  test("takes a descriptor that is open, and not the program's", async () => {
    await refused("--events 77", "Cannot write events to descriptor 77: it is not open");
    for (const text of ["1", "x", "-1", "3.5"])
      await refused(
        `--events=${text}`,
        `Cannot write events to "${text}": the number of a descriptor is needed, 3 or more`,
      );
    await refused("--bindings", "Cannot tell bindings: --bindings is for --events");
  });

  test("is told of programs in processes of their own", async () => {
    const path = join(directory, "in-process");
    const outcome = await capsule("--events 5 --mode in-process", `5>'${path}'`);
    expect([outcome.exitCode, outcome.stderr]).toEqual([2, ""]);
    expect(JSON.parse(await Bun.file(path).text())).toMatchObject({
      ...{ event: "failed", isFatal: true },
      error: { name: "UsageError", exitCode: 2 },
    });
  });
});

test("what is no descriptor's number is refused", () => {
  expect(descriptorOf("7", new Set([7]))).toBe(7);
  expect(() => descriptorOf("7", new Set([3]))).toThrow("it is not open");
  expect(() => descriptorOf("", new Set([0]))).toThrow("3 or more");
});
