// Somebody preloaded stands in front of the loader's functions, as overlays and tools do: nothing of ours calls theirs.

import { test } from "bun:test";
import { join } from "node:path";
import { expectBoth } from "../support/both.ts";
import { HOST, hostAndProgram, pair, RUNTIME } from "../support/pair.ts";

test("a library in front of the loader may have a lock", async () => {
  const fixture = await pair("loading/a-library-in-front-of-the-loader-may-have-a-lock", [
    { path: "interposer.so", sources: ["interposer.c"], flags: ["-pthread", "-ldl"] },
    { path: `${RUNTIME}/libplugin.so.1`, sources: ["plugin.c"], flags: ["-DNUMBER=1"] },
    { path: `${HOST}/libdriver.so.1`, sources: ["plugin.c"], flags: ["-DNUMBER=2"] },
    ...hostAndProgram(),
  ]);
  const env = { LD_PRELOAD: join(fixture.out, "interposer.so") };
  await expectBoth(fixture, [], ["the runtime's: 1", "the host's: 2"], { env });
});
