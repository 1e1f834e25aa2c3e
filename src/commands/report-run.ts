// Runs a program for a bug report: as `capsule exec --trace all` does, with what it says on standard error and its memory maps
// kept.

import { readFileSync, writeSync } from "node:fs";
import { unlessRefused } from "../../lib/unless.ts";
import { ENGINE_SETTINGS } from "../diagnostics/engine-settings.ts";
import type { ReportedRun } from "../doctor/bug-report.ts";
import { withKept } from "../handover/environment.ts";
import { commandWords } from "../reexec/own-code.ts";

/** How often the maps are read, in milliseconds: the last ones are kept, as there are none of a process that has died. */
const MAPS_INTERVAL_MS = 50;
/** The most that is kept of standard error, in characters; only the program may write more. */
const MOST = 8 << 20;

/** `words` follow `capsule exec`. Resolves when the program has ended. */
export async function runForReport(words: readonly string[]): Promise<ReportedRun> {
  const child = Bun.spawn([...commandWords(), "exec", "--trace=all", ...words], {
    stdio: ["inherit", "inherit", "pipe"],
    env: { ...withKept(process.env), ...ENGINE_SETTINGS },
  });
  let maps = "";
  const look = (): void => {
    // Empty when the process has ended.
    maps = unlessRefused(() => readFileSync(`/proc/${child.pid}/maps`, "latin1")) || maps;
  };
  const timer = setInterval(look, MAPS_INTERVAL_MS);
  let told = "";
  const decoder = new TextDecoder();
  // Processes that outlive the program keep the pipe open.
  const listening = (async () => {
    for await (const bytes of child.stderr) {
      const text = decoder.decode(bytes, { stream: true });
      if (told.length < MOST) told += text;
      look();
      const own = text.replace(/^capsule: [a-z]+: .*\n?/gm, "");
      if (own !== "") writeSync(2, own);
    }
  })();
  await child.exited;
  clearInterval(timer);
  await Promise.race([listening, Bun.sleep(1000)]);
  const { signalCode, exitCode } = child;
  return { end: `${signalCode ?? `exit code ${exitCode}`}`, told, maps };
}
