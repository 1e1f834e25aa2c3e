// A game that is played for a while, natively or in a capsule: what it showed, which libraries it drew with, and what
// it left behind.

import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Display } from "./display.ts";
import { mappingsOf } from "./maps.ts";
import type { Picture } from "./picture.ts";
import { type Outcome, type Running, start } from "./run.ts";

/** Milliseconds that it plays, from the first picture that is not black. */
const PLAYING = 10_000;
/** Of these, the last ones count for what stands still. */
const LAST = 4_000;
/** Milliseconds for everything that has to come some time. */
const PATIENCE = 30_000;
/** Pixels that are not black: more than a pointer has, or a window that is still empty. */
const LIT = 2000;

export interface Command {
  readonly argv: string[];
  readonly env: Record<string, string>;
}

export interface Played {
  /** Of the last seconds. */
  readonly pictures: Picture[];
  /** Files whose code it had mapped. */
  readonly code: string[];
  /** In what it wrote, the directory that was made for it is DIRECTORY. */
  readonly outcome: Omit<Outcome, "duration">;
  /** Names in its TMPDIR after its end. */
  readonly left: string[];
  /** Processes of it were still there after its end. */
  readonly hasSurvivors: boolean;
}

export interface Play {
  /** Whether the last seconds show what has been waited for; it plays on until they do. */
  isDone?: (pictures: readonly Picture[]) => boolean;
  /** It ends by itself; others are sent SIGTERM. */
  endsItself?: boolean;
}

export async function play(display: Display, { argv, env }: Command, what: Play): Promise<Played> {
  const { isDone, endsItself = false } = what;
  const directory = mkdtempSync(join(tmpdir(), "capsule-test-game-"));
  const [home, temporary] = [join(directory, "home"), join(directory, "tmp")];
  for (const path of [home, temporary]) mkdirSync(path);
  const own = { HOME: home, TMPDIR: temporary, USER: "player", SDL_AUDIODRIVER: "dummy", ALSOFT_DRIVERS: "null" };
  await using program = start(argv, { env: { ...display.env, ...own, ...env } });
  const pictures = await watch(display, program, isDone);
  const code = mappingsOf(program.pid)
    .filter(({ path, permissions }) => path.startsWith("/") && permissions.includes("x"))
    .map(({ path }) => path);
  if (!endsItself) process.kill(program.pid, "SIGTERM");
  const outcome = await endOf(program, basename(argv[0] ?? ""));
  for (const stream of ["stdout", "stderr"] as const)
    outcome[stream] = outcome[stream].replaceAll(directory, "DIRECTORY");
  // Where somebody has been served, the server tidies up, soon after the end.
  for (let i = 0; i < 100 && readdirSync(temporary).length > 0; i++) await Bun.sleep(20);
  const left = readdirSync(temporary);
  const hasSurvivors = isThere(-program.pid);
  rmSync(directory, { recursive: true });
  return { pictures, code: [...new Set(code)], outcome, left, hasSurvivors };
}

async function watch(display: Display, program: Running, isDone: Play["isDone"]): Promise<Picture[]> {
  await display.until((picture) => picture.lit > LIT, program, PATIENCE);
  const started = performance.now();
  let last: { picture: Picture; at: number }[] = [];
  const pictures = () => last.map(({ picture }) => picture);
  await display.until(
    (picture) => {
      const now = performance.now();
      last = [...last.filter(({ at }) => at > now - LAST), { picture, at: now }];
      return now > started + PLAYING && (isDone?.(pictures()) ?? true);
    },
    program,
    PLAYING + PATIENCE,
  );
  return pictures();
}

async function endOf(program: Running, name: string): Promise<Omit<Outcome, "duration">> {
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    program.kill();
  }, PATIENCE);
  const outcome = await program.end();
  clearTimeout(timer);
  if (isLate) throw new Error(`${name} did not end: ${JSON.stringify(outcome)}`);
  return outcome;
}

/** A process, or, with a negative number, a process group. */
function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}
