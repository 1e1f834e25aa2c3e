// Whose slots are freed. A process of another PID namespace claims one by a number that means nothing here.

import { afterAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { viewAt } from "../../../lib/memory/live.ts";
import { Libc } from "../../../lib/process/libc.ts";
import { Channel } from "../../../src/agent/channel.ts";
import { SlotLayout, State } from "../../../src/agent/protocol.ts";
import { AttachedRequests } from "../../../src/attached/requests.ts";
import type { AttachedContext } from "../../../src/attached/server-context.ts";
import { Trace } from "../../../src/diagnostics/trace.ts";
import { MARK } from "../../../src/directories/private-directory.ts";
import { Scratch } from "../../lib/elf/scratch.ts";
import { start } from "../../support/run.ts";

const INSIDE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "sh", "-c"];
const canEnter = Bun.spawnSync([...INSIDE, "true"]).success;

const scratch = new Scratch();
afterAll(() => scratch[Symbol.dispose]());
const libc = new Libc();

test.skipIf(!canEnter)(
  "a process of another PID namespace keeps its slot for as long as it lives (takes user namespaces)",
  async () => {
    // High enough that no process here has it.
    const last = Number(readFileSync("/proc/sys/kernel/pid_max", "utf8")) - 100;
    const script = `echo ${last} > /proc/sys/kernel/ns_last_pid && exec sh -c 'sh -c "echo \\$\\$; exec sleep 60"; :'`;
    await using process = start([...INSIDE, script]);
    const pid = Number(await process.line((text) => text !== ""));
    expect(libc.system.isAlive(pid)).toBe(false);

    const channel = Channel.make(libc);
    const libraries = dirname(scratch.write(MARK, ""));
    const context = { libc, libraries, trace: new Trace([]) } as unknown as AttachedContext;
    const requests = new AttachedRequests(context, channel, () => {});
    const slot = channel.slot(0);
    viewAt(slot.at, 4).setUint32(SlotLayout.state, State.claimed + 8 * pid, true);
    // Another process has ended that had the same number here.
    requests.ended(pid);
    expect(slot.state).toBe(State.claimed);
    expect(requests.sweep()).toBe(true);
    expect(slot.state).toBe(State.claimed);

    process.kill();
    await process.end();
    // It has ended, but perhaps nobody has waited for it yet.
    while (requests.sweep()) await Bun.sleep(1);
    expect(slot.state).toBe(State.free);
  },
);
