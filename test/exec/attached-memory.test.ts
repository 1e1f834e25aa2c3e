// Where the kernel does not let the server see the memory of who asks, the asking thread carries it.

import { beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { ATTACHED, FIXED } from "../support/attached.ts";
import { expectLines } from "../support/expect.ts";
import { build } from "../support/fixtures.ts";
import { notgl, shown } from "../support/notgl.ts";
import { HOST, type Pair, pair } from "../support/pair.ts";
import { capsuleCommand, native, type Outcome, run } from "../support/run.ts";

const FOLDER = "attached/memory-that-the-kernel-does-not-let-us-see-is-carried";

let refuse: string;
beforeAll(async () => {
  refuse = join(await build(FOLDER, [{ path: "refuse", sources: ["refuse.c"] }]), "refuse");
});

function refused(flags: string[], program: string, env: Record<string, string> = {}): Promise<Outcome> {
  return run([refuse, ...capsuleCommand([...ATTACHED, ...flags], program, [], env)], { env });
}

test("it is refused there", async () => {
  const script =
    "import ctypes; l = ctypes.CDLL(None, use_errno=True); print(l.process_vm_readv(0, None, 0, None, 0, 0), ctypes.get_errno())";
  expect((await native(refuse, ["/usr/bin/python3", "-c", script])).stdout).toBe("-1 1\n");
});

test("a program gets the host's libraries, and what they open", async () => {
  const { reference, red, programs } = await notgl();
  const flags = ["--host", red, "--isolate", "libnotgl.so.0", "--isolate", "libnotgles.so.1"];
  const outcome = await refused(flags, programs.linkedToOne, { LD_LIBRARY_PATH: reference });
  expect(outcome).toMatchObject({ stderr: "", exitCode: 0 });
  for (const line of shown("notgl", "red")) expect(outcome.stdout.split("\n")).toContain(line);
});

test("a program at a fixed address has the host's objects copied to it, large ones, too", async () => {
  const host = `${HOST}/libhost.so.1`;
  const data: Pair = await pair("attached-linking/data-alone-is-the-hosts", [
    { path: host, sources: ["host.c"] },
    { path: "program", sources: ["program.c"], needs: [host], flags: FIXED },
  ]);
  const model = await data.native();
  expectLines(await refused(data.flags(), data.program()), model.stdout.trimEnd().split("\n"));
});
