// Launches that are killed at any moment, and their servers with them or not: nothing hangs, what is kept is not spoilt,
// and the next run removes what they have left. CAPSULE_TEST_KILLS says how many in each mode, CAPSULE_TEST_SEED which.

import { beforeAll, describe, expect, test } from "bun:test";
import { hostAndProgram, type Pair, pair, RUNTIME } from "../support/pair.ts";
import { capsule, capsuleCommand, start } from "../support/run.ts";
import { Place } from "./place.ts";
import { randomOf } from "./random.ts";

const COUNT = Number(process.env.CAPSULE_TEST_KILLS ?? 25);
const SEED = Number(process.env.CAPSULE_TEST_SEED ?? 1);
const LIMIT_MS = 120_000 + COUNT * 10_000;

let killed: Pair;

beforeAll(async () => {
  killed = await pair("process/a-program-and-its-child-are-killed", [
    ...hostAndProgram(),
    { path: `${RUNTIME}/libhost.so.1`, sources: ["host.c"] },
  ]);
});

for (const mode of ["in-process", "attached"])
  describe(`${COUNT} launches, ${mode}, that are killed at any moment (seed ${SEED})`, () => {
    test(
      "leave nothing that the next run does not remove, and no process",
      async () => {
        using place = new Place();
        const random = randomOf(SEED);
        const flags = ["--mode", mode, ...killed.flags()];
        const options = { env: { ...place.env, LD_LIBRARY_PATH: killed.runtime } };
        const whole = async () => {
          const outcome = await capsule(flags, killed.program(), [], options);
          expect(outcome).toMatchObject({ stdout: "both were linked\n", stderr: "", exitCode: 0 });
          await place.quiet();
          return outcome.duration;
        };
        // The first run keeps what it finds out, as some of those that are killed do.
        const duration = random() < 0.5 ? await whole() : 1000;
        for (let i = 0; i < COUNT; i++) {
          await using program = start(capsuleCommand(flags, killed.program(), [], options.env), options);
          await Bun.sleep(random() * duration);
          if (random() < 0.5) program.kill();
          else if (!program.hasEnded) process.kill(program.pid, "SIGKILL");
          if (random() < 0.5) for (const server of place.servers) process.kill(server, "SIGKILL");
          await program.end();
        }
        await place.quiet();
        place.age();
        await whole();
        expect(place.left).toEqual([]);
      },
      LIMIT_MS,
    );
  });
