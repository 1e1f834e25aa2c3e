// Which processes a server finds when none that it knows is alive.

import { expect, test } from "bun:test";
import { statSync } from "node:fs";
import type { System } from "../../../lib/process/system.ts";
import type { Watcher } from "../../../lib/process/watcher.ts";
import { Lifetime } from "../../../src/attached/lifetime.ts";

const LIBRARIES = `/nowhere/capsule-${process.pid}/lib`;

const sleeper = (env: Record<string, string>) => Bun.spawn(["/bin/sleep", "60"], { env });

/** Only then does nobody find them any more: a process that is killed has its environment until it has run once more. */
async function end(...children: readonly ReturnType<typeof sleeper>[]): Promise<void> {
  for (const child of children) child.kill("SIGKILL");
  await Promise.all(children.map(({ exited }) => exited));
}

/** All that may be watched is, by a descriptor that is its pid; `found` is called with it. */
function lifetimeWith(found: (pid: number) => void): Lifetime {
  const openProcess = (pid: number) => {
    found(pid);
    return pid;
  };
  return new Lifetime(
    { openProcess } as unknown as System,
    { add: () => {}, count: 0 } as unknown as Watcher,
    LIBRARIES,
  );
}

test("those of its launch, by their library path, and no others", async () => {
  const own = sleeper({ LD_LIBRARY_PATH: LIBRARIES });
  const other = sleeper({ LD_LIBRARY_PATH: `${LIBRARIES}2` });
  const pids: number[] = [];
  try {
    lifetimeWith((pid) => pids.push(pid)).findOthers();
    expect(pids).toEqual([own.pid]);
  } finally {
    await end(own, other);
  }
});

test.skipIf(process.getuid?.() !== 0)("not a stranger's, who names the same path (takes root)", async () => {
  const stranger = Bun.spawn(["setpriv", "--reuid", "4711", "--clear-groups", "/bin/sleep", "60"], {
    env: { LD_LIBRARY_PATH: LIBRARIES, PATH: process.env.PATH },
  });
  const pids: number[] = [];
  try {
    while (statSync(`/proc/${stranger.pid}`).uid !== 4711) Bun.sleepSync(1);
    lifetimeWith((pid) => pids.push(pid)).findOthers();
    expect(pids).toEqual([]);
  } finally {
    await end(stranger);
  }
});

test("also one that starts while it looks, if another could not be seen into", async () => {
  // As a process shows itself in the middle of an exec.
  const unseen = sleeper({});
  const own = sleeper({ LD_LIBRARY_PATH: LIBRARIES });
  const later: ReturnType<typeof sleeper>[] = [];
  const pids: number[] = [];
  try {
    lifetimeWith((pid) => {
      pids.push(pid);
      if (later.length === 0) later.push(sleeper({ LD_LIBRARY_PATH: LIBRARIES }));
    }).findOthers();
    expect(pids).toEqual([own, ...later].map(({ pid }) => pid));
  } finally {
    await end(unseen, own, ...later);
  }
});
