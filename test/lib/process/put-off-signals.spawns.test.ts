// Signals that come while a process has something to remove.

import { expect, test } from "bun:test";
import { repository, run } from "../../support/run.ts";

/** Runs in a process of its own, which the signal may end. */
const script = (...lines: string[]) =>
  run([
    process.execPath,
    "-e",
    `
    import { Libc } from "${repository}/lib/process/libc.ts";
    import { PutOffSignals } from "${repository}/lib/process/put-off-signals.ts";
    const libc = new Libc();
    const signals = new PutOffSignals(libc);
    ${lines.join("\n")}
    console.log("goes on");`,
  ]);

const [SIGTERM, SIGUSR1] = [15, 10];

test("they end the process after that", async () => {
  const { stdout, signal } = await script(
    `libc.signals.send(libc.pid, ${SIGTERM});`,
    'console.log("removes");',
    "signals.end();",
  );
  expect({ stdout, signal }).toEqual({ stdout: "removes\n", signal: "SIGTERM" });
});

test("nothing has come, and nothing is left of it", async () => {
  const quiet = await script("signals.end();");
  expect(quiet).toMatchObject({ stdout: "goes on\n", signal: null });
  const later = await script("signals.end(); signals.end();", `libc.signals.send(libc.pid, ${SIGTERM});`);
  expect(later).toMatchObject({ stdout: "", signal: "SIGTERM" });
});

test("others take effect at once", async () => {
  expect(await script(`libc.signals.send(libc.pid, ${SIGUSR1});`)).toMatchObject({ stdout: "", signal: "SIGUSR1" });
});

test("what is ignored stays so", async () => {
  const ignored = await run([
    "sh",
    "-c",
    'trap "" TERM; exec "$@"',
    "sh",
    process.execPath,
    "-e",
    `
    import { Libc } from "${repository}/lib/process/libc.ts";
    import { PutOffSignals } from "${repository}/lib/process/put-off-signals.ts";
    const libc = new Libc();
    const signals = new PutOffSignals(libc);
    libc.signals.send(libc.pid, ${SIGTERM});
    signals.end();
    console.log("goes on");`,
  ]);
  expect(ignored).toMatchObject({ stdout: "goes on\n", signal: null });
});
