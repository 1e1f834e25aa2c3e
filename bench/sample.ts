// Running commands in turns, and what is made of the samples.

import { existsSync, readdirSync } from "node:fs";
import { environment } from "../test/support/run.ts";

export interface Command {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Done before each run, and not measured. */
  prepare?(): void;
}

export interface Sample {
  /** From start to end, in milliseconds. */
  readonly duration: number;
  readonly stdout: string;
  readonly stderr: string;
}

const TIMEOUT = 60_000;

/**
 * Runs it once. Throws if it fails: a figure of something else would be worse than none. `keep` has its output kept.
 */
export function sample(command: Command, keep = false): Sample {
  const { argv, env } = command;
  command.prepare?.();
  const output = keep ? "pipe" : "ignore";
  const started = performance.now();
  const { exitCode, stdout, stderr } = Bun.spawnSync([...argv], {
    env: environment(env),
    stdin: "ignore",
    stdout: output,
    stderr: output,
    timeout: TIMEOUT,
  });
  const duration = performance.now() - started;
  const [out = "", err = ""] = [stdout?.toString(), stderr?.toString()];
  if (env.TMPDIR !== undefined) awaitServers(env.TMPDIR);
  if (exitCode !== 0) throw new Error(`Exit code ${exitCode}: ${argv.join(" ")}\n${out}${err}`);
  return { duration, stdout: out, stderr: err };
}

/** Who has served there has tidied up, and takes no time of whoever is next. */
export function awaitServers(directory: string): void {
  const end = performance.now() + TIMEOUT;
  while (existsSync(directory) && readdirSync(directory).length > 0) {
    if (performance.now() > end) throw new Error(`What is in "${directory}" is not removed`);
    Bun.sleepSync(2);
  }
}

/** Samples of every command: each once a round, in an order that turns round by round, after one round to warm up. */
export function inTurns<Name extends string>(
  commands: Readonly<Record<Name, Command>>,
  rounds: number,
  keep = false,
): Record<Name, Sample[]> {
  const names = Object.keys(commands) as Name[];
  const samples = Object.fromEntries(names.map((name) => [name, [] as Sample[]])) as Record<Name, Sample[]>;
  for (const name of names) sample(commands[name], keep);
  for (let round = 0; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) samples[name].push(sample(commands[name], keep));
  }
  return samples;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

export function medianDuration(samples: readonly Sample[]): number {
  return median(samples.map(({ duration }) => duration));
}
