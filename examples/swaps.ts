// Ends a game when it has shown so many pictures: a function of ours stands in front of the
// host's glXSwapBuffers, and says on standard error how often it was called.
//
//   cc -shared -fPIC -o count-swaps.so count-swaps.c
//   bun swaps.ts 200 glxgears

import { type Hooks, spawn } from "capsule";

const [limit = "200", game = "glxgears", ...list] = process.argv.slice(2);
const file = process.env.COUNT_SWAPS ?? "count-swaps.so";
const hooks: Hooks = { "libGL.so.1": { glXSwapBuffers: { file } } };

const enough = new AbortController();
const running = spawn(game, list, { profiles: ["gl"], hooks, stderr: "pipe", signal: enough.signal, timeout: 60_000 });
let text = "";
for await (const chunk of running.stderr.pipeThrough(new TextDecoderStream())) {
  text += chunk;
  const shown = Number(text.match(/.*^pictures: (\d+)$/ms)?.[1] ?? 0);
  if (shown >= Number(limit)) enough.abort();
}
const { exitCode, signal } = await running.exited;
console.log(enough.signal.aborted ? `enough after ${limit} pictures` : `too few: ${exitCode ?? signal}\n${text}`);
process.exitCode = enough.signal.aborted ? 0 : 1;
