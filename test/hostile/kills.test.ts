// Launches that are killed at any moment, and their servers with them or not: nothing hangs, what is kept is not spoilt,
// and the next run removes what they have left. By SIGTERM, attached, nothing is left. CAPSULE_TEST_KILLS says how many in each
// mode by each signal, CAPSULE_TEST_SEED which.

import { beforeAll, describe, expect, test } from "bun:test";
import { unlessGone } from "../../lib/process/stat.ts";
import type { Pair } from "../support/pair.ts";
import { capsule, capsuleCommand, start } from "../support/run.ts";
import { launched, Place } from "./place.ts";
import { randomOf } from "./random.ts";

const COUNT = Number(process.env.CAPSULE_TEST_KILLS ?? 20);
const SEED = Number(process.env.CAPSULE_TEST_SEED ?? 1);
const LIMIT_MS = 120_000 + COUNT * 10_000;

let program: Pair;

beforeAll(async () => {
  program = await launched();
});

/** Not yet: in-process, SIGTERM may come while the program's first child is prepared for, by another thread. */
const leavesNothing = (mode: string, signal: string): boolean => mode === "attached" && signal === "SIGTERM";

for (const [mode, signal] of ["in-process", "attached"].flatMap((mode) =>
  (["SIGKILL", "SIGTERM"] as const).map((signal) => [mode, signal] as const),
))
  describe(`${COUNT} launches, ${mode}, that are ended by ${signal} at any moment (seed ${SEED})`, () => {
    test(
      `leave nothing${leavesNothing(mode, signal) ? "" : " that the next run does not remove"}, and no process`,
      async () => {
        using place = new Place();
        const random = randomOf(SEED);
        const flags = ["--mode", mode, ...program.flags()];
        const options = { env: { ...place.env, LD_LIBRARY_PATH: program.runtime } };
        const whole = async () => {
          const outcome = await capsule(flags, program.program(), [], options);
          expect(outcome).toMatchObject({ stdout: "both were linked\n", stderr: "", exitCode: 0 });
          await place.quiet();
          return outcome.duration;
        };
        // The first run keeps what it finds out, as some of those that are killed do.
        const duration = random() < 0.5 ? await whole() : 1000;
        for (let i = 0; i < COUNT; i++) {
          await using run = start(capsuleCommand(flags, program.program(), [], options.env), options);
          await Bun.sleep(random() * duration);
          // Any of them may just have ended.
          const kill = (pid: number) => unlessGone(() => process.kill(pid, signal));
          if (!run.hasEnded) kill(random() < 0.5 ? -run.pid : run.pid);
          if (signal === "SIGKILL" && random() < 0.5) for (const server of place.servers) kill(server);
          await run.end();
        }
        await place.quiet();
        if (!leavesNothing(mode, signal)) {
          place.age();
          await whole();
        }
        expect(place.left).toEqual([]);
      },
      LIMIT_MS,
    );
  });
