// A game launcher: takes the graphics libraries of the first host tree that has them, shows
// what is going on, and says how the game has ended.
//
//   bun launcher.ts GAME [ARGUMENT...]

import { type CapsuleEvent, exec, LinkError, ProgramError, plan } from "capsule";

const TREES = ["/run/host", "/host", ...(process.env.HOST_TREE ?? "").split(":"), "/"].filter(Boolean);
const [game = "glxgears", ...list] = process.argv.slice(2);

/** Has a tree what the game needs? */
const suits = (host: string): boolean => {
  try {
    return plan(game, { host, profiles: ["gl"] }).capsules.some(({ isolated }) => isolated.length > 0);
  } catch (error) {
    if (!(error instanceof LinkError)) throw error;
    console.error(`not ${host}: ${error.message}`);
    return false;
  }
};

const onEvent = (event: CapsuleEvent): void => {
  if (event.event === "linked") console.error(`${event.program}: ready after ${event.duration.toFixed()} ms`);
  if (event.event === "opened") console.error(`opened ${event.paths.length} libraries of ${event.host}`);
};

try {
  const host = TREES.find(suits) ?? "/";
  const { exitCode, signal } = await exec(game, list, { host, profiles: ["gl"], onEvent });
  console.error(signal ? `${game} was ended by ${signal}` : `${game} has ended with exit code ${exitCode}`);
  process.exitCode = exitCode ?? 1;
} catch (error) {
  if (!(error instanceof ProgramError || error instanceof LinkError)) throw error;
  console.error(`${game} cannot be started: ${error.message}`);
  process.exitCode = error instanceof ProgramError ? error.exitCode : 125;
}
