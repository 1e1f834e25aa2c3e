// What single operations cost a program in the steady state. A small program measures them itself; natively its library
// comes by the library path, in the capsule from a host tree.

import { join } from "node:path";
import { build } from "../test/support/fixtures.ts";
import { capsuleCommand, type Mode, WAYS } from "./command.ts";
import { column, type Table } from "./report.ts";
import { inTurns, median, type Sample } from "./sample.ts";

const SONAME = "libborder.so.1";
const LIBRARIES = "host/usr/lib/x86_64-linux-gnu";

const OPERATIONS = {
  call: "a call of a function of the library",
  dlsym: "dlsym",
  "open-again": "dlopen and dlclose of a library that is open",
  "open-again-inside": "the same, by the library itself (in the capsule: a request)",
};

export async function border(temporary: string, rounds: number): Promise<Table> {
  const out = await build("../bench/border", [
    { path: `${LIBRARIES}/${SONAME}`, sources: ["library.c"] },
    { path: "program", sources: ["program.c"], needs: [`${LIBRARIES}/${SONAME}`] },
  ]);
  const program = join(out, "program");
  const capsule = (mode: Mode) => ({
    argv: capsuleCommand(["--mode", mode, "--host", join(out, "host"), "--isolate", SONAME], [program]),
    env: { TMPDIR: temporary },
  });
  const samples = inTurns(
    {
      native: { argv: [program], env: { LD_LIBRARY_PATH: join(out, LIBRARIES) } },
      "in-process": capsule("in-process"),
      attached: capsule("attached"),
    },
    rounds,
    true,
  );
  return {
    title: "One operation, in ns",
    columns: WAYS.map((way) => column(way, 2)),
    rows: Object.entries(OPERATIONS).map(([operation, label]) => ({
      label,
      cells: WAYS.map((way) => nanoseconds(samples[way], operation)),
    })),
  };
}

/** The program prints "operation nanoseconds" lines. */
function nanoseconds(samples: readonly Sample[], operation: string): number {
  const pattern = new RegExp(`^${operation} ([\\d.]+)$`, "m");
  return median(samples.map(({ stdout }) => Number(pattern.exec(stdout)?.[1])));
}
