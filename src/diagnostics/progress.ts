// A progress line on a terminal for what takes long; it is erased before other output. Pipes, logs and terminals in use
// by others never get it. It is called for each file that is read: quick work shows nothing, and costs only a look at
// the clock.

import { writeSync } from "node:fs";
import { basename } from "node:path";
import { readStat } from "../../lib/process/stat.ts";
import type { System } from "../../lib/process/system.ts";
import { unlessRefused } from "../../lib/unless.ts";

/** From the start of the process until something is shown; in milliseconds. */
const SHOWN_AFTER_MS = 300;
/** Between two updates, in milliseconds. */
const PACE = 50;
const STDERR = 2;

export interface Screen {
  /** In characters. */
  readonly width: number;
  write(text: string): void;
}

/** Standard error's terminal, if it is ours to use. */
export function ownScreen(system: System, environment: NodeJS.ProcessEnv): Screen | undefined {
  const { TERM: terminal, CI: automatic } = environment;
  if (!terminal || terminal === "dumb" || automatic) return undefined;
  const width = system.terminalWidth(STDERR);
  if (width === undefined || !isInForeground()) return undefined;
  return { width, write: (text) => unlessRefused(() => writeSync(STDERR, text)) };
}

/** Is this process's group in the foreground of its terminal? Others would only disturb. */
function isInForeground(): boolean {
  const [PGRP, TPGID] = [5, 8];
  const stat = readStat("self");
  return stat.field(PGRP) === stat.field(TPGID);
}

export class Progress implements Disposable {
  /** Undefined until it was looked up. */
  #screen: { readonly screen: Screen | undefined } | undefined;
  readonly #files = new Set<string>();
  #last = 0;
  #isShown = false;

  /** `screen` is looked up once something has taken long enough. */
  constructor(
    readonly screen: () => Screen | undefined,
    readonly now = () => performance.now(),
  ) {}

  /** To be called before a file is read. */
  readonly reading = (path: string): void => {
    this.#files.add(path);
    const now = this.now();
    if (now < SHOWN_AFTER_MS || now - this.#last < PACE) return;
    this.#last = now;
    this.#screen ??= { screen: this.screen() };
    const { screen } = this.#screen;
    if (!screen) return;
    const text = `capsule: reading libraries: ${this.#files.size}, ${basename(path)}`;
    // A full line would wrap, and could not be erased any more.
    screen.write(`${ERASE}${printable(text).slice(0, screen.width - 1)}`);
    this.#isShown = true;
  };

  /** To be called before other output there. */
  erase(): void {
    if (this.#isShown) this.#screen?.screen?.write(ERASE);
    this.#isShown = false;
  }

  [Symbol.dispose](): void {
    this.erase();
  }
}

const ERASE = "\r\x1b[K";

/** Replaces characters that may not be one column wide. */
const printable = (text: string): string => text.replace(/[^ -~]/g, "?");
