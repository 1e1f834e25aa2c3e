// A game launcher: takes the graphics libraries of the first host tree that has them, shows
// what is going on, and says how the game has ended.
//
//   bun launcher.ts GAME [ARGUMENT...]

import { exec, LinkError, ProgramError, plan } from "capsule";

const TREES = ["/run/host", "/host", "/srv/graphics", process.env.HOST_TREE ?? "/"];
const [game = "glxgears", ...list] = process.argv.slice(2);

const host = TREES.find((tree) => {
  try {
    return plan(game, { host: tree, profiles: ["gl"] }).hosts.some(({ isolated }) => isolated.length > 0);
  } catch (error) {
    if (!(error instanceof LinkError)) throw error;
    console.error(`not ${tree}: ${error.message.split(":")[0]}`);
    return false;
  }
});

try {
  const { exitCode, signal } = await exec(game, list, {
    ...(host === undefined ? {} : { host }),
    profiles: ["gl"],
    onEvent(event) {
      if (event.event === "linked")
        console.error(
          `${event.program}: ${event.libraries.length} libraries of ${host}, ${event.duration.toFixed()} ms`,
        );
      if (event.event === "request" && event.kind === "dlopen") console.error(`looking for ${event.name}`);
    },
  });
  console.error(signal ? `${game} was ended by ${signal}` : `${game} has ended with ${exitCode}`);
  process.exit(exitCode ?? 1);
} catch (error) {
  if (!(error instanceof ProgramError || error instanceof LinkError)) throw error;
  console.error(`${game} cannot be started: ${error.message}`);
  process.exit(error instanceof ProgramError ? error.exitCode : 125);
}
