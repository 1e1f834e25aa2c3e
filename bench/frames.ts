// How fast a program draws that does nothing else, by glmark2's own score: nothing of ours is on its way once it has
// been linked.

import type { Display } from "../test/support/display.ts";
import { nativeMesa } from "../test/support/native-mesa.ts";
import { capsuleCommand, type Mode, WAYS } from "./command.ts";
import { column, type Table } from "./report.ts";
import { inTurns, median, type Sample } from "./sample.ts";

/** A round takes 6 s on each side. */
const ROUNDS = 3;
const SCENES = ["-s", "300x300", "-b", ":duration=2", "-b", "build", "-b", "shading:shading=phong"];

export async function frames(host: string, display: Display, temporary: string): Promise<Table> {
  const argv = ["glmark2", ...SCENES];
  const common = { ...display.env, vblank_mode: "0" };
  const capsule = (mode: Mode) => ({
    argv: capsuleCommand(["--host", host, "--mode", mode], argv),
    env: { ...common, TMPDIR: temporary },
  });
  const samples = inTurns(
    {
      native: { argv, env: { ...common, ...(await nativeMesa(host)) } },
      "in-process": capsule("in-process"),
      attached: capsule("attached"),
    },
    ROUNDS,
    true,
  );
  return {
    title: "glmark2's score: frames in a second",
    columns: WAYS.map((way) => column(way, 0)),
    rows: [{ label: SCENES.slice(4).join(" "), cells: WAYS.map((way) => median(samples[way].map(score))) }],
  };
}

function score({ stdout }: Sample): number {
  return Number(/glmark2 Score: (\d+)/.exec(stdout)?.[1]);
}
