// Variables that settings files set for the program, in this process: what a command finds out about a program depends on
// some, such as LD_LIBRARY_PATH and DISPLAY.

import type { Settings } from "./settings.ts";

/** Does something with the program's variables set in process.env, and restores it. */
export function withVariables<Result>({ environment }: Pick<Settings, "environment">, action: () => Result): Result {
  const { env } = process;
  const before = Array.from(environment.keys(), (name) => [name, env[name]] as const);
  try {
    for (const [name, { value }] of environment) set(env, name, value);
    return action();
  } finally {
    for (const [name, value] of before) set(env, name, value);
  }
}

function set(env: NodeJS.ProcessEnv, name: string, value: string | undefined): void {
  if (value === undefined) delete env[name];
  else env[name] = value;
}
