// `npm run demo:gl`: glxinfo and glxgears of this machine draw with the Mesa of Debian 11, which is not installed here
// and only unpacked into a directory. Installs what is missing (as root), makes the tree on first use, and leaves a
// picture of what was drawn.

import { join } from "node:path";
import { capsuleCommand } from "../bench/command.ts";
import { cacheDirectory } from "../test/support/cache.ts";
import { Display } from "../test/support/display.ts";
import { type RunOptions, run, start } from "../test/support/run.ts";
import { tree } from "../test/support/trees.ts";
import { ensure, NEEDS } from "./needs.ts";
import { sideBySide } from "./side-by-side.ts";

/** So many blue pixels has no frame but one with the gears in it. */
const BLUE_GEAR = 1000;

ensure(NEEDS.gl);
console.log(
  "Unpacking the OpenGL libraries of Debian 11, with all that they need, into a directory (on first use only)",
);
const host = await tree("bullseye");
await using display = await Display.start();

const options: RunOptions = { env: display.env, timeout: 60_000 };
const native = await glxinfo(["glxinfo", "-B"]);
const capsule = await glxinfo(capsuleCommand(["--host", host], ["glxinfo", "-B"]));
console.log(`
  natively:       glxinfo -B
  in the capsule: capsule exec --host ${host} glxinfo -B

${sideBySide(["", "natively", "in the capsule"], native, capsule)}
`);

const picture = join(cacheDirectory(), "demo-glxgears.png");
await using gears = start(capsuleCommand(["--host", host], ["glxgears", "-geometry", "400x400"]), { env: display.env });
await display.until((screen) => screen.patch("blue").count > BLUE_GEAR, gears);
const { exitCode, stderr } = await run(["import", "-window", "root", picture], options);
if (exitCode !== 0) throw new Error(`No picture of the screen: ${stderr}`);
console.log(`glxgears runs in the capsule, too. What it draws: ${picture}`);

/** The lines about the renderer and its version. */
async function glxinfo(argv: string[]): Promise<string> {
  const { exitCode, signal, stdout, stderr } = await run(argv, options);
  if (exitCode !== 0) throw new Error(`It ended with ${exitCode ?? signal}: ${argv.join(" ")}\n${stderr}`);
  return stdout
    .split("\n")
    .filter((line) => /^OpenGL (renderer|core profile version|version) string:/.test(line))
    .join("\n");
}
