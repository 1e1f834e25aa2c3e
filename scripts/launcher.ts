// What meets the engine first: dist/main.js, the command as users start it, with settings that have to apply before Bun
// starts, and the check that it is a Bun which can run capsule.
//
// The folder where a game is started must not affect the command: no .env, no bunfig.toml with scripts to preload. It is
// env that sets all that, and not sh: the program shall have its environment as it was, and a shell drops variables with
// unusual names, such as exported functions of bash, and adds its own.

import { engines } from "../package.json" with { type: "json" };
import { ENGINE_SETTINGS } from "../src/diagnostics/engine-settings.ts";

const OLDEST = engines.bun.replace(">=", "");

/** The kernel reads so many bytes of a first line. */
export const LONGEST_FIRST_LINE = 254;

/**
 * A Bun ends if it does not know an option, and shows it as it was set: older ones do not know this one. Only the digits
 * of a number count, so the reason stands behind them. To ask Bun for its version would take as long as to start it.
 */
const forReaders = ([name, value]: [string, string]): string =>
  name === "BUN_JSC_structureHeapSizeInKB" ? `${name}=${value},needs-Bun-${OLDEST}` : `${name}=${value}`;

/** A statement that calls `refuse`, a function, with a message if another engine, or an older Bun, comes to it. */
export const refusal = (what: string, refuse: string): string => `{
  const { bun, node } = process.versions;
  if (bun === undefined || Bun.semver.order(bun, "${OLDEST}") < 0)
    (${refuse})(\`Cannot ${what} in \${bun ? \`Bun \${bun}\` : \`Node \${node}\`}: capsule needs Bun ${OLDEST} or newer (npm install --global bun@${OLDEST})\`);
}`;

const EXIT = "(message) => { console.error(message); process.exit(126); }";
const THROW = "(message) => { throw new Error(message); }";

/** `start` is the module that has the rest. */
export const launcher = (start: string): string =>
  [
    `#!/usr/bin/env -S ${Object.entries(ENGINE_SETTINGS).map(forReaders).join(" ")} bun --no-env-file --config=/dev/null`,
    refusal("run the command", EXIT),
    `require("${start}");\n`,
  ].join("\n");

/** Stands before the library. */
export const GUARD = refusal('load "capsule"', THROW);

/** What other engines get as the library. Its names have to be there: they are looked for before any of it runs. */
export const notTheLibrary = (names: readonly string[]): string =>
  `${GUARD}\nexport const ${names.map((name) => `${name} = undefined`).join(", ")};\n`;
